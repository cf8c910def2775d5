"""The simulated BingX-compatible exchange: its own exact books behind real HTTP and websockets.

It shares no code with `ditad.bingx` and imports nothing of ditad but itself: two readings of one
specification that check each other. Enters: the acts of a test, of the `Trader` or of nobody. Leaves:
the wire, in any `Dialect`, through any `Faults`; and the truth, in `books`.

Over real sockets::

    async with SimulatedExchange(seed=7, accounts=[AccountSpec(name="main")]) as ex:
        ex.rest_url, ex.ws_url  # http://127.0.0.1:PORT, ws://127.0.0.1:PORT/swap-market
        api_key, api_secret = ex.credentials["main"]
        main = ex.account("main")  # every call sends its frames before it returns
        main.market_order("FET-USDT", "SELL", "SHORT", 202000, price="0.1878")
        main.market_order("FET-USDT", "BUY", "SHORT", 202000, price="0.1866", bound="0.2290")
        order_id = main.limit_order("BTC-USDT", "BUY", "LONG", "0.02", "112000.0")
        main.fill(order_id, "0.01")  # a partial fill; then fill() the rest, amend() or cancel()
        main.settle_funding("0.0001"), main.deposit(5), main.withdraw("1.5")
        main.other_income("-3", reason="ADJUSTMENT")
        main.set_leverage("BTC-USDT", long=20)
        main.close("BTC-USDT", "LONG")
        main.force_close("ETH-USDT", "SHORT", kind="ADL", told="income")
        since = ex.mark("main")
        ex.books("main"), ex.books_since(since)  # wallet_balance, realized_pnl, fees, positions, …
        ex.venue.facts("main").executions[7:]  # what really happened, and how it was told
        ex.cut("main", "cut_abrupt"), ex.expire_key("main", notice=False)
        ex.faults.force("rest_error", 2, code=100410), ex.faults.calm()
        ex.inject("main", {"e": "MADE_UP"}), ex.inject("main", b"not even gzip")
        main.silent_change("-12.5")  # the wallet moves, and neither a frame nor a row ever says why
        ex.core.streams.tamper = lambda frame: None  # until it is None again: every private frame is lost
        await ex.wait_connected("main")  # until a client listens to the account
        await trade(ex, "main", actions=300, seed=1, pause=0)

Without sockets, under a clock of one's own, `ExchangeCore`::

    core = ExchangeCore(seed=7, clock=lambda: now_ms)
    key = json.loads(core.rest(Request(method="POST", path=LISTEN_KEY_PATH, headers=…)).body)
    number = core.connect(key["listenKey"])
    core.venue.account("main").deposit(1)
    core.poll()  # [Send(stream=number, data=b"…gzip…")], in order; `next_due_ms` says when again
    core.streams.receive(number, "Pong")

A simulation takes `compress=False` (frames that cost a microsecond), a `VariedTrader` (the corners that
a plain `Trader` leaves out), `core.faults.step_clock(ms)`, `Dialect.drawn(rng, row_delay_s_max=60)`, and
follows `core.venue.facts(name)`, whose lists only grow and whose numbers stay.
"""

from ditad.exchange.account import AccountSpec
from ditad.exchange.books import PositionSide, Side, VenueError
from ditad.exchange.command import exchange_command
from ditad.exchange.contracts import DEFAULT_CONTRACTS, Contract, numbered_contracts
from ditad.exchange.core import ExchangeCore
from ditad.exchange.desk import Desk
from ditad.exchange.dialect import Dialect
from ditad.exchange.facts import BooksFacts, ExecutionFact, Facts, MovementFact
from ditad.exchange.faults import CutKind, Faults, FaultSpec, parse_faults
from ditad.exchange.pushes import Frame
from ditad.exchange.records import created_ms_of
from ditad.exchange.rest import LISTEN_KEY_PATH, RateLimit, Reply, Request, signature_of
from ditad.exchange.server import SimulatedExchange
from ditad.exchange.streams import Act, Close, Freeze, Send, StreamRefused, Timing
from ditad.exchange.trader import Action, Trader, trade
from ditad.exchange.variety import VariedTrader
from ditad.exchange.venue import BooksTruth, Mark, OpenPosition, Venue

__all__ = [
    "DEFAULT_CONTRACTS",
    "LISTEN_KEY_PATH",
    "AccountSpec",
    "Act",
    "Action",
    "BooksFacts",
    "BooksTruth",
    "Close",
    "Contract",
    "CutKind",
    "Desk",
    "Dialect",
    "ExchangeCore",
    "ExecutionFact",
    "Facts",
    "FaultSpec",
    "Faults",
    "Frame",
    "Freeze",
    "Mark",
    "MovementFact",
    "OpenPosition",
    "PositionSide",
    "RateLimit",
    "Reply",
    "Request",
    "Send",
    "Side",
    "SimulatedExchange",
    "StreamRefused",
    "Timing",
    "Trader",
    "VariedTrader",
    "Venue",
    "VenueError",
    "created_ms_of",
    "exchange_command",
    "numbered_contracts",
    "parse_faults",
    "signature_of",
    "trade",
]
