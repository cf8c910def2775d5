"""The public names for users of the projection, without daemon and I/O. Nothing here is this module's own.

See `ditad.library` and `ditad.blocks` (the dual ledger by hand), `ditad.slots` (the slot-driven ledger) and
`ditad.reconcile` (the verdict). The daemon stands on the same book and the same rules. (account.md §4)
"""

from ditad.blocks import AccountSnapshotV2, EBlock, EPosition, KBlock
from ditad.library import AccountProjectionV2
from ditad.reconcile import ReconcileConfig, ReconcileResult, ReconcileStatus
from ditad.slots import AccountProjection, AccountSnapshot, TradeSide, TradeSlot, TradeStage

__all__ = [
    "AccountProjection",
    "AccountProjectionV2",
    "AccountSnapshot",
    "AccountSnapshotV2",
    "EBlock",
    "EPosition",
    "KBlock",
    "ReconcileConfig",
    "ReconcileResult",
    "ReconcileStatus",
    "TradeSide",
    "TradeSlot",
    "TradeStage",
]
