"""How often the verdict is right: recall, precision and attribution on simulated account-days.

    .venv/bin/python tests/benchmarks/accuracy.py [--days N] [--pairs N] [--clean N] [--slow N] [--seed S]
                                                  [--processes P] [--planted BUG] [--json]

What runs: the product's own service over the simulated exchange in virtual time, into which causes of every kind of
account.md §6 are injected, singly and in pairs; and its fold over clean events whose twins come within the settle
window in any order, or later. What leaves: a table, or JSON. What holds: the truth is the exchange's own books; exit 0
only if every requirement that is measured is met; a planted bug must make it fail.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
if str(ROOT) not in sys.path:  # run as a script from a clone
    sys.path.insert(0, str(ROOT))

import orjson  # noqa: E402 - the path comes first

from tests.benchmarks.accuracy_clean import CHUNK, Tally, clean  # noqa: E402
from tests.benchmarks.accuracy_planted import PLANTED  # noqa: E402
from tests.benchmarks.accuracy_trials import DAY_S, Found, day, pairs, trial  # noqa: E402
from tests.benchmarks.machine import machine, machine_line  # noqa: E402

SINGLE_SHARE, PAIRED_SHARE = 0.99, 0.95
"""Attribution that is asked for."""

SHOWN_MAX = 12
WORDS_MAX = 200

Job = Callable[[], tuple[list[Found], float, Tally]]


def lived(seed: int) -> tuple[list[Found], float, Tally]:
    """Live a day."""
    found, seconds = day(seed)
    return found, seconds, Tally()


def tried(seed: int, names: Sequence[str]) -> tuple[list[Found], float, Tally]:
    """Try a pair."""
    found, seconds = trial(seed, names)
    return found, seconds, Tally()


def folded(events: int, seed: int, *, slow: bool) -> tuple[list[Found], float, Tally]:
    """Fold clean events."""
    return [], 0.0, clean(events, seed, slow=slow)


def carried_out(job: Job, planted: str | None) -> tuple[list[Found], float, Tally]:
    """Do a job, with a bug if one is to be planted."""
    with PLANTED[planted]() if planted is not None else nullcontext():
        return job()


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Do everything that was asked for, and put it together."""
    jobs: list[tuple[str, Job]] = []
    jobs += [("single", partial(lived, asked.seed + number)) for number in range(asked.days)]
    jobs += [("paired", partial(tried, seed, names)) for seed, names in pairs(asked.pairs, asked.seed)]
    for name, events in (("clean", asked.clean), ("slow", asked.slow)):
        parts = [min(CHUNK, events - at) for at in range(0, events, CHUNK)]
        jobs += [
            (name, partial(folded, part, asked.seed * 10_000 + number, slow=name == "slow"))
            for number, part in enumerate(parts)
        ]
    found: dict[str, list[Found]] = {"single": [], "paired": []}
    tallies = {"clean": Tally(), "slow": Tally()}
    days = 0.0
    began = time.perf_counter()
    works = partial(carried_out, planted=asked.planted)
    with ProcessPoolExecutor(asked.processes) if asked.processes > 1 else nullcontext() as pool:
        answers = (
            pool.map(works, [job for _, job in jobs]) if pool is not None else map(works, [job for _, job in jobs])
        )
        for (name, _), (more, seconds, tally) in zip(jobs, answers, strict=True):
            days += seconds / DAY_S
            if name in found:
                found[name] += more
            else:
                tallies[name].add(tally)
    result: dict[str, Any] = {
        "machine": machine(),
        "seed": asked.seed,
        "planted": asked.planted,
        "took_s": time.perf_counter() - began,
        "account_days": days,
        "single": summary(found["single"], SINGLE_SHARE),
        "paired": summary(found["paired"], PAIRED_SHARE),
        "clean": tallies["clean"].body(),
        "slow": tallies["slow"].body(),
    }
    result["failures"] = failures(result)
    return result


def summary(found: Sequence[Found], share: float) -> dict[str, Any]:
    """Count what became of injections, by kind; `share` is what attribution must reach."""
    kinds: dict[str, dict[str, Any]] = {}
    for one in found:
        for name in one.kinds:
            row = kinds.setdefault(
                name, {"injected": 0, "outcomes": Counter(), "named": 0, "right": 0, "aside": 0, "after_s": 0.0}
            )
            if one.outcome == "unfit":
                continue
            row["injected"] += 1
            row["outcomes"][one.outcome] += 1
            row["outcomes"]["faded"] += one.faded
            row["named"] += one.right is not None
            row["right"] += one.right is True
            row["aside"] += one.aside
            row["after_s"] = max(row["after_s"], one.after_s)
    fit = [one for one in found if one.outcome != "unfit"]
    judged = [one for one in fit if one.right is not None]
    shown = [one for one in fit if one.outcome == "missed" or one.faded or one.right is False]
    unexplained = [one for one in judged if one.kinds == ("unexplained",)]
    return {
        "injections": len(fit),
        "unfit": len(found) - len(fit),
        "missed": sum(one.outcome == "missed" for one in fit),
        "faded": sum(one.faded for one in fit),
        "named": len(judged),
        "right": sum(one.right is True for one in judged),
        "right_share": sum(one.right is True for one in judged) / len(judged) if judged else None,
        "wanted_share": share,
        "unexplained": [sum(one.right is True for one in unexplained), len(unexplained)],
        "kinds": kinds,
        "examples": [asdict(one) for one in shown[:SHOWN_MAX]],
    }


def failures(result: Mapping[str, Any]) -> list[str]:
    """Say which requirements are not met."""
    found = []
    for name in ("single", "paired"):
        row = result[name]
        if row["missed"]:
            found.append(
                f"recall, {name}: {row['missed']} of {row['injections']} were neither ERROR nor healed in time"
            )
        if row["faded"]:
            found.append(f"recall, {name}: {row['faded']} were ERROR and then forgotten")
        if row["right_share"] is not None and row["right_share"] < row["wanted_share"]:
            found.append(
                f"attribution, {name}: {row['right']} of {row['named']} are right, wanted are {row['wanted_share']:.0%}"
            )
        right, all_of_them = row["unexplained"]
        if right < all_of_them:
            found.append(f"attribution, {name}: {right} of {all_of_them} wallet changes without a cause are called so")
    for name in ("clean", "slow"):
        found += [f"precision, {name}: {what}, {count} times" for what, count in sorted(result[name]["wrongs"].items())]
    return found


# ---- showing ------------------------------------------------------------------------------------------------------------


def table(result: Mapping[str, Any]) -> str:
    """Write the figures for a person."""
    lines = [machine_line(result["machine"]), f"seed {result['seed']}, {result['took_s']:.0f} s"]
    if result["planted"] is not None:
        lines.append(f"planted: {result['planted']}")
    for name, title in (("single", "causes, one at a time"), ("paired", "causes, two at a time")):
        if result[name]["injections"]:
            lines += ["", *_of_causes(title, result[name])]
    lines += ["", f"{result['account_days']:.1f} account-days were lived"] if result["account_days"] else []
    for name, title in (
        ("clean", "clean events, twins within the window in any order"),
        ("slow", "clean events, slower twins"),
    ):
        if result[name]["events"]:
            lines += ["", *_of_clean(title, result[name])]
    lines += ["", *(result["failures"] or ["every requirement that was measured is met"])]
    return "\n".join(lines)


def _of_causes(title: str, row: Mapping[str, Any]) -> Iterable[str]:
    heads = ("injected", "error", "healed", "warned", "unknown", "missed", "faded", "max s", "named", "right", "aside")
    yield f"{title:<28}" + "".join(f"{head:>9}" for head in heads)
    for name, kind in sorted(row["kinds"].items()):
        figures = [kind["injected"], *(kind["outcomes"].get(head, 0) for head in heads[1:7])]
        yield (
            f"{name:<28}"
            + "".join(f"{figure:>9}" for figure in figures)
            + f"{kind['after_s']:>9.1f}{kind['named']:>9}{kind['right']:>9}{kind['aside']:>9}"
        )
    share = "-" if row["right_share"] is None else f"{row['right_share']:.1%}"
    yield (
        f"{row['injections']} injections ({row['unfit']} more had no calm account), {row['missed']} missed; "
        f"{row['right']} of {row['named']} named rightly: {share}"
    )
    for one in row["examples"]:
        yield f"    seed {one['seed']}, {' and '.join(one['kinds'])}: {one['outcome']}; {one['why']}"[:WORDS_MAX]


def _of_clean(title: str, row: Mapping[str, Any]) -> Iterable[str]:
    hours = row["virtual_s"] / 3600
    yield f"{title}: {row['events']} events, {row['facts']} fills and incomes, {row['rounds']} audits, {hours:.0f} h"
    yield "    verdicts: " + ", ".join(f"{name} {count}" for name, count in sorted(row["statuses"].items()))
    yield "    differences: " + ", ".join(f"{name} {count}" for name, count in sorted(row["classes"].items()))
    yield "    longest: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in sorted(row["longest_s"].items()))
    yield f"    wrongly said: {sum(row['wrongs'].values())}"
    for text in row["wrong"][:SHOWN_MAX]:
        yield f"    {text}"[:WORDS_MAX]


def main() -> None:
    """Measure what is asked for, show it, and say by the exit code whether it is good."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, default, what in (
        ("days", 10, "account-days with single causes"),
        ("pairs", 182, "injections of two causes; 91 are every pair once"),
        ("clean", 100_000, "clean events; a million takes some minutes"),
        ("slow", 20_000, "clean events with slower twins"),
        ("seed", 1, "what it all follows from"),
        ("processes", 1, "how many side by side"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{what} (default: %(default)s)")
    parser.add_argument("--planted", choices=sorted(PLANTED), help="a bug that must be found")
    parser.add_argument("--json", action="store_true", help="write JSON")
    asked = parser.parse_args()
    if min(asked.days, asked.pairs, asked.clean, asked.slow) < 0 or asked.processes < 1:
        parser.error("give counts that are not negative, and at least one process")
    result = measure(asked)
    if asked.json:
        sys.stdout.write(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        sys.stdout.write(table(result) + "\n")
    sys.exit(bool(result["failures"]))


if __name__ == "__main__":
    main()
