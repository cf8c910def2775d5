"""The loop: a daemon is killed, started, killed again, while its account trades on; then all is compared.

What enters: how many kills, a seed, an empty folder. What leaves: a `Report`; `AssertionError` at the first thing that
does not hold. What holds: trading begins when a baseline exists and goes on while no daemon lives; each kill is
followed by a restart; after each death the files are opened and what was published is found in them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

from ditad.api.client import ApiClient
from tests.kills import moments
from tests.kills.moments import Moment
from tests.kills.scene import ACCOUNT, Report, Scene, scene

AT_BIRTH_SHARE: Final = 0.05
"""Of all kills, those that happen while the journal is made."""

AGAIN_FROM_NOTHING_SHARE: Final = 0.5
"""After so many of those the journal is made anew."""

FOLDED_WHOLE_SHARE: Final = 0.05
"""Before so many of the kills all checkpoints are another fold version's: the start folds the whole journal again."""

BEFORE_TRADING_SHARE: Final = 0.1
"""Of all kills, those that happen before there is a baseline."""

READ_AGAIN_SHARE: Final = 0.1
"""After so many of the kills a daemon is asked for what the one before it published."""

Tell = Callable[[str], None]


async def kill_and_compare(kills: int, seed: int, folder: Path, tell: Tell = lambda _: None) -> Report:
    """Kill so many daemons and prove that nothing was lost and nothing came twice."""
    async with scene(folder, seed=seed) as stage:
        killer = _Killer(stage, seed, tell)
        for _ in range(int(kills * AT_BIRTH_SHARE)):
            await killer.kill_one(killer.chance.choice(moments.AT_BIRTH))
            if killer.chance.random() < AGAIN_FROM_NOTHING_SHARE:
                stage.forget()
        for _ in range(int(kills * BEFORE_TRADING_SHARE)):
            await killer.kill_one(killer.chance.choice(moments.BEFORE_A_BASELINE))
        since = await stage.baseline()
        async with stage.trading():
            while stage.report.kills < kills - 1:  # the last is that of the daemon that has everything
                moment = moments.drawn(stage.state, ACCOUNT, killer.chance)
                if killer.chance.random() < FOLDED_WHOLE_SHARE:
                    stage.age_checkpoints()
                await killer.kill_one(moment)
        await stage.equal(since)
        return stage.report


class _Killer:
    """Draws moments and kills."""

    def __init__(self, stage: Scene, seed: int, tell: Tell) -> None:
        self.chance = Random(f"{seed}:kills")  # noqa: S311 - chooses when to kill
        self._stage = stage
        self._tell = tell

    async def kill_one(self, moment: Moment) -> None:
        """Let a daemon live until a moment, and kill it; now and then let the next one read to us what was before."""
        stage, before = self._stage, self._stage.reader.seq
        async with stage.started() as life:
            came = await moments.comes(moment, life, self.chance)
            assert life.process.code is None, f"it ended by itself: {life.process.last_words()}"
            stage.report.moments[moment.__name__ if came else f"{moment.__name__} (late)"] += 1
        told = stage.reader.seq
        self._tell(f"kill {stage.report.kills}: {moment.__name__}{'' if came else ' (late)'}, {told - before} records")
        if self.chance.random() < READ_AGAIN_SHARE:
            async with stage.started() as life:
                await stage.serves(life)
                async with ApiClient(stage.socket) as client:
                    await stage.reader.reread_last(client, told)
            self._tell(f"kill {stage.report.kills}: after the records up to {told} were read a second time")
