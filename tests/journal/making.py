"""Events, records and what was derived, as short as a test can say them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from ditad.events import (
    AccountPush,
    BalanceLine,
    Event,
    OrderPush,
    OrderStatus,
    PositionLine,
    PositionSide,
    Raw,
    Side,
    StreamChanged,
    StreamState,
    Tick,
)
from ditad.journal import Archived, Checkpoint, Derived, Journal
from ditad.records import Record, RecordType

FOLD = 7
START_US = 1_758_608_899_350_000
STEP_US = 1_000_000


def tick(n: int, *, at_us: int | None = None) -> Event:
    """Make the smallest event there is."""
    at = START_US + n * STEP_US if at_us is None else at_us
    return Event(n=n, at_us=at, heard_us=at - 40, body=Tick(due_us=at))


def ticks(first: int, last: int) -> list[tuple[Event, Raw | None]]:
    """Make a run of small events, with nothing received for them."""
    return [(tick(n), None) for n in range(first, last + 1)]


def frame(n: int) -> Raw:
    """Make what was received for event `n`."""
    return Raw(source="private", at_us=START_US + n * STEP_US, data=b'{"e":"TRADE_UPDATE","E":%d}' % n)


def order(n: int) -> Event:
    """Make an order push with every awkward thing in it: absent fields, trailing zeros, a 19-digit id."""
    return Event(
        n=n,
        at_us=START_US + n * STEP_US,
        heard_us=None,
        body=OrderPush(
            name="TRADE_UPDATE",
            order_id="1970374651259388000",
            symbol="BTC-USDT",
            side=Side.SELL,
            position_side=PositionSide.SHORT,
            order_type="MARKET",
            status=OrderStatus.FILLED,
            quantity=Decimal("0.00100000"),
            filled=Decimal("0.00100000"),
            average_price=Decimal("112848.10000000"),
            last_quantity=None,
            last_price=None,
            fee=Decimal("-0.05642405"),
            fee_asset="USDT",
            realized_pnl=Decimal("0E-8"),
            trade_id="511178071",
            event_ms=1758608899350,
            trade_ms=1758608899316,
            client_order_id="",
        ),
    )


def account(n: int) -> Event:
    """Make an account push with a balance and a position."""
    return Event(
        n=n,
        at_us=START_US + n * STEP_US,
        heard_us=START_US + n * STEP_US,
        body=AccountPush(
            reason="ORDER",
            event_ms=1758608899352,
            balances=(BalanceLine(asset="USDT", wallet=Decimal("117.80007595"), change=None),),
            positions=(
                PositionLine(
                    symbol="BTC-USDT",
                    position_side=PositionSide.SHORT,
                    amount=Decimal("0.00100000"),
                    entry_price=Decimal("112848.10000000"),
                    unrealized_pnl=Decimal("-0.00004435"),
                    margin_type="cross",
                ),
            ),
        ),
    )


def connected(n: int) -> Event:
    """Make the event of a stream that came up, with text beyond ASCII."""
    body = StreamChanged(state=StreamState.CONNECTED, detail="erneut, nach 3 s – gut", at_ms=None)
    return Event(n=n, at_us=START_US + n * STEP_US, heard_us=None, body=body)


def record(
    seq: int,
    n: int,
    kind: RecordType = RecordType.FILL,
    *,
    key: str | None = None,
    replaces: tuple[int, ...] = (),
    line: bytes | None = None,
) -> Record:
    """Make a record whose line says its type and `seq`."""
    text = b'{"seq":%d,"type":"%s"}' % (seq, kind.value.encode()) if line is None else line
    return Record(seq=seq, n=n, type=kind, at_us=START_US + n * STEP_US, key=key, replaces=replaces, line=text)


def snapshot(seq: int, n: int) -> Record:
    """Make a snapshot record."""
    return record(seq, n, RecordType.SNAPSHOT)


def checkpoint(n: int, *, seq: int = 0, event_seq: int = 0, state: bytes = b"state", fold: int = FOLD) -> Checkpoint:
    """Make a checkpoint after event `n`."""
    at_us = START_US + n * STEP_US
    return Checkpoint(n=n, seq=seq, event_seq=event_seq, at_us=at_us, fold_version=fold, state=state)


def derived(
    *records: Record,
    point: Checkpoint | None = None,
    archive: Sequence[Archived] = (),
    sums: bytes | None = None,
    through_n: int | None = None,
    fold: int = FOLD,
) -> Derived:
    """Say what folding led to."""
    return Derived(
        records=records,
        fold_version=fold,
        checkpoint=point,
        archive=tuple(archive),
        sums=sums,
        through_n=through_n,
    )


NOTHING = derived()


def as_after_power_loss(folder: Path, to: Path, *, log_bytes: int | None = None, name: str = "main") -> Path:
    """Copy a journal's files as they are now, as if the power failed; `log_bytes` cuts the write-ahead log short."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    shutil.copyfile(folder / f"{name}.journal", to / f"{name}.journal")
    log = (folder / f"{name}.journal-wal").read_bytes()
    (to / f"{name}.journal-wal").write_bytes(log if log_bytes is None else log[:log_bytes])
    return to


def log_size(folder: Path) -> int:
    """Give the bytes in the write-ahead log."""
    return (folder / "main.journal-wal").stat().st_size


def reopened(folder: Path) -> Journal:
    """Open the journal of the account that these tests use."""
    return Journal.open(folder, "main")
