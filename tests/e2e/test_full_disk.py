"""A disk that is full, fails or goes away under a running daemon: it stops, says so, and loses nothing it published."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.kills.scene import Scene, scene
from tests.support.disk import small_disk
from tests.support.process import ROOT, Process
from tests.support.running import WAIT_S_MAX

DISK_KIB = 6_144
FAILING = (sys.executable, "-m", "tests.support.failing_fsync")
JOURNAL_FAILS = 74


def empty_folder(path: Path) -> Path:
    """Make a folder."""
    path.mkdir()
    return path


async def published(stage: Scene, process: Process, records: int = 20) -> None:
    """Wait until a daemon has published some more records."""
    assert await process.logged("daemon.ready"), process.last_words()
    due = stage.reader.seq + records
    await asyncio.wait_for(stage.reader.until(lambda: stage.reader.seq >= due), WAIT_S_MAX)


async def ends_saying(process: Process, words: str) -> None:
    """Wait for its end: the code is the disk's, and the last line of the log says why and what to do."""
    assert JOURNAL_FAILS == await process.ended(), process.last_words()
    last = process.last_line()
    assert ("daemon.failed", "error", JOURNAL_FAILS) == (last["event"], last["level"], last["exit_code"])
    assert words in last["reason"]
    assert b"" == process.errors


async def cannot_start(stage: Scene) -> None:
    """Try to start a daemon while nobody has made room."""
    async with stage.started() as life:
        await ends_saying(life.process, "the disk is full")


async def test_a_full_disk_ends_the_daemon_in_words_and_loses_nothing(folder: Path) -> None:
    """The last line says that the disk is full; when there is room again K becomes the exchange's own books."""
    state = empty_folder(folder / "state")
    async with small_disk(state, kib=DISK_KIB) as disk, scene(folder, seed=5, state=disk.seen) as stage:
        stage.words = disk.words
        since = await stage.baseline()
        async with stage.trading():
            async with stage.started() as life:
                await published(stage, life.process)
                disk.fill()
                await ends_saying(life.process, "the disk is full")
            await cannot_start(stage)
            disk.free()
            async with stage.started() as life:
                await published(stage, life.process)
                life.process.signal(signal.SIGTERM)
                assert 0 == await life.process.ended(), life.process.last_words()
            disk.fill()
            await cannot_start(stage)
            disk.free()
        await stage.equal(since)


async def test_a_failing_fsync_ends_the_daemon_in_words_and_loses_nothing(folder: Path) -> None:
    """What could not be made durable was not published; the last line says that the disk failed."""
    probe = await asyncio.create_subprocess_exec(*FAILING, "probe", cwd=ROOT)
    if await probe.wait():
        pytest.skip("this machine lets nobody refuse an fsync (seccomp)")
    async with scene(folder, seed=6) as stage:
        since = await stage.baseline()
        async with stage.trading(), stage.started(*FAILING) as life:
            await published(stage, life.process)
            life.process.signal(signal.SIGUSR1)
            await ends_saying(life.process, "the disk failed")
        await stage.equal(since)


async def test_a_state_folder_that_vanishes_ends_the_daemon_in_words_and_loses_nothing(folder: Path) -> None:
    """The last line says that it was taken away; put back, it has everything that was published."""
    async with scene(folder, seed=7) as stage:
        since = await stage.baseline()
        away = folder / "away"
        async with stage.trading(), stage.started() as life:
            await published(stage, life.process)
            stage.state.rename(away)
            try:
                await ends_saying(life.process, "was taken away while in use: put it back")
            finally:
                away.rename(stage.state)
        await stage.equal(since)
