"""The case that the account's design must make impossible, over the whole daemon and its socket. (account.md §1)

A bot closed a short of 202 000 FET and booked about −6 000 where the exchange had paid +204.5856: the fill was booked at
the order's protective bound, profit was multiplied by the leverage, and what had been settled was forgotten by a
restart. Here a bot reports over the socket, rightly and with each of the three mistakes.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from ditad.api.client import AnsweredError
from ditad.exchange import SimulatedExchange
from ditad.money import plain
from tests.e2e.test_outages import SETTINGS
from tests.support.running import Running, running, settings_of

D = Decimal
ENTRY, EXIT, BOUND, QTY = D("0.1878"), D("0.1866"), D("0.229"), D(202_000)
RATE, LEVERAGE = D("0.0005"), 3
NET = D("204.5856")
BOT_SETTINGS = SETTINGS.replace("settle_window_s = 0.5", "settle_window_s = 0.5\nbot_window_s = 0.5")
BOOKS = "/v1/accounts/main/bot"


@dataclass(frozen=True)
class Bot:
    """A bot that keeps its own books, with a mistake or none."""

    booked_exit: Decimal = EXIT
    times: int = 1
    settles_again: bool = False

    @property
    def net(self) -> Decimal:
        """Give what it believes that the trade brought."""
        gross = (ENTRY - self.booked_exit) * QTY * self.times
        return gross - self.fees

    @property
    def fees(self) -> Decimal:
        """Give what it believes to have paid."""
        return (ENTRY + self.booked_exit) * QTY * RATE

    def slot(self, **changes: Any) -> dict[str, Any]:
        """Give its slot as it reports it."""
        return {
            "slot_id": 0,
            "trade_id": "fet-7",
            "asset": "FET-USDT",
            "side": "SHORT",
            "size": str(QTY),
            "entry_price": str(ENTRY),
            "fsm_state": "POSITION_OPEN",
            "metadata": {"leverage": LEVERAGE},
            **changes,
        }

    def settlement(self, name: str) -> dict[str, str]:
        """Give its settlement, under a name."""
        return {"settlement_id": name, "realized_pnl": plain(self.net), "fees": plain(self.fees)}


async def events(daemon: Running) -> list[dict[str, Any]]:
    """Give all account events so far."""
    raw = await daemon.client.ask("/v1/accounts/main/events?after_seq=0&type=account_event")
    lines = [orjson.loads(line) for line in raw.splitlines()]
    return [line["account_event"] for line in lines if line["type"] == "account_event"]


async def of_bot(daemon: Running) -> list[tuple[str, str, str, str]]:
    """Give field, class, severity and state of each divergence of the bot's books."""
    items = (await daemon.client.get("/v1/accounts/main/divergences"))["items"]
    return [(one["field"], one["class"], one["severity"], one["state"]) for one in items if one["rule"] == "B"]


@asynccontextmanager
async def incident(folder: Path, bot: Bot) -> AsyncIterator[tuple[SimulatedExchange, Running]]:
    """Let the exchange and the bot live through it; gives them after the bot has settled."""
    async with SimulatedExchange(seed=1) as exchange:
        settings = settings_of(folder, exchange, BOT_SETTINGS)
        main = exchange.account("main")
        main.set_leverage("FET-USDT", long=LEVERAGE, short=LEVERAGE)
        async with running(settings) as daemon:
            await daemon.until(lambda seen: seen["baseline"] is not None)
            await daemon.client.send("PUT", f"{BOOKS}/slots", {"slots": []})
            since = exchange.mark("main")
            main.market_order("FET-USDT", "SELL", "SHORT", int(QTY), price=str(ENTRY))
            await daemon.client.send("PUT", f"{BOOKS}/slots", {"slots": [bot.slot()]})
            held = await daemon.now(lambda seen: seen["k"]["open_positions"] == 1 == seen["b"]["open_positions"])
            assert [] == held["reconcile"]["stands_alone"]
            main.market_order("FET-USDT", "BUY", "SHORT", int(QTY), price=str(EXIT), bound=str(BOUND))
            await daemon.client.send("PUT", f"{BOOKS}/slots", {"slots": [bot.slot(closed=True, fsm_state="CLOSED")]})
            done = await daemon.client.send("POST", f"{BOOKS}/settlements", bot.settlement("fet-7"))
            assert not done["repeated"]
            books = exchange.books_since(since)
            assert NET == books["realized_pnl"] - books["fees"]
            yield exchange, daemon


async def check_published(exchange: SimulatedExchange, daemon: Running) -> None:
    """See that K is the exchange's books, and that it may be used."""
    seen = await daemon.now(lambda seen: seen["published"]["usable"] and seen["k"]["open_positions"] == 0)
    wallet = plain(exchange.books("main")["wallet_balance"])
    assert (wallet, wallet, "e_anchored") == (
        seen["k"]["capital_raw"],
        seen["published"]["capital"],
        seen["published"]["source"],
    )
    assert NET == D(seen["k"]["realized_pnl"]) - D(seen["k"]["fees_paid"])


async def test_the_close_is_booked_as_the_exchange_paid_it(folder: Path) -> None:
    """K says +204.5856 net, the account event of the close says so under the bot's name, and a right bot agrees."""
    async with incident(folder, Bot()) as (exchange, daemon):
        await daemon.now(lambda seen: seen["b"]["reading"] == "closed_trades" and seen["reconcile"]["status"] == "OK")
        await check_published(exchange, daemon)
        opened, closed = await events(daemon)
        assert ("POSITION_OPENED", "SHORT", "fill", "0") == tuple(
            opened[name] for name in ("stage", "side", "reason", "pnl")
        )
        assert ("CLOSED", "204.5856", "fet-7", "FET-USDT") == tuple(
            closed[name] for name in ("stage", "pnl", "trade_id", "asset")
        )
        assert ("242.4", "37.8144", "0.1878", "0.1866", "202000") == tuple(
            closed["metadata"][name] for name in ("gross", "fees", "entry_price", "exit_price", "qty")
        )
        assert [] == await of_bot(daemon)
        seen = await daemon.snapshot()
        assert ([], "204.5856", "37.8144") == (
            seen["reconcile"]["stands_alone"],
            seen["b"]["realized_pnl"],
            seen["b"]["fees_paid"],
        )
        assert seen["b"]["capital"] == seen["k"]["capital"]


@pytest.mark.parametrize(
    ("bot", "by"),
    [
        (Bot(booked_exit=BOUND), "-8569.0824"),
        (Bot(times=LEVERAGE), "484.8"),
        (Bot(booked_exit=BOUND, times=LEVERAGE), "-25213.8824"),
    ],
    ids=["booked at the bound", "profit times leverage", "both"],
)
async def test_a_bot_that_books_it_wrongly_stands_alone(folder: Path, bot: Bot, by: str) -> None:
    """The verdict says by how much; what is published stays right and usable."""
    async with incident(folder, bot) as (exchange, daemon):
        seen = await daemon.now(lambda seen: bool(seen["reconcile"]["stands_alone"]))
        (alone,) = seen["reconcile"]["stands_alone"]
        assert ("bot_capital", "bot", by, "204.5856", "204.5856", plain(bot.net)) == tuple(
            alone[name] for name in ("field", "who", "by", "k", "e", "b")
        )
        assert [("bot_capital", "BOT_DIFFERS", "WARN", "open")] == await of_bot(daemon)
        assert "WARN" == seen["reconcile"]["status"]
        await check_published(exchange, daemon)
        assert "204.5856" == (await events(daemon))[-1]["pnl"]
        text = (await daemon.client.ask("/v1/metrics")).decode()
        assert 'ditad_bot_divergences{account="main",state="open"} 1.0' in text


async def test_a_bot_that_forgot_what_it_had_settled_stands_alone(folder: Path) -> None:
    """Both restart between; under the old name it is a repeat, under a new one it is 204.5856 too much, until undone."""
    bot = Bot()
    async with SimulatedExchange(seed=1) as exchange:
        settings = settings_of(folder, exchange, BOT_SETTINGS)
        main = exchange.account("main")
        async with running(settings) as daemon:
            await daemon.until(lambda seen: seen["baseline"] is not None)
            await daemon.client.send("PUT", f"{BOOKS}/slots", {"slots": []})
            main.market_order("FET-USDT", "SELL", "SHORT", int(QTY), price=str(ENTRY))
            main.market_order("FET-USDT", "BUY", "SHORT", int(QTY), price=str(EXIT), bound=str(BOUND))
            await daemon.client.send("POST", f"{BOOKS}/settlements", bot.settlement("fet-7"))
            before = await daemon.now(
                lambda seen: seen["b"]["reading"] == "closed_trades" and seen["reconcile"]["status"] == "OK"
            )
        async with running(settings) as daemon:
            await daemon.now(lambda seen: seen["reconcile"]["status"] == "OK")
            assert before["b"] == (await daemon.snapshot())["b"]
            again = await daemon.client.send("POST", f"{BOOKS}/settlements", bot.settlement("fet-7"))
            assert again["repeated"]
            other = replace(bot, times=2).settlement("fet-7")
            with pytest.raises(AnsweredError, match="told before") as refused:
                await daemon.client.send("POST", f"{BOOKS}/settlements", other)
            assert 409 == refused.value.status
            assert before["b"] == (await daemon.snapshot())["b"]
            await daemon.client.send("POST", f"{BOOKS}/settlements", bot.settlement("fet-7 after the restart"))
            seen = await daemon.now(lambda seen: bool(seen["reconcile"]["stands_alone"]))
            (alone,) = seen["reconcile"]["stands_alone"]
            assert ("bot", "204.5856") == (alone["who"], alone["by"])
            await check_published(exchange, daemon)
            undone = {"settlement_id": "undone", "realized_pnl": plain(-NET), "fees": plain(-bot.fees)}
            await daemon.client.send("POST", f"{BOOKS}/settlements", undone)
            await daemon.now(lambda seen: not seen["reconcile"]["stands_alone"] and seen["reconcile"]["status"] == "OK")
            assert [("bot_capital", "BOT_DIFFERS", "OK", "healed")] == await of_bot(daemon)


async def test_who_may_tell_the_bots_books(folder: Path) -> None:
    """Without a word in the settings whoever reaches the socket, else those named; the others are refused."""
    async with SimulatedExchange(seed=1) as exchange:
        for uids, allowed in (([os.getuid()], True), ([4242], False)):
            settings = settings_of(folder, exchange, BOT_SETTINGS)
            said = settings.read_text().replace("[[account]]\n", f"[[account]]\nbot_uids = {uids}\n")
            settings.write_text(said)
            async with running(settings) as daemon:
                await daemon.now(lambda seen: seen["baseline"] is not None)
                if allowed:
                    assert 0 == (await daemon.client.send("PUT", f"{BOOKS}/slots", {"slots": []}))["slots"]
                    continue
                for method, path, body in (
                    ("PUT", "slots", {"slots": []}),
                    ("POST", "settlements", Bot().settlement("a")),
                ):
                    with pytest.raises(AnsweredError, match="bot_uids") as refused:
                        await daemon.client.send(method, f"{BOOKS}/{path}", body)
                    assert 403 == refused.value.status
