"""`ditad`: the account-truth daemon for BingX USDT-margined perpetuals.

Two ledgers of one account, K folded from identified facts and E stated by the exchange, reconciled on every event.
"""

__version__ = "0.1.0"
