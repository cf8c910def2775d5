"""A journal written as the pipeline writes one, without its queue and its clock.

What enters: events in their order. What leaves: a journal whose last batch is not derived yet, as after a crash, or a
sealed one. What holds: what folding a batch led to is stored with the next one, a checkpoint is written every so often.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from ditad.events import Event
from ditad.journal import Archived, Checkpoint, Derived, Journal
from ditad.pipeline import CHECKPOINT_EVENTS, sums_of
from ditad.projection import Projection
from ditad.records import Record
from ditad.state import FOLD_VERSION

NAME = "main"


async def journaled(
    folder: Path,
    events: Iterable[Event],
    *,
    batch: int = 8,
    checkpoint_events: int = CHECKPOINT_EVENTS,
    sealed: bool = True,
) -> Projection:
    """Write a journal of these events; gives the projection as it stands behind them."""
    journal = Journal.open(folder, NAME)
    projection = Projection(NAME)
    records: list[Record] = []
    archive: dict[str, Archived] = {}
    since = 0

    def derived(*, final: bool) -> Derived:
        nonlocal since
        state, checkpoint = projection.state, None
        if state.n - since >= checkpoint_events or (final and state.n > since):
            since = state.n
            checkpoint = Checkpoint(
                n=state.n,
                seq=state.seq,
                event_seq=state.event_seq,
                at_us=state.at_us,
                fold_version=FOLD_VERSION,
                state=projection.checkpoint(),
            )
        return Derived(
            records=tuple(records),
            fold_version=FOLD_VERSION,
            checkpoint=checkpoint,
            archive=tuple(archive.values()),
            sums=sums_of(projection.state),
        )

    source = iter(events)
    while some := list(islice(source, batch)):
        await journal.commit([(event, None) for event in some], derived(final=False))
        records.clear()
        archive.clear()
        for event in some:
            folded = projection.fold(event)
            records.extend(folded.records)
            archive.update({key: Archived(key=key, n=event.n, body=body) for key, body in folded.archived})
    if sealed:
        await journal.close(derived(final=True))
    else:
        journal.abandon()
    return projection
