"""The report's page: what it says is exact and escaped, and a real browser shows it at desk and on a phone, light and dark."""

from __future__ import annotations

import re
from decimal import Decimal
from html.parser import HTMLParser
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from ditad.chronicle import chronicle_of
from ditad.journal import Reader
from ditad.records import micros_of
from ditad.report import gathering
from ditad.report.gathering import Gathered, Newest, gather
from tests.benchmarks.long_life import Life
from tests.support.booked import BTC, ETH, HOSTILE, Booked, some_days, untold
from tests.support.browser import MISSING, PROGRAM, browsing
from tests.support.journaled import NAME, journaled

pytest.importorskip("jinja2", reason="jinja2 is missing: the extra [report] brings it")
from ditad.report import rendering

D = Decimal
needs_chromium = pytest.mark.skipif(PROGRAM is None, reason=MISSING)
MADE_US = micros_of("2026-01-01T00:00:00Z")
DESK, PHONE = 1280, 390
PAGE_BYTES_MAX = 1_000_000


def gathered(folder: Path, since_us: int | None = None, until_us: int | None = None) -> Gathered:
    """Gather a report."""
    with Reader.open(folder, NAME) as reader:
        return gather(chronicle_of(reader, NAME, lambda *_: None), since_us, until_us, lambda *_: None)


def rendered(found: Gathered) -> str:
    """Write its page."""
    return rendering.page_of(found, last_n=7, made_us=MADE_US)


@pytest.fixture
async def days(tmp_path: Path) -> Path:
    """Give a folder with the journal of some days."""
    await some_days().kept(tmp_path)
    return tmp_path


# ---- what is gathered


async def test_what_a_report_says_is_what_the_ledger_holds(days: Path) -> None:
    """Sums, the wallet at both ends and the closed trades are those of K, to the last digit."""
    story, found = some_days(), gathered(days)
    k: dict[str, Any] = story.k
    assert (D(k["realized_pnl"]), D(k["fees_paid"]), D(k["funding_paid"])) == (
        found.sums.profit,
        found.sums.fees,
        found.sums.funding,
    )
    assert (D(k["transfers"]), D(k["other_income"])) == (found.sums.transfers, found.sums.other)
    assert (D(10_000), D(k["capital_raw"])) == (found.balance_before, found.balance_after)
    assert (4, 3, 1, D("57.61")) == (
        found.trades.newest.count,
        found.trades.wins,
        found.trades.losses,
        found.trades.net,
    )
    assert {BTC, ETH, HOSTILE, ""} == set(found.by_symbol)
    assert ["2023-03-28", "2023-03-29", "2023-03-30", "2023-03-31"] == sorted(found.by_day)
    assert (1, 0, 1, 0) == (found.divergences.count, found.open_divergences, found.gaps.count, found.open_gaps)
    assert {"other_income": 1} == dict(found.causes)


async def test_a_deposit_is_no_profit_and_no_drawdown(tmp_path: Path) -> None:
    """What is paid in and out moves the equity, and neither lifts the peak nor deepens the drawdown."""
    story = Booked()
    story.round()
    story.trade(BTC, "0.5", "28000", "28100")
    story.moved("-5000", "WITHDRAW")
    story.trade(BTC, "0.5", "28100", "28000")
    story.round()
    await story.kept(tmp_path)
    found = gathered(tmp_path)
    assert D("71.05") == found.drawdown.worst
    assert found.equity.least is not None
    assert found.equity.least.value < 5_000


async def test_a_period_begins_with_what_was_before(days: Path) -> None:
    """Its first wallet holds all facts before it; the verdict that held then holds into it."""
    since = micros_of("2023-03-29T00:00:00Z")
    found, whole = gathered(days, since), gathered(days)
    before = gathered(days, None, since)
    assert before.balance_after == found.balance_before
    assert whole.balance_after == found.balance_after
    assert whole.sums.fills == before.sums.fills + found.sums.fills
    assert found.opening is not None
    assert found.opening["ts"] < "2023-03-29"
    assert whole.trades.newest.count == before.trades.newest.count + found.trades.newest.count


async def test_a_divergence_that_healed_before_is_not_told(days: Path) -> None:
    """Neither is a gap that was over."""
    found = gathered(days, micros_of("2023-03-31T00:00:00Z"))
    assert (0, 0) == (found.divergences.count, found.gaps.count)
    assert {} == found.divergence_lane.parts


async def test_an_adoption_is_told_apart(tmp_path: Path) -> None:
    """The equity goes on where it was, and the statement says what was accepted."""
    story = some_days()
    story.adopted("10000", "seen")
    story.mark(BTC, "28000")
    story.trade(BTC, "0.5", "28000", "28100")
    story.round()
    await story.kept(tmp_path)
    found = gathered(tmp_path)
    assert (D("-301.61"), ["seen"]) == (found.adopted, [one.why for one in found.adoptions])
    assert story.wallet == found.balance_after
    assert gathered(tmp_path, None, micros_of("2023-03-31T11:03:40Z")).drawdown.worst == found.drawdown.worst
    assert "uid 1000 accepted" in rendered(found)
    later = gathered(tmp_path, micros_of("2023-03-31T11:05:00Z"))
    assert (D(10_000 - 7), D(0)) == (later.balance_before, later.adopted)


async def test_other_assets_are_told_beside_the_wallet(tmp_path: Path) -> None:
    """They are in none of its sums."""
    story = Booked()
    story.order(symbol="BTC-USDC", z="1", ap="28000", fee="14", rp="0", last=("1", "28000"))
    story.round()
    await story.kept(tmp_path)
    found = gathered(tmp_path)
    assert (D(0), D(14)) == (found.sums.fees, found.other_assets["USDC"].fees)
    assert "In USDC, beside this wallet" in rendered(found)


async def test_many_symbols_are_shown_in_one_row(days: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those with the largest results have their own, and the others are summed."""
    monkeypatch.setattr(rendering, "SYMBOLS_SHOWN", 2)
    page = rendered(gathered(days))
    assert '<th scope="row">2 others</th><td class="n"><data value="4.945" class="up">' in page


async def test_symbols_and_days_have_a_bound(days: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it they are summed together, and none is lost."""
    whole = gathered(days)
    monkeypatch.setattr(gathering, "SYMBOLS_MAX", 2)
    monkeypatch.setattr(gathering, "DAYS_MAX", 2)
    found = gathered(days)
    assert 3 == len(found.by_symbol)
    assert "others" in found.by_symbol
    assert whole.sums.net == sum((one.net for one in found.by_symbol.values()), D(0))
    assert 2 == len(found.by_day)
    assert whole.sums.net == sum((one.net for one in found.by_day.values()), D(0))


def test_the_newest_are_kept() -> None:
    """In whatever order rows come, the newest stay, newest first, and all are counted."""
    rows = Newest(2)
    for at in "bdac":
        rows.take(at, 1, at)
    assert (4, ["d", "c"]) == (rows.count, rows.rows)


# ---- the page as text


class Parts(HTMLParser):
    """What a page is made of: its tags, what it links to, and attributes that would run something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Hear a tag."""
        self.tags.add(tag)
        told = {name: value or "" for name, value in attrs}
        self.handlers += [name for name in told if name.startswith("on")]
        if {"href", "src", "action", "data"} & told.keys():
            self.links.append(" ".join(f"{name}={value}" for name, value in sorted(told.items(), reverse=True)))


async def test_nothing_of_the_page_comes_from_elsewhere(days: Path) -> None:
    """There is no script, no address, no import, and a policy that forbids them all."""
    page = rendered(gathered(days))
    parts = Parts()
    parts.feed(page)
    assert set() == parts.tags & {"script", "iframe", "img", "object", "embed", "video", "audio", "form", "base"}
    assert {"rel=icon href=data:,", "href=#main class=skip"} == set(parts.links)
    assert [] == parts.handlers
    assert [] == re.findall(r"https?://|@import|url\(", page)
    assert "default-src 'none'" in page


async def test_what_came_from_outside_is_escaped(days: Path) -> None:
    """A name that is made of tags is shown as it is written, everywhere."""
    page = rendered(gathered(days))
    assert HOSTILE not in page
    assert "=&lt;img src=x onerror=" in page


async def test_what_nobody_told_is_said(tmp_path: Path) -> None:
    """Never as 0: the page says how many amounts there are and that they are counted nowhere."""
    await untold().kept(tmp_path)
    found = gathered(tmp_path)
    page = rendered(found)
    assert 2 == found.sums.unknown
    assert "2 amounts of the period have not been told by anybody" in page
    assert "without 2 amounts that nobody told" in page


async def test_a_ledger_that_has_just_begun(tmp_path: Path) -> None:
    """There is a page of it all the same, which says that there is nothing yet."""
    await Booked().kept(tmp_path)
    page = rendered(gathered(tmp_path))
    assert 4 == page.count("None in this period.") + page.count("No fill and no income in this period.")


async def test_a_long_life_stays_a_small_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many trades and snapshots there were, so many are shown, the rest is said, and the sums are of all."""
    monkeypatch.setattr(gathering, "TRADES_SHOWN", 40)
    events = islice(Life(trade_every_s=1).events(), 900)
    await journaled(tmp_path, events, batch=100)
    found = gathered(tmp_path)
    page = rendered(found)
    assert found.trades.newest.count > 2 * gathering.TRADES_SHOWN
    assert f"The newest {gathering.TRADES_SHOWN} are shown" in page
    assert f"Drawn from {found.equity.taken:,} snapshots" in page
    assert found.trades.newest.count == found.trades.wins + found.trades.losses + found.trades.even
    assert len(page) < PAGE_BYTES_MAX


# ---- the page in a browser

FIGURES = """Object.fromEntries([...document.querySelectorAll('.cards .card, .statement tr')].map(row => [
  row.querySelector('dt, th').textContent, row.querySelector('data')?.getAttribute('value')]))"""
WIDER = """[...document.querySelectorAll('body *')].filter(one => !one.closest('.scroll, .unseen, svg, .skip')
  && one.getBoundingClientRect().right > innerWidth + 0.5).map(one => one.tagName + '.' + one.className)"""
FAINT = """(() => {
  const lum = text => { const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map(c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b };
  const behind = one => { for (; one; one = one.parentElement) { const c = getComputedStyle(one).backgroundColor;
    if (!/, 0\\)$|transparent|color\\(/.test(c)) return c } return 'rgb(255, 255, 255)' };
  return [...document.querySelectorAll('p, h1, h2, h3, dt, dd, th, td, data, summary, li, figcaption, .y, .moments span')].map(one => {
    const [a, b] = [lum(getComputedStyle(one).color), lum(behind(one))].sort((x, y) => y - x);
    return [one.tagName + '.' + one.className, (a + 0.05) / (b + 0.05)] }).filter(([, ratio]) => ratio < 4.5)
})()"""


@needs_chromium
async def test_a_browser_shows_it_at_desk_and_on_a_phone_light_and_dark(days: Path, tmp_path: Path) -> None:
    """Nothing is fetched, nothing complained of, nothing wider than the screen, all words readable, and the figures stand."""
    found = gathered(days)
    path = tmp_path / "page.html"
    path.write_text(rendered(found))
    async with browsing() as browser:
        for width, scheme in ((DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark")):
            seen = await browser.show(path, width=width, scheme=scheme)
            assert [path.as_uri()] == seen.requests
            assert [] == seen.said
            assert width == await seen.value("innerWidth")
            assert width == await seen.value("document.documentElement.scrollWidth")
            assert [] == await seen.value(WIDER)
            assert [] == await seen.value(FAINT)
            bright = await seen.value("getComputedStyle(document.body).backgroundColor")
            assert ("rgb(246, 247, 249)" if scheme == "light" else "rgb(15, 19, 25)") == bright
            told = await seen.value(FIGURES)
            assert "51.36" == told["Net result"]
            assert ("10301.61", "48.685", "4") == (
                told["Equity at the end"],
                told["Deepest drawdown"],
                told["Closed trades"],
            )
            assert ("10301.61", "0", "-22.39") == (told["The exchange states"], told["Difference"], told["Fees"])
            assert 4 == await seen.value("document.querySelectorAll('section > .trades tbody tr').length")
            assert "main: account report, 2023-03-28 – 2023-03-31" == await seen.value("document.title")
            assert (await seen.picture()).startswith(b"\x89PNG")


@needs_chromium
async def test_it_is_told_to_who_cannot_see_it(days: Path, tmp_path: Path) -> None:
    """Headings, tables with their headers, and drawings with the words for what they show are in the accessibility tree."""
    path = tmp_path / "page.html"
    path.write_text(rendered(gathered(days)))
    for width in (DESK, PHONE):
        async with browsing() as browser:
            seen = await browser.show(path, width=width)
            tree = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in await seen.tree()]
        headings = [name for role, name in tree if role == "heading"]
        assert ["main", "Key figures", "Equity and drawdown", "Statement of the wallet"] == headings[:4]
        drawings = [name for role, name in tree if role in {"img", "image"}]
        assert 8 == len(drawings)
        assert all(drawings)
        assert any(name.startswith("Equity from 10,000 to 10,301.61 USDT, lowest 9,993") for name in drawings)
        tables = [name for role, name in tree if role == "table"]
        assert {"Profit by symbol in USDT", "Closed trades, the newest first", "Divergences", "Gaps"} <= set(tables)
        assert "Net USDT" in [name for role, name in tree if role == "columnheader"]
        assert 1 == sum(role == "main" for role, _ in tree)


@needs_chromium
async def test_it_is_printed_with_all_its_tables(days: Path, tmp_path: Path) -> None:
    """On paper everything is black on white, and what is folded away on the screen is there."""
    path = tmp_path / "page.html"
    path.write_text(rendered(gathered(days)))
    async with browsing() as browser:
        seen = await browser.show(path, width=DESK, scheme="dark", media="print")
        assert ["rgb(255, 255, 255)", "rgb(0, 0, 0)"] == await seen.value(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        assert [] == await seen.value(
            "[...document.querySelectorAll('details')].filter(one => one.offsetHeight < 60).length ? ['folded'] : []"
        )
        assert (await seen.printed()).startswith(b"%PDF")
