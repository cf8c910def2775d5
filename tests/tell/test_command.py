"""A telling to a real program: what it gets, and what becomes of it."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from ditad.tell.command import SAID_BYTES_MAX, SAID_LENGTH_MAX, Command
from ditad.tell.hook import HookError

LONG_S = 60.0
"""Nothing here takes so long; it is a bound for a broken build."""

TELLING = b'{"account":"main","seq":7}\n'
WAITS = "import os, sys, signal\nopen(sys.argv[1], 'w').write(f'{os.getpid()} {os.getsid(0)}')\nsignal.pause()"
LEAVES_A_CHILD = """
import os, sys, signal
if os.fork() == 0:
    open(sys.argv[1] + '.new', 'w').write(str(os.getpid()))
    os.rename(sys.argv[1] + '.new', sys.argv[1])
    signal.pause()
else:
    signal.pause() if len(sys.argv) > 2 else None
"""


def python(program: str, *words: str, timeout_s: float = LONG_S) -> Command:
    """Make a command of a Python program."""
    return Command((sys.executable, "-c", program, *words), timeout_s=timeout_s)


def runs(pid: int) -> bool:
    """Say whether a process is there, and more than a remainder that nobody has buried."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


async def written(path: Path) -> str:
    """Wait for a file's content."""
    async with asyncio.timeout(LONG_S):
        while not (path.exists() and path.read_text()):  # noqa: ASYNC110, ASYNC240 - another process's file
            await asyncio.sleep(0)
    return path.read_text()  # noqa: ASYNC240 - as above


async def gone(pid: int) -> bool:
    """Wait until a process is no more."""
    async with asyncio.timeout(LONG_S):
        while runs(pid):  # noqa: ASYNC110 - a process that is no child of ours tells nobody of its end
            await asyncio.sleep(0)
    return True


async def test_it_gets_the_telling_on_stdin(tmp_path: Path) -> None:
    """Whole, without a shell, its words as they are."""
    out = tmp_path / "$(out) ;x"
    await python("import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())", str(out)).tell(TELLING, key="k")
    assert TELLING == out.read_bytes()


async def test_one_that_reads_nothing_has_been_told_too() -> None:
    """Its code alone says that it took the telling, however long that is."""
    await python("").tell(TELLING * 10_000, key="k")


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("raise SystemExit(3)", "ended with 3$"),
        ("import sys; sys.exit('no\\n\\x07way')", "ended with 1: no way$"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was killed by signal 9$"),
    ],
)
async def test_anything_but_zero_is_a_refusal(program: str, said: str) -> None:
    """With what it complained, in one line; trying again may help."""
    with pytest.raises(HookError, match=said) as refused:
        await python(program).tell(TELLING, key="k")
    assert refused.value.again


async def test_of_long_complaints_the_beginning_is_kept() -> None:
    """All are read, so that it never waits for a reader; in the log stands a line of them."""
    flood = "import sys; sys.stderr.write('x' * 3_000_000); sys.stdout.write('y' * 3_000_000); sys.exit(1)"
    with pytest.raises(HookError) as refused:
        await python(flood).tell(TELLING, key="k")
    assert str(refused.value).endswith(": " + "x" * SAID_LENGTH_MAX)
    assert SAID_LENGTH_MAX < SAID_BYTES_MAX


async def test_one_that_is_not_there_is_said_to_be() -> None:
    """By its name, which is no secret."""
    with pytest.raises(HookError, match=r"/nowhere/tell cannot be run \(No such file or directory\)"):
        await Command(("/nowhere/tell",), timeout_s=LONG_S).tell(TELLING, key="k")


async def test_one_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all that it started, when its time is over; it had a session of its own."""
    limits: dict[float | None, asyncio.Timeout] = {}

    def noted(delay: float | None) -> asyncio.Timeout:
        return limits.setdefault(delay, asyncio.timeouts.timeout(delay))

    pid = tmp_path / "pid"
    monkeypatch.setattr(asyncio, "timeout", noted)
    told = asyncio.create_task(python(LEAVES_A_CHILD, str(pid), "hang", timeout_s=59.0).tell(TELLING, key="k"))
    child = int(await written(pid))
    assert os.getsid(child) != os.getsid(0)
    monkeypatch.undo()
    limits[59.0].reschedule(asyncio.get_running_loop().time())
    with pytest.raises(HookError, match="was not done within 59 s, and was killed"):
        await told
    assert await gone(child)


async def test_nobody_who_waits_leaves_it_running(tmp_path: Path) -> None:
    """When the daemon stops meanwhile it is killed at once."""
    pid = tmp_path / "pid"
    told = asyncio.create_task(python(WAITS, str(pid)).tell(TELLING, key="k"))
    process, session = map(int, (await written(pid)).split())
    began = time.monotonic()
    told.cancel()
    with pytest.raises(asyncio.CancelledError):
        await told
    assert not runs(process)
    assert process == session
    assert time.monotonic() - began < LONG_S


async def test_what_it_leaves_behind_is_not_waited_for(tmp_path: Path) -> None:
    """One that ends well and leaves a child that holds its stderr has taken the telling."""
    pid = tmp_path / "pid"
    await python(LEAVES_A_CHILD, str(pid)).tell(TELLING, key="k")
    child = int(await written(pid))
    assert runs(child)
    os.kill(child, 9)


def open_files() -> int:
    """Count the descriptors of this process."""
    gc.collect()  # what other tests have left is closed before, not between
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_nothing_is_left_open() -> None:
    """Neither after a telling that was taken nor after one that was not."""
    before = open_files()
    await python("").tell(TELLING, key="k")
    with pytest.raises(HookError):
        await Command(("/nowhere/tell",), timeout_s=LONG_S).tell(TELLING, key="k")
    assert before == open_files()


@pytest.mark.parametrize("spare", range(6))
async def test_a_process_with_no_descriptors_left_is_a_refusal(spare: int) -> None:
    """Whichever of those that a telling takes is the first that is not to be had: later there may be some again."""
    before = open_files()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    least = os.open(os.devnull, os.O_RDONLY)
    os.close(least)
    resource.setrlimit(resource.RLIMIT_NOFILE, (least + spare, hard))
    try:
        with pytest.raises(HookError, match=r"cannot be run \(Too many open files\)") as refused:
            await python("").tell(TELLING, key="k")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (True, before) == (refused.value.again, open_files())
