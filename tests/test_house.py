"""The laws of the house that a machine can watch: who may import whom, that there is no circle, and banned calls."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "ditad"

LINES_MAX = 620
"""No module is longer; past three hundred lines it is probably two rooms, and only the vocabulary comes near this."""

GROUND = {"errors", "clock", "codec", "money", "events", "records"}
"""The ground floor: it imports nothing of ours but itself."""

PURE = {
    *GROUND - {"clock"},
    "orders",
    "axis",
    "laying",
    "book",
    "arranging",
    "stepping",
    "witnesses",
    "selections",
    "incomes",
    "closes",
    "forced",
    "settle",
    "coverage",
    "reconcile",
    "state",
    "turn",
    "fills",
    "booking",
    "beginnings",
    "cashflows",
    "restated",
    "statements",
    "verdict",
    "divergences",
    "causes",
    "moves",
    "candidates",
    "attribution",
    "entries",
    "why",
    "difference",
    "kept",
    "needs",
    "rounds",
    "snapshot",
    "projection",
    "slots",
    "legs",
    "trades",
    "bot",
    "bot_words",
    "opinions",
    "library",
    "blocks",
    "account",
    "bingx.wire",
    "bingx.push",
    "bingx.normalize",
    "bingx.session",
    "bingx.sign",
    "bingx.audit",
    "doctor.findings",
    "doctor.judging_machine",
    "doctor.judging_exchange",
    "journal.schema",
    "api.refusals",
    "api.routes",
    "api.schema",
    "bookkeeping",
    "report.curves",
    "report.drawing",
    "export.tables",
    "export.beancount",
    "tui.figures",
    "tui.lines",
    "tui.health",
    "tui.equity",
    "tui.seen",
    "tui.rows",
    "tui.standing",
    "tui.board",
    "tui.detail",
    "tell.news",
    "client.answers",
    "client.reading",
    "client.telling",
    "client.usability",
}
"""Modules that decide: no clock, randomness, socket, file, task or logger."""

ACTING = {
    "asyncio",
    "time",
    "random",
    "socket",
    "os",
    "pathlib",
    "threading",
    "subprocess",
    "logging",
    "structlog",
    "aiohttp",
    "websockets",
    "sqlite3",
    "tempfile",
}
"""What only modules that act may import."""

MAY_IMPORT = {
    "bingx": {"bingx", "events", "money", "errors", "clock", "records"},
    "journal": {"journal", "events", "records", "codec", "errors"},
    "exchange": {"exchange"},
    "api": {"api", "hub", "records", "errors", "clock", "money"},
    "client": {"client", "api.client", "api.following", "api.refusals", "errors", "money"},
    "hub": {"records", "clock"},
    "tui": {"tui", "api.client", "cli.tables", "clock", "errors"},
    "tell": {"tell", "api.answers", "api.doors", "api.feed", "api.routes", "errors", "records"},
    "log": {"log", "log_lines", "log_stream", "errors", "records"},
}
"""For each folder or file at a border, what of ours it may import."""


@functools.cache
def modules() -> dict[str, Path]:
    """Give every module of the package by its name below it; a folder's own is the folder's name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = path
    return found


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """Parse a module."""
    return ast.parse(path.read_text(), filename=str(path))


def imported(path: Path, *, at_top: bool = False) -> set[str]:
    """Give the full names of all modules that a file imports (at its top level only, if asked)."""
    tree = tree_of(path)
    names: set[str] = set()
    nodes = tree.body if at_top else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            names.update(whole)
            if not all(_is_module(name) for name in whole):  # something of the module itself is wanted
                names.add(node.module or "")
    return names


def _is_module(name: str) -> bool:
    """Say whether a full name is a module of the package rather than something in one."""
    return name.startswith("ditad.") and name.removeprefix("ditad.") in modules()


def ours(path: Path, *, at_top: bool = False) -> set[str]:
    """Give the modules of the package that a file imports."""
    known = modules()
    names = {name.removeprefix("ditad.") for name in imported(path, at_top=at_top) if name.startswith("ditad.")}
    return {name for name in names if name in known and name}


def in_room(name: str, room: str) -> bool:
    """Say whether a module stands in a folder, or is that file."""
    return name == room or name.startswith(f"{room}.")


def test_the_ground_floor_imports_nothing_of_ours_but_itself() -> None:
    """Errors, time, money, codec, events and records stand on nothing else."""
    found = {name: ours(modules()[name]) - GROUND for name in GROUND}
    assert {name: set() for name in GROUND} == found


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_each_border_imports_only_what_it_may(room: str) -> None:
    """A border knows the vocabulary, never the ledger or another border."""
    strangers = {
        name: [other for other in ours(path) if not any(in_room(other, allowed) for allowed in MAY_IMPORT[room])]
        for name, path in modules().items()
        if in_room(name, room)
    }
    assert {} == {name: others for name, others in strangers.items() if others}


def test_the_border_and_the_simulated_exchange_never_meet() -> None:
    """Two readings of one specification check each other only while neither imports the other."""
    meetings = [
        name
        for name, path in modules().items()
        for other in ours(path)
        if (in_room(name, "bingx") and in_room(other, "exchange"))
        or (in_room(name, "exchange") and in_room(other, "bingx"))
    ]
    assert [] == meetings


def test_no_module_imports_itself_by_a_detour() -> None:
    """There is no circle of imports, however long."""
    graph = {name: ours(path, at_top=True) - {name} for name, path in modules().items()}
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> list[str]:
        if name in trail:
            return [" -> ".join((*trail[trail.index(name) :], name))]
        if name in done:
            return []
        circles = [circle for other in sorted(graph.get(name, ())) for circle in walk(other, (*trail, name))]
        done.add(name)
        return circles

    assert [] == [circle for name in graph for circle in walk(name, ())]


def test_modules_that_decide_import_nothing_that_acts() -> None:
    """No clock, randomness, socket, file, task or logger in a pure module."""
    known = modules()
    acting = {
        name: sorted({module.partition(".")[0] for module in imported(known[name])} & ACTING)
        for name in sorted(PURE & set(known))
    }
    assert {} == {name: found for name, found in acting.items() if found}


def test_every_module_that_is_called_pure_is_there() -> None:
    """The list of pure modules names no room that does not exist."""
    assert set() == PURE - set(modules())


def test_the_screen_is_known_to_its_verb_alone() -> None:
    """Textual and all that is painted with it are imported under `tui`, and that by the verb `top` when it runs."""
    heavy = ("textual", "plotille", "rich")
    wanted = {name: imported(path) for name, path in modules().items() if not in_room(name, "tui")}
    users = {name for name, found in wanted.items() if any(other.startswith("ditad.tui") for other in found)}
    strange = {name for name, found in wanted.items() if any(other.partition(".")[0] in heavy for other in found)}
    at_top = imported(modules()["cli.top"], at_top=True)
    assert ({"cli.top"}, set()) == (users, strange)
    assert [] == [other for other in at_top if other.startswith("ditad.tui")]


def test_the_daemon_loads_nothing_of_the_screen_through_its_libraries() -> None:
    """Where `top` is installed structlog would import rich, which costs a daemon megabytes; others may still have it."""
    asked = "import sys, ditad.cli.running; print('rich' in sys.modules); import rich; print(rich.__name__)"
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=60)
    assert ["False", "rich"] == told.stdout.split()


def test_the_doctor_is_known_to_its_verb_alone() -> None:
    """What the doctor asks, the daemon does not: nobody else imports it."""
    users = {name for name, path in modules().items() if any(in_room(other, "doctor") for other in ours(path))}
    assert {"cli.doctor"} == {name for name in users if not in_room(name, "doctor")}


OWNED = {"exchange.server": "an async context manager, whose exit cancels its one task and raises what it died of"}
"""Modules that own a task without a `TaskGroup`, and how."""


def test_no_task_is_started_without_an_owner() -> None:
    """Tasks live in a `TaskGroup`: nobody else calls a bare `create_task` or `ensure_future`."""
    bare = []
    for name, path in modules().items():
        if name in OWNED:
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = node.func.value
                named = owner.id if isinstance(owner, ast.Name) else ""
                if node.func.attr == "ensure_future" or (node.func.attr == "create_task" and named == "asyncio"):
                    bare.append(f"{name}:{node.lineno}")
    assert [] == bare


def test_nobody_catches_everything_to_carry_on() -> None:
    """`except Exception` and bare `except` are not written; `except BaseException` raises again."""
    swallowed = []
    for name, path in modules().items():
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = ast.unparse(node.type) if node.type is not None else "everything"
            raises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            if caught in {"Exception", "everything"} or (caught == "BaseException" and not raises):
                swallowed.append(f"{name}:{node.lineno}")
    assert [] == swallowed


def test_the_map_shows_where_every_module_is() -> None:
    """The README names each module, or its folder, or the family of its name; and none that is not there."""
    readme = (PACKAGE.parent / "README.md").read_text()
    table = readme.partition("## The data's way through the house")[2].partition("## Glossary")[0]
    places = [
        word
        for row in table.splitlines()
        if row.startswith("| `")
        for word in re.findall("`(.+?)`", row[2:].partition(" | ")[0])
    ]
    rooms = {f"{name.partition('.')[0]}/" if "." in name else name for name in modules()} - {""}
    rooms -= {room.removesuffix("/") for room in rooms if room.endswith("/")} | {"__main__"}
    assert [] == sorted(room for room in rooms if not any(fnmatch(room, place) for place in places))
    assert [] == [place for place in places if not any(fnmatch(room, place) for room in rooms)]
    assert len(places) == len(set(places))


def test_no_module_grows_past_its_bound() -> None:
    """A module that grows past its bound is two rooms."""
    lengths = {name: len(path.read_text().splitlines()) for name, path in modules().items()}
    assert {} == {name: length for name, length in lengths.items() if length > LINES_MAX}


def test_tests_do_not_sleep() -> None:
    """No test waits for time to pass; benchmarks alone may. In the simulation to sleep takes no time, and must not be
    anything but the virtual loop's.
    """
    here = Path(__file__).parent
    sleeping = []
    for path in sorted(here.rglob("*.py")):
        if "benchmarks" in path.parts:
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("sleep") and node.args:
                if path.is_relative_to(here / "simulation") and ast.unparse(node.func) == "asyncio.sleep":
                    continue
                length = node.args[0]
                if not (isinstance(length, ast.Constant) and length.value == 0):
                    sleeping.append(f"{path.relative_to(here)}:{node.lineno}")
    assert [] == sleeping
