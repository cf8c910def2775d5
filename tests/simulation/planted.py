"""Bugs that the simulation must find: each takes one law of the house away.

What enters: nothing. What leaves: for each bug a context in which it is there. They are the tests of the tests: if one
of them lives through some hundred seeds, the checks have gone blind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

from ditad import cashflows, statements
from ditad.bingx.questions import Asker
from ditad.bingx.rest import Answer
from ditad.errors import VenueError, VenueFatalError
from ditad.events import IncomeReport, IncomeRow
from ditad.incomes import Change, Incomes, fact_of_row, hear_row
from ditad.pipeline import Pipeline
from ditad.turn import Turn


@contextmanager
def _dedup_dropped() -> Iterator[None]:
    """Forget which income rows were heard: overlapping questions count them again."""
    fold = cashflows.fold_income_report

    def forgetful(turn: Turn, report: IncomeReport) -> None:
        turn.state.incomes.heard.clear()
        fold(turn, report)

    with mock.patch("ditad.cashflows.fold_income_report", forgetful):
        yield


@contextmanager
def _watermark_moved_on_a_failed_page() -> Iterator[None]:
    """Read a page that was not answered as one without rows."""
    ask = Asker._list

    async def hopeful(self: Asker, path: str, parameters: Mapping[str, str], what: str) -> Answer:
        try:
            return await ask(self, path, parameters, what)
        except VenueFatalError:
            raise
        except VenueError:
            asked_us, asked_ms = self._rest.now()
            return Answer(data=[], raw=b"[]", asked_us=asked_us, asked_ms=asked_ms)

    with mock.patch.object(Asker, "_list", hopeful):
        yield


@contextmanager
def _covered_before_folded() -> Iterator[None]:
    """Remember an income row as heard when it is first seen, and fold it at the next occasion, which never comes."""
    hear = hear_row

    def hasty(incomes: Incomes, row: IncomeRow) -> Change:
        fact = fact_of_row(row)
        if fact.key not in incomes.heard and int(row.tran_id) % 5 == 0:
            incomes.heard[fact.key] = fact.at_ms
        return hear(incomes, row)

    with mock.patch("ditad.cashflows.hear_row", hasty):
        yield


@contextmanager
def _published_before_durable() -> Iterator[None]:
    """Publish what the journal has not yet promised to keep."""
    take = Pipeline._turn

    async def eager(self: Pipeline, batch: list[Any]) -> None:
        commit = self._journal.commit
        waiting: list[Any] = []

        async def later(events: Any, derived: Any) -> None:
            waiting.append((events, derived))

        with mock.patch.object(self._journal, "commit", later):
            await take(self, batch)
        for events, derived in waiting:
            await commit(events, derived)

    with mock.patch.object(Pipeline, "_turn", eager):
        yield


@contextmanager
def _stale_frame_overwrites() -> Iterator[None]:
    """Take whatever account frame came last for the newest."""
    state_wallet = statements._state_wallet

    def gullible(turn: Turn, *args: Any, **more: Any) -> bool:
        stated = turn.state.stated
        if stated.wallet is not None:
            stated.wallet = replace(stated.wallet, event_ms=0)
        return state_wallet(turn, *args, **more)

    with mock.patch.object(statements, "_state_wallet", gullible):
        yield


PLANTED: Mapping[str, Callable[[], AbstractContextManager[None]]] = {
    "dedup dropped": _dedup_dropped,
    "watermark moved on a failed page": _watermark_moved_on_a_failed_page,
    "covered before folded": _covered_before_folded,
    "published before durable": _published_before_durable,
    "stale frame overwrites": _stale_frame_overwrites,
}

FOUND_BY: Mapping[str, int] = {
    "dedup dropped": 1,
    "watermark moved on a failed page": 40,
    "covered before folded": 7,
    "published before durable": 11,
    "stale frame overwrites": 19,
}
"""The seed that found each when somebody looked, to be tried first."""
