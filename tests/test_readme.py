"""Every command that README.md shows is run: word for word where that can be, with other places where it cannot."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import orjson
import pytest

from ditad.client import Client
from ditad.client.asking import SOCKET
from ditad.config import load
from ditad.exchange import AccountSpec, SimulatedExchange, trade
from tests.support.running import STILL, WAIT_S_MAX, account_settings, settings_file, short_folder
from tests.support.terminal import needs_tmux, terminal
from tests.systemd import recipe
from tests.test_cli_end_to_end import agreed, begun, daemon, running, snapshots

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
CI = (ROOT / ".ci" / "run").read_text()
SETUP_S_MAX = 300.0
"""A fresh virtual environment from a slow index."""

BENCHMARK_S_MAX = 120.0
EXPORTS_MAX = 60
"""A ledger is exported again so often: what has just moved is stated by the next round of questions, 30 s later at most."""
PROBE = "structlog"
"""Something small to ask the package index for."""

DITAD = f"{shlex.quote(sys.executable)} -m ditad"

DEMO = "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/ditad demo"
TESTS = "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test,interop]' && .venv/bin/pytest -q"
CHECKS = ".venv/bin/ruff format --check . && .venv/bin/ruff check . && .venv/bin/mypy"
BENCHMARKS = ".venv/bin/python -m tests.benchmarks"
SOME_PARTS = f"{BENCHMARKS} cost latency --json result.json"
WAITING = ".venv/bin/python tests/benchmarks/first_output.py"
PAINTED = ".venv/bin/python tests/benchmarks/top_first_paint.py"
ACCURATE = ".venv/bin/python tests/benchmarks/accuracy.py"
WHERE = "export DITAD_SOCKET=/run/ditad/ditad.sock"
EXCHANGE = ".venv/bin/ditad exchange --port 8777 --seed 7"
COMPLETION = 'eval "$(_DITAD_COMPLETE=bash_source ditad)"'
PREPARE = re.compile(
    r"sudo install -d -m 0750 /etc/ditad( /run/ditad)? && sudo cp config/ditad\.toml /etc/ditad/ditad\.toml"
)
KEY = re.compile(r"sudo sh -c 'umask 077; cat > /etc/ditad/main\.(api_key|api_secret)'")
CHECK = re.compile(r"(sudo )?(CREDENTIALS_DIRECTORY=/etc/ditad )?\.venv/bin/ditad check-config /etc/ditad/ditad\.toml")
RUN = re.compile(
    r"sudo CREDENTIALS_DIRECTORY=/etc/ditad( RUNTIME_DIRECTORY=/run/ditad)? \.venv/bin/ditad run --config /etc/ditad/ditad\.toml"
)
DOCTOR = re.compile(r"sudo CREDENTIALS_DIRECTORY=/etc/ditad \.venv/bin/ditad doctor --config /etc/ditad/ditad\.toml")
BOT = re.compile(
    r"""curl -s --unix-socket "\$DITAD_SOCKET" (-X PUT )?-d '\{[^']+\}' http://d/v1/accounts/main/bot/(slots|settlements)"""
)
ASK = re.compile(r"ditad (status|snapshot|positions|fills|income|divergences|gaps|events)( --[a-z-]+( \d+)?)*")
CURL = re.compile(r'curl -s --unix-socket "\$DITAD_SOCKET" ("?)http://d/v1/[a-z/_?=0-9&]+\1')
LOOK = re.compile(r"ditad (at \S+|diff \S+ \S+|why \S+)( --json)?")
ON_JOURNAL = re.compile(
    r"sudo ditad (replay|verify|backup) --config /etc/ditad/ditad\.toml( --out /var/backups/main\.journal)?"
)
PAPERS = re.compile(
    r"sudo ditad (report|export) --config /etc/ditad/ditad\.toml( --format (beancount|csv|parquet))?( --since 2026-01-01)? --out [a-z.-]+"
)
KEPT = "ditad demo --duration 5 --keep /tmp/demo && ditad report --config /tmp/demo/ditad.toml --account hedge --out demo.html"
PAPERS_MEASURED = ".venv/bin/python tests/benchmarks/report_export.py"
RESTORE = re.compile(r"sudo (rm -f|cp)( /var/(lib/ditad|backups)/main\.journal(-wal|-shm)?){2}")
ACT = re.compile(r'ditad (audit|adopt --why "[^"]+" --yes)')
SCREEN = (".venv/bin/pip install -q '.[tui]'", "ditad top")
TRAVEL = ".venv/bin/python tests/benchmarks/time_travel.py"
PROOF = re.compile(
    r"\.venv/bin/python -m tests\.(simulation --seeds|fuzz --inputs|kills --kills|hostile --requests) (\d+)"
)
SYSTEMD = ".venv/bin/python -m tests.systemd"
FORMS = (PROOF, PREPARE, KEY, CHECK, DOCTOR, RUN, ASK, LOOK, ON_JOURNAL, PAPERS, RESTORE, ACT, CURL, BOT)
KNOWN = (
    *map(
        re.escape,
        (
            DEMO,
            TESTS,
            CHECKS,
            BENCHMARKS,
            SOME_PARTS,
            TRAVEL,
            PAPERS_MEASURED,
            WAITING,
            PAINTED,
            ACCURATE,
            KEPT,
            SYSTEMD,
            *SCREEN,
        ),
    ),
    *map(re.escape, (WHERE, COMPLETION, EXCHANGE, *recipe.commands(README))),
    *(form.pattern for form in FORMS),
)
"""Every form of command that a test below runs; a line of no such form needs a test first."""


def commands() -> list[str]:
    """Give the lines of all sh blocks, without their remarks."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
    lines = [re.sub(r"\s+# .*$", "", line).strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def programs() -> list[str]:
    """Give the python blocks."""
    return re.findall(r"^```python\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def test_the_hook_is_one(folder: Path) -> None:
    """What is shown of [tell] can stand in front of an account's settings."""
    (block,) = re.findall(r"^```toml\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
    path = folder / "ditad.toml"
    path.write_text(block + '[[account]]\nname = "main"\nenvironment = "live"\n')
    tell = load(path, environ={}).tell
    assert tell is not None
    assert (("/usr/local/bin/tell-me",), "ERROR") == (tell.command, tell.severity)


def test_the_service_recipe_is_run_in_the_sandbox() -> None:
    """Its lines are those that `tests.systemd` runs as root under a real systemd, by the command that is shown."""
    assert set(recipe.commands(README)) <= set(commands())
    assert SYSTEMD in commands()


def shown(form: re.Pattern[str]) -> list[str]:
    """Give the commands of one form, in their order."""
    return [line for line in commands() if form.fullmatch(line)]


async def shell(
    command: str, *, cwd: Path, environ: dict[str, str] | None = None, stdin: bytes = b"", wait_s: float = WAIT_S_MAX
) -> tuple[int, str, str]:
    """Run a line as a person's shell would, in a session of its own that is ended whole; gives code and outputs."""
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        command,
        cwd=cwd,
        env={**os.environ, **(environ or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(wait_s):
            out, err = await process.communicate(stdin)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    assert process.returncode is not None, "it has ended"
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a private folder with a short path, for the state and the unix socket."""
    made = short_folder()
    yield made
    shutil.rmtree(made)


@asynccontextmanager
async def lived(folder: Path) -> AsyncIterator[tuple[Path, SimulatedExchange]]:
    """Run a daemon that has seen some trading and agrees with the exchange; gives its socket."""
    async with SimulatedExchange(seed=11, accounts=[AccountSpec(name="main")], timing=STILL) as exchange:
        key, secret = exchange.credentials["main"]
        account = account_settings(
            folder, "main", rest_url=exchange.rest_url, ws_url=exchange.ws_url, api_key=key, api_secret=secret
        )
        async with daemon(settings_file(folder, account)):
            await begun(folder / "s")
            since = exchange.mark("main")
            await trade(exchange, "main", actions=20, seed=8)
            await agreed(folder / "s", exchange.books_since(since))
            yield folder / "s", exchange


def test_every_command_has_a_test() -> None:
    """A command that no test knows is not shown to a reader, and what the tests know is shown."""
    lines = commands()
    assert [] == [line for line in lines if not any(re.fullmatch(form, line) for form in KNOWN)]
    assert [] == [form for form in KNOWN if not any(re.fullmatch(form, line) for line in lines)]


async def fresh_clone(folder: Path) -> Path:
    """Copy the tree without anything installed; skips where nothing could be installed into it."""
    probe = f"{shlex.quote(sys.executable)} -m pip download -q --no-deps --dest {folder}/probe {PROBE}"
    if (await shell(probe, cwd=folder, wait_s=SETUP_S_MAX))[0]:
        pytest.skip("pip reaches no package index from here, so this command of the README cannot be tried")
    clone = folder / "clone"
    shutil.copytree(
        ROOT,
        clone,
        ignore=shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", ".coverage*"),
    )
    return clone


async def test_the_demo_command_works_in_a_fresh_clone(folder: Path) -> None:
    """The first command, word for word, in a copy of the tree without anything installed, ends with 0."""
    clone = await fresh_clone(folder)
    code, out, err = await shell(DEMO, cwd=clone, wait_s=SETUP_S_MAX)
    assert 0 == code, (out[-2000:], err[-2000:])
    assert "equal to the last digit" in out


def test_ci_runs_the_readmes_test_command() -> None:
    """`.ci/run` looks the test command up in README.md by words that find this line first."""
    found = re.search(r"grep -m 1 -F '([^']+)' README\.md", CI)
    assert found is not None, ".ci/run greps README.md"
    assert TESTS == next(line for line in README.splitlines() if found[1] in line)
    assert 'bash -c "$command"' in CI


def test_ci_runs_the_readmes_checks() -> None:
    """Format, lint and types are checked by the same words in both places, in the same order."""
    steps = CHECKS.split(" && ")
    assert steps == [line for line in CI.splitlines() if line in steps]


async def test_the_verbs_that_ask(folder: Path) -> None:
    """Each verb answers a reader who set `DITAD_SOCKET`, and says nothing on stderr."""
    async with lived(folder) as (socket, _):
        for line in shown(ASK):
            told = re.sub(r"^ditad\b", DITAD, line)
            code, out, err = await shell(told, cwd=ROOT, environ={"DITAD_SOCKET": str(socket)})
            assert (line, 0, "") == (line, code, err)
            assert out.strip(), line
            if "--json" in line:
                assert orjson.loads(out), line


@needs_tmux
async def test_the_screen_in_a_fresh_clone(folder: Path) -> None:
    """The extra alone, without what the tests need, brings all that `ditad top` imports; it shows a living daemon."""
    assert list(SCREEN) == [line for line in commands() if line in SCREEN]
    clone, (install, top) = await fresh_clone(folder), SCREEN
    code, _, err = await shell(f"python3 -m venv .venv && {install}", cwd=clone, wait_s=SETUP_S_MAX)
    assert 0 == code, err[-2000:]
    async with lived(folder) as (socket, _):
        words = ("bash", "-c", f"{clone}/.venv/bin/{top}")
        async with terminal(folder / "t", *words, environ={"DITAD_SOCKET": str(socket)}) as screen:
            await screen.shows("ditad top  main", "VERDICT   OK")
            await screen.press("q")
            await screen.shows("ended with 0")


async def test_the_verbs_that_look_back(folder: Path) -> None:
    """Each shows what was, of a young account too, whose ten minutes have not passed yet."""
    async with lived(folder) as (socket, _):
        for line in shown(LOOK):
            told = re.sub(r"^ditad\b", DITAD, line).replace("10m", "0s")
            code, out, err = await shell(told, cwd=ROOT, environ={"DITAD_SOCKET": str(socket)})
            assert (line, 0, "") == (line, code, err)
            assert out.strip(), line
            if "--json" in line:
                assert orjson.loads(out), line


async def test_the_verbs_that_act(folder: Path) -> None:
    """Who may, root that is, asks the exchange now and adopts; everybody else is told who may."""
    async with lived(folder) as (socket, _):
        for line in shown(ACT):
            told = re.sub(r"^ditad\b", DITAD, line)
            code, out, err = await shell(told, cwd=ROOT, environ={"DITAD_SOCKET": str(socket)})
            assert (line, 0 if os.getuid() == 0 else 77) == (line, code), err
            assert bool(out) == (code == 0), line


async def test_a_journal_is_checked_copied_and_restored(folder: Path) -> None:
    """While the daemon runs it is checked and copied; the copy, put back, is asked about up to the present."""
    settings, state = folder / "ditad.toml", folder / "state"
    places = {
        "/etc/ditad/ditad.toml": str(settings),
        "/var/backups": str(folder / "backups"),
        "/var/lib/ditad": str(state),
        "sudo ": "",
    }
    (folder / "backups").mkdir()

    async def done(line: str) -> None:
        told = re.sub(r"^(sudo )?ditad\b", DITAD, line)
        for place, ours in places.items():
            told = told.replace(place, ours)
        code, _, err = await shell(told, cwd=ROOT)
        assert (line, 0, "") == (line, code, err)

    async with SimulatedExchange(seed=13, accounts=[AccountSpec(name="main")]) as exchange:
        key, secret = exchange.credentials["main"]
        urls = {"rest_url": exchange.rest_url, "ws_url": exchange.ws_url}
        settings_file(folder, account_settings(folder, "main", **urls, api_key=key, api_secret=secret))
        async with daemon(settings):
            await begun(folder / "s")
            since = exchange.mark("main")
            await trade(exchange, "main", actions=10, seed=9)
            await agreed(folder / "s", exchange.books_since(since))
            for line in shown(ON_JOURNAL):
                await done(line)
            await trade(exchange, "main", actions=10, seed=10)
        for line in shown(RESTORE):
            await done(line)
        async with daemon(settings):
            await agreed(folder / "s", exchange.books_since(since))


async def test_an_account_is_reported_and_exported(folder: Path) -> None:
    """While the daemon runs each file is written that the command names, and bean-check accepts the ledger."""
    pytest.importorskip("jinja2", reason="the extra [report] is missing")
    pytest.importorskip("pyarrow", reason="the extra [export] is missing")
    async with lived(folder):
        for line in shown(PAPERS):
            told = re.sub(r"^sudo ditad\b", DITAD, line).replace("/etc/ditad/ditad.toml", str(folder / "ditad.toml"))
            for _ in range(EXPORTS_MAX):
                code, out, err = await shell(told, cwd=folder, environ={"PYTHONPATH": str(ROOT)})
                if "the next balance covers this day" not in err:  # the account has traded until this moment
                    break
                (folder / line.rpartition(" ")[2]).unlink()
            assert (line, 0, "") == (line, code, err)
            assert out.startswith(f"{line.rpartition(' ')[2]}: ")
        checker = Path(sys.executable).parent / "bean-check"
        assert (0, "", "") == await shell(f"{shlex.quote(str(checker))} main.beancount", cwd=folder)


async def test_a_demo_is_kept_and_reported(folder: Path) -> None:
    """Its settings and journals stay in the folder that is named, and the report is made of them."""
    pytest.importorskip("jinja2", reason="the extra [report] is missing")
    told = re.sub(r"\bditad (?=demo|report)", f"{DITAD} ", KEPT).replace("/tmp/demo", str(folder / "demo"))  # noqa: S108 - as shown
    code, out, err = await shell(told, cwd=folder, environ={"PYTHONPATH": str(ROOT)}, wait_s=BENCHMARK_S_MAX)
    assert 0 == code, (out[-2000:], err[-2000:])
    assert "of hedge" in out
    assert out.startswith("two accounts of a simulated exchange, 40 acts a second each, with forced closes"), out[:300]
    assert (folder / "demo.html").exists()
    code, _, err = await shell(told, cwd=folder, environ={"PYTHONPATH": str(ROOT)})
    assert (64, True) == (code, "--keep: " in err)


async def test_the_bots_own_books_by_curl(folder: Path) -> None:
    """What is shown is taken, and a repeat changes nothing."""
    async with lived(folder) as (socket, _):
        for line in shown(BOT):
            told = [
                orjson.loads((await shell(line, cwd=ROOT, environ={"DITAD_SOCKET": str(socket)}))[1]) for _ in range(2)
            ]
            assert [] == [answer for answer in told if "error" in answer]
            assert [False, True] == [answer.get("repeated", answer.get("unchanged")) for answer in told]


async def test_a_bot_that_trades_only_while_all_is_well(folder: Path) -> None:
    """The three lines give the capital while the verdict is OK, and stop the bot when there is no daemon."""
    guarded, watching = programs()
    run = f"exec {shlex.quote(sys.executable)} -c {shlex.quote(guarded)}"
    socket = folder / "s"
    async with asyncio.timeout(WAIT_S_MAX), lived(folder), Client(socket) as client:
        while not (found := await client.usable(only_ok=True)):
            async with aclosing(client.events()) as events:  # what is in the way is on its way
                await anext(events)
        code, out, err = await shell(run, cwd=ROOT, environ={"DITAD_SOCKET": str(socket)})
        assert (0, "") == (code, err)
        assert found.capital is not None
        assert re.fullmatch(r"size with [0-9.]+\n", out)
        environ = {"DITAD_SOCKET": str(socket), "PYTHONUNBUFFERED": "1"}
        async with running(sys.executable, "-c", watching, environ=environ) as watcher:
            said = await watcher.heard(b"Fill(")
        assert said.split()[1] == b"fill"
    code, out, err = await shell(run, cwd=ROOT, environ={"DITAD_SOCKET": str(socket)})
    assert (1, "") == (code, out)
    assert "NotUsableError: not usable: no daemon" in err


async def test_the_same_by_curl(folder: Path) -> None:
    """Each path answers curl, in a shell that was told where the socket is by the line before; those that are JSON are."""
    lines = [line for line in commands() if line == WHERE or "$DITAD_SOCKET" in line]
    assert (WHERE, 1) == (lines[0], lines.count(WHERE))
    assert WHERE.endswith(f"={SOCKET}")
    async with lived(folder) as (socket, _):
        code, out, err = await shell(f"{WHERE.replace(SOCKET, str(socket))} && {lines[1]}", cwd=ROOT)
        assert (0, "", True) == (code, err, "items" in orjson.loads(out))
        for line in shown(CURL):
            code, out, err = await shell(line, cwd=ROOT, environ={"DITAD_SOCKET": str(socket)})
            assert (line, 0, "") == (line, code, err)
            if line.rstrip('"').endswith("/metrics"):
                assert "ditad_" in out
            else:
                answers = [orjson.loads(text) for text in out.splitlines()]
                assert answers, line
                assert [] == [answer for answer in answers if "error" in answer]


async def test_a_real_account(folder: Path) -> None:
    """The lines for a real account run and end, with the system's folders in ours and the exchange simulated."""
    etc = folder / "etc"
    places = {"/etc/ditad": str(etc), "/run/ditad": str(folder / "run"), "/var/lib/ditad": str(folder / "state")}

    def here(text: str) -> str:
        for place, ours in places.items():
            text = text.replace(place, ours)
        return text.replace("sudo ", "").replace(".venv/bin/ditad", DITAD)

    (prepare,), keys, (check,), (run,) = shown(PREPARE), shown(KEY), shown(CHECK), shown(RUN)
    (examine,) = shown(DOCTOR)
    spec = AccountSpec(name="main", permissions=frozenset({"read"}))
    async with SimulatedExchange(seed=12, accounts=[spec]) as exchange:
        typed = {line: f"{text}\n".encode() for line, text in zip(keys, exchange.credentials["main"], strict=True)}
        for line in (prepare, *keys, check):
            code, out, err = await shell(here(line), cwd=ROOT, stdin=typed.get(line, b""))
            assert (line, 0, "") == (line, code, err), out
        assert [0o600, 0o600] == [(etc / f"main.{word}").stat().st_mode & 0o777 for word in ("api_key", "api_secret")]
        settings = etc / "ditad.toml"
        custom = f'environment = "custom"\nrest_url = "{exchange.rest_url}"\nws_url = "{exchange.ws_url}"'
        changed, replaced = re.subn(r'^environment = "live"', custom, here(settings.read_text()), flags=re.MULTILINE)
        assert 1 == replaced
        settings.write_text(changed)
        code, out, err = await shell(here(examine), cwd=ROOT)
        assert (1, "") == (code, err), "no daemon runs yet, and that is all there is to say\n" + out
        assert ["socket"] == [line.split()[1] for line in out.splitlines() if not line.startswith("OK")]
        async with running("bash", "-c", "exec env " + here(run)) as started:
            await started.logged("daemon.ready")
            assert "OK" == (await begun(folder / "run" / "ditad.sock"))["reconcile"]["status"]
            assert 0 == await started.ends(signal.SIGTERM)


async def test_an_exchange_of_ones_own(folder: Path) -> None:
    """What its first line tells, written where the README says, makes a daemon that agrees with it; a second is the same."""
    etc, (settings_text, urls) = folder / "etc", ((ROOT / "config" / "ditad.toml").read_text(), ("rest_url", "ws_url"))
    serve = EXCHANGE.replace(".venv/bin/ditad", DITAD)
    async with running("bash", "-c", f"exec {serve.replace('8777', '0')}") as exchange:
        told = orjson.loads(await exchange.heard(b"rest_url"))
        lines = ['environment = "custom"', *(f'{name} = "{told[name]}"' for name in urls)]
        etc.mkdir(mode=0o700)
        for word, value in told["credentials"]["main"].items():
            (etc / f"main.{word}").write_text(value)
        settings = etc / "ditad.toml"
        changed, count = re.subn(r'^environment = "live".*$', "\n".join(lines), settings_text, flags=re.MULTILINE)
        changed = changed.replace("/var/lib/ditad", str(folder / "state")).replace("/run/ditad", str(folder / "run"))
        settings.write_text(changed)
        (folder / "run").mkdir()
        assert 1 == count
        environ = {"CREDENTIALS_DIRECTORY": str(etc)}
        check = f"{DITAD} check-config {settings}"
        assert (0, f"{settings}: nothing is wrong with it\n", "") == await shell(check, cwd=ROOT, environ=environ)
        async with running("bash", "-c", f"exec {DITAD} run --config {settings}", environ=environ) as started:
            await started.logged("daemon.ready")
            async with asyncio.timeout(WAIT_S_MAX), aclosing(snapshots(folder / "run" / "ditad.sock")) as stream:
                async for snapshot in stream:
                    if snapshot["baseline"] is not None and snapshot["reconcile"]["status"] == "OK":
                        break
                else:
                    pytest.fail("the stream ended before both ledgers agreed")
            assert 0 == await started.ends(signal.SIGTERM)
        assert 0 == await exchange.ends(signal.SIGINT)
    async with running("bash", "-c", f"exec {serve.replace('8777', '0')}") as again:
        assert told["credentials"] == orjson.loads(await again.heard(b"rest_url"))["credentials"]


@pytest.mark.parametrize("line", shown(PROOF))
async def test_the_proofs(line: str) -> None:
    """Simulation, fuzz and kills are run by the commands shown, with small numbers."""
    few = {"simulation": "2", "fuzz": "400", "kills": "1", "hostile": "300"}
    match = PROOF.fullmatch(line)
    assert match is not None
    short = line.replace(".venv/bin/python", shlex.quote(sys.executable)).removesuffix(match[2])
    code, out, err = await shell(
        short + next(count for name, count in few.items() if name in short), cwd=ROOT, wait_s=BENCHMARK_S_MAX
    )
    assert 0 == code, out + err


async def test_the_benchmark_of_time_travel(folder: Path) -> None:
    """It runs from any folder, with a short life, and prints each figure next to its baseline."""
    line = TRAVEL.replace(".venv/bin/python", shlex.quote(sys.executable)).replace("tests/", f"{ROOT}/tests/", 1)
    code, out, err = await shell(f"{line} --events 1000 --json", cwd=folder, wait_s=BENCHMARK_S_MAX)
    assert (0, "") == (code, err)
    result = orjson.loads(out)
    assert 1000 == result["events"]
    assert {"at a number", "baseline: folded, a number"} <= set(result["figures"])


async def test_the_benchmark_of_reports(folder: Path) -> None:
    """It runs from any folder, with a short life, and prints the figures of each verb."""
    pytest.importorskip("jinja2", reason="the extra [report] is missing")
    pytest.importorskip("pyarrow", reason="the extra [export] is missing")
    line = PAPERS_MEASURED.replace(".venv/bin/python", shlex.quote(sys.executable)).replace(
        "tests/", f"{ROOT}/tests/", 1
    )
    code, out, err = await shell(f"{line} --events 1000 --json", cwd=folder, wait_s=BENCHMARK_S_MAX)
    assert (0, "") == (code, err)
    result = orjson.loads(out)
    assert (1000, 0) == (result["events"], result["bean_check"]["code"])
    assert {"report", "export beancount", "export csv", "export parquet"} == set(result["figures"])


async def test_the_benchmark_of_waiting(folder: Path) -> None:
    """It runs from any folder, on a short life, and prints each verb next to the floors."""
    line = WAITING.replace(".venv/bin/python", shlex.quote(sys.executable)).replace("tests/", f"{ROOT}/tests/", 1)
    code, out, err = await shell(f"{line} --events 1000 --times 1 --json", cwd=folder, wait_s=BENCHMARK_S_MAX)
    assert (0, "") == (code, err)
    figures = orjson.loads(out)["figures"]
    assert {"floor: python", "status", "fills", "doctor", "verify"} <= set(figures)
    assert [] == [name for name, figure in figures.items() if figure["median_ms"] <= 0]


async def test_the_benchmark_of_the_screen(folder: Path) -> None:
    """It runs from any folder, in a terminal of its own, and prints each stretch of the wait."""
    line = PAINTED.replace(".venv/bin/python", shlex.quote(sys.executable)).replace("tests/", f"{ROOT}/tests/", 1)
    code, out, err = await shell(f"{line} --runs 1 --json", cwd=folder, wait_s=BENCHMARK_S_MAX)
    assert (0, "") == (code, err)
    (figures,) = orjson.loads(out)
    assert {"screen taken", "first paint after it", "CPU of all, to the end"} == set(figures)
    assert [] == [name for name, figure in figures.items() if figure <= 0]


async def test_the_benchmark_of_accuracy(folder: Path) -> None:
    """It runs from any folder, on a few clean events, and finds nothing wrong of them."""
    line = ACCURATE.replace(".venv/bin/python", shlex.quote(sys.executable)).replace("tests/", f"{ROOT}/tests/", 1)
    few = "--days 0 --pairs 0 --clean 300 --slow 0"
    code, out, err = await shell(f"{line} {few} --json", cwd=folder, wait_s=BENCHMARK_S_MAX)
    assert (0, "") == (code, err)
    result = orjson.loads(out)
    assert ([], []) == (result["failures"], result["clean"]["wrong"])
    assert result["clean"]["events"] >= 300


async def test_the_shell_learns_to_complete(folder: Path) -> None:
    """The line for bash is one that bash takes, and it completes with what ditad says."""
    program = folder / "ditad"
    program.write_text(f'#!/bin/sh\nexec {DITAD} "$@"\n')
    program.chmod(0o755)
    told = f'export PATH="{folder}:$PATH" PYTHONPATH={shlex.quote(str(ROOT))}\n{COMPLETION}\ncomplete -p ditad'
    code, out, err = await shell(told, cwd=ROOT)
    assert (0, "") == (code, err)
    assert "_ditad_completion" in out


async def test_the_benchmarks(folder: Path) -> None:
    """Some parts of them, by the words shown but for their size: a table on stdout, the same figures in the file."""
    line = SOME_PARTS.replace(".venv/bin/python", shlex.quote(sys.executable)).replace("result.json", f"{folder}/r")
    code, out, err = await shell(f"{line} --frames 64 --rounds 1 --seconds 0.1", cwd=ROOT, wait_s=BENCHMARK_S_MAX)
    assert (0, "cost …\nlatency …\n") == (code, err)
    figures = orjson.loads((folder / "r").read_bytes())["figures"]
    assert [] == [figure["what"] for figure in figures if figure["what"] not in out or not figure["pacing"]]
    assert {"cost per push", "from frame to snapshot"} == {figure["part"] for figure in figures}


async def test_the_default_benchmarks_know_their_parts() -> None:
    """The command without parts is too long for a test; that it runs each part, `tests/test_benchmarks.py` holds."""
    line = BENCHMARKS.replace(".venv/bin/python", shlex.quote(sys.executable))
    code, out, err = await shell(f"{line} --help", cwd=ROOT)
    assert (0, "") == (code, err)
    assert [] == [
        part for part in re.findall(r"`([a-z-]+)`", README.partition("Parts are named")[2][:200]) if part not in out
    ]
