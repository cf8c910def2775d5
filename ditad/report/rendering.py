"""A gathered report as one page of HTML, with nothing in it that is fetched from anywhere.

What enters: what was gathered, and when the page is made. What leaves: the page. What holds: whatever came from outside
is escaped (Jinja's autoescape, and no `safe` in the template); a figure is shown with all its digits, or with its exact
value beside it; the charts are plain paths in the page, without a script.
"""

from __future__ import annotations

import importlib.resources
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import jinja2
import markupsafe

from ditad import __version__
from ditad.bookkeeping import ClosedTrade, Sums
from ditad.money import ZERO, exact_sum, plain, ratio, sub
from ditad.records import micros_of, rfc3339
from ditad.report import drawing
from ditad.report.curves import COLUMNS, STATUSES, UNWATCHED, Lane, Point
from ditad.report.drawing import Bar, grouped
from ditad.report.gathering import Gathered, equity_of

SYMBOLS_SHOWN: Final = 30
CAUSES_SHOWN: Final = 6
DECIMALS_SHOWN: Final = 10
DECIMALS_OF_AVERAGES: Final = 8
PERCENT_STEP: Final = Decimal("0.01")

VERDICT_WORDS: Final = {
    "OK": "OK: the books agree",
    "WARN": "WARN: something is being asked about",
    "ERROR": "ERROR: a confirmed difference",
    "UNKNOWN": "UNKNOWN: no honest comparison possible",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolRow:
    """A symbol's sums, and how wide its bar is in percent of the widest."""

    name: str
    sums: Sums
    trades: int
    width: float


def page_of(found: Gathered, *, last_n: int, made_us: int) -> str:
    """Write the page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ditad.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_FILTERS)
    style = importlib.resources.files("ditad.report").joinpath("page.css").read_text()
    return environment.get_template("page.html").render(
        _context(found),
        style=markupsafe.Markup(style.strip()),  # noqa: S704 - ours, with nothing from outside in it
        version=__version__,
        last_n=last_n,
        made_at=rfc3339(made_us),
        decimals_shown=DECIMALS_SHOWN,
    )


def _context(found: Gathered) -> dict[str, Any]:
    begin = None if found.opening is None else equity_of(found.opening["snapshot"])
    closing = None if found.closing is None else found.closing["snapshot"]
    end = None if closing is None else equity_of(closing)
    verdict = "UNKNOWN" if closing is None else closing["reconcile"]["status"]
    watched = sum(held for status, held in found.timeline.total.items() if status != UNWATCHED)
    ok = ratio(Decimal(found.timeline.total.get("OK", 0) * 100), Decimal(watched)) if watched else ZERO
    symbols = _symbols(found)
    return {
        "account": found.account,
        "asset": found.asset,
        "since": rfc3339(found.since_us),
        "until": rfc3339(found.until_us),
        "verdict": verdict,
        "verdict_words": VERDICT_WORDS[verdict],
        "sums": found.sums,
        "equity_begin": begin,
        "equity_end": end,
        "drawdown": found.drawdown,
        "trades": found.trades,
        "extremes": _extremes(found),
        "ok_share": ok,
        "statement": _statement(found, closing),
        "adoptions": found.adoptions,
        "other_assets": sorted(found.other_assets.items()),
        "symbols": symbols,
        "symbols_all": found.sums,
        "divergences": found.divergences,
        "open_divergences": found.open_divergences,
        "causes": ", ".join(f"{cause} ×{count}" for cause, count in found.causes.most_common(CAUSES_SHOWN)),
        "gaps": found.gaps,
        "open_gaps": found.open_gaps,
        "snapshots": found.snapshots,
        **_lines(found, begin, end),
        **_bars(found),
        **_agreement(found),
    }


def _statement(found: Gathered, closing: Any) -> list[tuple[str, Decimal | None, str]]:
    """Go from the wallet at the beginning to that at the end, and compare it with what the exchange states."""
    sums = found.sums
    rows: list[tuple[str, Decimal | None, str]] = [
        (f"Wallet on {rfc3339(found.since_us)[:10]}", found.balance_before, "total"),
        ("Realised profit", sums.profit, "move"),
        ("Fees", -sums.fees if sums.fees else ZERO, "move"),
        ("Funding", -sums.funding if sums.funding else ZERO, "move"),
        ("Deposits and withdrawals", sums.transfers, "move"),
        ("Other income", sums.other, "move"),
    ]
    if found.adopted:
        rows.append(("Accepted from the exchange", found.adopted, "move"))
    rows.append((f"Wallet on {rfc3339(found.until_us - 1)[:10]}, by every fact", found.balance_after, "total"))
    stated = None if closing is None else closing["e"]["wallet_balance"]
    if stated is not None:
        rows.append(("The exchange states", Decimal(stated), ""))
        rows.append(("Difference", sub(found.balance_after, Decimal(stated)), "move"))
    return rows


def _symbols(found: Gathered) -> list[SymbolRow]:
    """Give the symbols with the largest results, and all others in one row."""
    rows = sorted(found.by_symbol.items(), key=lambda row: (-abs(row[1].net), row[0]))
    shown, rest = rows[:SYMBOLS_SHOWN], rows[SYMBOLS_SHOWN:]
    shown.sort(key=lambda row: (-row[1].net, row[0]))
    widest = max((abs(sums.net) for _, sums in shown), default=ZERO)
    found_rows = [
        SymbolRow(
            name=name or "without a symbol",
            sums=sums,
            trades=found.trades_by_symbol[name],
            width=round(float(abs(sums.net) / widest) * 100, 1) if widest else 0,
        )
        for name, sums in shown
    ]
    if rest:
        others = Sums()
        for _, sums in rest:
            others.join(sums)
        trades = sum(found.trades_by_symbol[name] for name, _ in rest)
        found_rows.append(SymbolRow(name=f"{len(rest)} others", sums=others, trades=trades, width=0))
    return found_rows


def _extremes(found: Gathered) -> list[ClosedTrade]:
    best = [trade for _, _, trade in sorted(found.trades.best, reverse=True)]
    worst = [trade for _, _, trade in sorted(found.trades.worst)]
    return best + worst


# ---- drawings, and the words for those who do not see them ------------------------------------------------------------


def _lines(found: Gathered, begin: Decimal | None, end: Decimal | None) -> dict[str, Any]:
    least, most, drawdown = found.equity.least, found.equity.most, found.drawdown
    rows = [
        ("At the beginning", begin, None if found.opening is None else found.opening["ts"]),
        ("Highest", *_of(most)),
        ("Lowest", *_of(least)),
        ("At the end", end, None if found.closing is None else found.closing["ts"]),
        ("Deepest drawdown: the peak", None, _at(drawdown.worst_from)),
        ("Deepest drawdown: the trough", drawdown.worst, _at(drawdown.worst_at)),
    ]
    if drawdown.worst_from is not None:
        rows[4] = ("Deepest drawdown began at a peak", ZERO, _at(drawdown.worst_from))
    else:
        del rows[4:]
    unknown = (
        f" In {found.equity_unknown:,} of them it is not known, and the line is broken." if found.equity_unknown else ""
    )
    words = f"Equity from {_said(begin)} to {_said(end)} {found.asset}"
    if least is not None and most is not None:
        words += f", lowest {grouped(least.value)} at {rfc3339(least.us)[:16]}, highest {grouped(most.value)} at {rfc3339(most.us)[:16]}"
    return {
        "equity_plot": drawing.line(found.equity, kind="equity"),
        "drawdown_plot": drawing.line(drawdown.curve, from_zero=True, downwards=True, kind="loss"),
        "equity_words": words,
        "drawdown_words": f"Deepest drawdown {grouped(drawdown.worst)} {found.asset}",
        "equity_rows": rows,
        "reduction_words": (
            f"Drawn from {found.equity.taken:,} snapshots: of each of {COLUMNS} parts of the period the first, lowest, highest"
            f" and last is drawn, so no extreme is lost.{unknown}"
        ),
    }


def _of(point: Point | None) -> tuple[Decimal | None, str | None]:
    return (None, None) if point is None else (point.value, rfc3339(point.us))


def _at(us: int | None) -> str | None:
    return None if us is None else rfc3339(us)


def _said(value: Decimal | None) -> str:
    return "not known" if value is None else grouped(value)


def _bars(found: Gathered) -> dict[str, Any]:
    unit, bars = drawing.by_time(found.by_day)
    labels = [bar.label for bar in bars]

    def plot(values: list[Decimal], kind: str) -> drawing.Plot:
        titles = [f"{label}: {grouped(value)} {found.asset}" for label, value in zip(labels, values, strict=True)]
        return drawing.columns([bar.short for bar in bars], values, titles, kind=kind)

    net, fees, funding = ([getattr(bar.sums, name) for bar in bars] for name in ("net", "fees", "funding"))
    return {
        "unit": unit,
        "bars": bars,
        "net_plot": plot(net, "net"),
        "fees_plot": plot(fees, "cost"),
        "funding_plot": plot(funding, "cost"),
        "net_words": _bar_words("Net result", unit, bars, net),
        "fees_words": _bar_words("Fees paid", unit, bars, fees),
        "funding_words": _bar_words("Funding paid", unit, bars, funding),
    }


def _bar_words(name: str, unit: str, bars: list[Bar], values: list[Decimal]) -> str:
    if not bars:
        return f"{name} by {unit}: nothing in this period"
    low, high = min(range(len(bars)), key=values.__getitem__), max(range(len(bars)), key=values.__getitem__)
    return (
        f"{name} by {unit}, {len(bars)} of them, {grouped(exact_sum(values))} in all: "
        f"lowest {grouped(values[low])} on {bars[low].label}, highest {grouped(values[high])} on {bars[high].label}"
    )


def _agreement(found: Gathered) -> dict[str, Any]:
    shares = [(name, found.timeline.share(name)) for name in (*STATUSES, UNWATCHED)]
    told = [(name, share) for name, share in shares if found.timeline.total.get(name)]
    return {
        "strip_plot": drawing.strip(found.timeline),
        "divergence_plot": drawing.lane(found.divergence_lane),
        "gap_plot": drawing.lane(found.gap_lane),
        "shares": told,
        "lane_words": [*_lane_words(found.divergence_lane, "divergence"), *_lane_words(found.gap_lane, "gap")],
        "strip_words": "Verdict over time: " + ", ".join(f"{name} {_percent(share)}" for name, share in told),
        "divergence_words": f"{found.divergences.count:,} divergences, {found.open_divergences:,} of them open",
        "gap_words": f"{found.gaps.count:,} gaps, {found.open_gaps:,} of them open",
    }


def _lane_words(lane: Lane, name: str) -> list[tuple[str, str]]:
    return [(rank, f"{rank} {name}") for rank in lane.ranks if rank in lane.parts.values()]


# ---- words of figures and moments ----------------------------------------------------------------------------------------


def _decimals(value: Decimal) -> int:
    return len(plain(value).partition(".")[2])


def _is_shortened(value: Decimal) -> bool:
    return _decimals(value) > DECIMALS_SHOWN


def _figure(value: Decimal) -> str:
    """Write a figure with all its digits; one with more than `DECIMALS_SHOWN` decimals is an average, and rounded."""
    step = Decimal(1).scaleb(-DECIMALS_OF_AVERAGES)
    return f"{grouped(ratio(value, Decimal(1), step))}…" if _is_shortened(value) else grouped(value)


def _plus(value: Decimal) -> str:
    return f"+{_figure(value)}" if value > 0 else _figure(value)


def _sign(value: Decimal) -> str:
    return "up" if value > 0 else "down" if value < 0 else "flat"


def _percent(value: Decimal) -> str:
    """Write percent to two decimals, and never all or nothing for what is nearly so."""
    rounded = ratio(value, Decimal(1), PERCENT_STEP)
    if value and not rounded:
        return "> −0.01 %" if value < 0 else "< 0.01 %"
    if rounded == 100 and value < 100:
        return "> 99.99 %"
    return f"{grouped(rounded)} %"


def _duration(seconds: float) -> str:
    """Write a length of time in its two largest units."""
    left = int(seconds)
    if left < 1:
        return f"{int(seconds * 1000)} ms"
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        if left >= size or parts:
            parts.append(f"{left // size} {unit}")
            left %= size
    return " ".join(part for part in parts[:2] if not part.startswith("0 "))


def _held(trade: ClosedTrade) -> str:
    if trade.opened_at is None:
        return "from before"
    return _duration((micros_of(trade.closed_at) - micros_of(trade.opened_at)) / 1_000_000)


def _short_moment(text: str) -> str:
    return f"{text[:10]} {text[11:19]}"


_FILTERS: Final = {
    "exact": plain,
    "figure": _figure,
    "plus": _plus,
    "sign": _sign,
    "shortened": _is_shortened,
    "percent": _percent,
    "count": "{:,}".format,
    "decimal": Decimal,
    "duration": _duration,
    "held": _held,
    "short_moment": _short_moment,
    "short_day": lambda text: text[:10],
}
