"""One account served: its pipeline, its feed, and its door to the socket.

What enters: an account's settings and what the daemon shares with all of them. What leaves: a running account that
answers truthfully, or a sentence that says what a person must do. What holds: an account that the exchange refuses
never touches another.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
from structlog.typing import FilteringBoundLogger

from ditad import explaining, history
from ditad.api.doors import UnavailableError
from ditad.bingx.feed import Credentials, Feed, FeedOptions, Hosts
from ditad.bingx.network import Internet, Network
from ditad.bingx.options import LIVE
from ditad.bot_door import BotDoor
from ditad.clock import US_PER_S, Clock
from ditad.config import AccountSettings
from ditad.config_tell import TellSettings
from ditad.errors import VenueFatalError
from ditad.events import Event, SettingsInForce, StreamChanged, StreamState
from ditad.hub import Hub
from ditad.journal import Journal, Reader
from ditad.money import plain, plain_or_none
from ditad.pipeline import Pipeline, Timing
from ditad.projection import Projection
from ditad.records import Record, RecordType, rfc3339, rfc3339_ms
from ditad.reporting import Reporter
from ditad.state import FOLD_VERSION
from ditad.tell.hook import Hook
from ditad.tell.place import PlaceFile
from ditad.tell.teller import Teller, TellOptions
from ditad.turn import capital_raw

HUB_RECORDS_MAX = 8_192
HUB_RECORDS_AMPLE = 512
HUB_BYTES_AMPLE = 4 * 1024 * 1024
HUB_BYTES_MAX = 16 * 1024 * 1024
"""What readers can resume from without the journal: the newest records, so many at most and in so many bytes.

That is time enough for a reader that keeps up, at some thousand pushes a second. Where lines are long, with hundreds of
open positions, that is so few records that `HUB_RECORDS_AMPLE` of them are kept all the same, up to `HUB_BYTES_MAX`.
"""

REFUSED_RETRY_S = 300.0
"""A key that was refused is tried again this often, or when an audit is asked for: mending it needs no restart."""

STREAM_SOUGHT_MAX = 1_024
"""So many of the newest records are looked through for why there is no stream."""

WHY_NO_STREAM = frozenset({StreamState.LOST, StreamState.SILENT, StreamState.KEY_EXPIRED, StreamState.REFUSED})

PRUNE_INTERVAL_S = 600.0
PRUNED_ROWS_FULL = 2_000
SECONDS_PER_DAY = 86_400
FOLDING_EVENTS = 2_000
"""A start that folds more events than this says so, again and again, so that nobody takes it for hung."""


class AccountService:
    """Everything of one account; the daemon runs it, the socket asks it."""

    def __init__(
        self,
        *,
        settings: AccountSettings,
        credentials: tuple[str, str],
        folder: Path,
        clock: Clock,
        log: FilteringBoundLogger,
        network: Network | None = None,
        chance: random.Random | None = None,
        conceal: Callable[[str], None] = lambda _: None,
        folding: Callable[[int, int], None] = lambda _n, _last_n: None,
        tell: TellSettings | None = None,
        hook: Hook | None = None,
        timing: Timing | None = None,
        ring_bytes: int = HUB_BYTES_AMPLE,
    ) -> None:
        """`network` and `chance` are those of the machine, unless somebody simulates them.

        `conceal` is told every listen key, `folding` now and then the number of the event that a long start is at and
        that of the last one, `timing` how long commits and snapshots take. `hook` is told of divergences and gaps, as
        `tell` says; without it nobody is. Of more than a few records the hub holds `ring_bytes`.
        """
        self.settings = settings
        self._conceal = conceal
        self.refusal = ""
        self._folder = folder
        self._clock = clock
        self._log = log
        self._network: Network = Internet() if network is None else network
        self._random = random.Random() if chance is None else chance  # noqa: S311 - jitter, no secret
        self._journal = Journal.open(folder, settings.name, environment=settings.environment)
        hub = Hub(HUB_RECORDS_MAX, HUB_BYTES_MAX, ample_records=HUB_RECORDS_AMPLE, ample_bytes=ring_bytes)
        self.reporter = Reporter(log)
        checkpoint = self._journal.newest_checkpoint(FOLD_VERSION)
        seams = self._journal.seams(FOLD_VERSION)
        projection = Projection.restored(settings.name, checkpoint.state if checkpoint else None, seams=seams)
        self._archive = Reader.open(folder, settings.name)
        self.pipeline = Pipeline(
            journal=self._journal,
            projection=projection,
            hub=hub,
            clock=clock,
            reporter=self.reporter,
            recall=self._recall,
            timing=timing,
        )
        last_n = self._journal.last_n
        events = self._journal.events_from(projection.state.n + 1)
        self.pipeline.restore(_told(events, lambda n: folding(n, last_n)))
        self.pipeline.begin(in_force(settings))
        self._credentials = Credentials(api_key=credentials[0], api_secret=credentials[1])
        self._bot = BotDoor(account=settings.name, bot_uids=settings.bot_uids, pipeline=self.pipeline, clock=clock)
        self._retry = asyncio.Event()
        self._explained: explaining.Standing | None = None
        self.teller = None if hook is None or tell is None else self._new_teller(tell, hook)
        self.feed = self._new_feed()

    def _new_teller(self, tell: TellSettings, hook: Hook) -> Teller:
        """Make who tells of this account; what the journal held before this run is not news to anybody."""
        return Teller(
            door=self,
            hook=hook,
            file=PlaceFile(self._folder, self.settings.name),
            options=TellOptions(severity=tell.severity, retry_s=tell.retry_s, waiting_max=tell.waiting_max),
            log=self._log,
            chance=self._random,
        )

    def _new_feed(self) -> Feed:
        """Make a conversation; one that was refused is not taken up again."""
        settings = self.settings
        return Feed(
            account=settings.name,
            hosts=hosts(settings),
            credentials=self._credentials,
            options=feed_options(settings),
            sink=self.pipeline,
            network=self._network,
            clock=self._clock,
            random=self._random,
            log=self._log,
            conceal=self._conceal,
        )

    def _recall(self, order_id: str) -> bytes | None:
        found = self._archive.archived(order_id)
        return None if found is None else found.body

    # ---- running

    async def listen(self) -> None:
        """Converse with the exchange until cancelled; a refusal is said, journaled and tried again later."""
        while True:
            try:
                await self.feed.run()
            except VenueFatalError as exc:
                self._retry.clear()
                self.refusal = str(exc)
                self._log.error("account.refused", what_to_do=self.refusal)
                refused = StreamChanged(state=StreamState.REFUSED, detail=self.refusal, at_ms=None)
                await self.pipeline.deliver(refused, at_us=self._clock.now_us())
            await self._await_retry()
            self.refusal = ""
            self.feed = self._new_feed()

    async def _await_retry(self) -> None:
        """Wait a while, or until somebody asks for an audit: perhaps what was refused has been mended."""
        try:
            async with asyncio.timeout(REFUSED_RETRY_S):
                await self._retry.wait()
        except TimeoutError:
            return

    async def tell(self) -> None:
        """Tell of divergences and gaps until cancelled, if somebody is to be told."""
        if self.teller is not None:
            await self.teller.run()

    async def prune(self) -> None:
        """Take away raw frames older than `raw_days`, a little at a time, for ever."""
        while True:
            await asyncio.sleep(PRUNE_INTERVAL_S)
            before_us = self._clock.now_us() - self.settings.raw_days * SECONDS_PER_DAY * US_PER_S
            while await self._journal.prune_raw(before_us) >= PRUNED_ROWS_FULL:
                pass  # there may be more; each call waits its turn behind the commits

    def admit(self, bot_uids: tuple[int, ...]) -> None:
        """Let these uids tell the bot's books from now on."""
        self.settings = replace(self.settings, bot_uids=bot_uids)
        self._bot.admit(bot_uids)

    async def close(self) -> None:
        """Seal the journal, after the pipeline has stopped."""
        self.pipeline.hub.end_readers()
        await self.pipeline.close()
        self._archive.close()

    def abandon(self) -> None:
        """Give the journal back as it is, after a failure."""
        self._journal.abandon()
        self._archive.close()

    # ---- the door

    @property
    def name(self) -> str:
        """Its name in the settings."""
        return self.settings.name

    @property
    def hub(self) -> Hub:
        """Its newest records."""
        return self.pipeline.hub

    def snapshot(self) -> bytes | None:
        """Give the present snapshot."""
        return self.pipeline.snapshot()

    def not_ready(self) -> tuple[str, ...]:
        """Say why the account cannot be trusted to answer fully."""
        state = self.pipeline.projection.state
        reasons = []
        if self.refusal:
            reasons.append(f"the exchange refuses this account: {self.refusal}")
        if state.baseline is None:
            reasons.append("there is no baseline yet")
        reasons.extend(f"{gap.id} is open: {', '.join(gap.causes)}" for gap in state.coverage.gaps if gap.open)
        if not state.streaming:
            reasons.append(f"there is no living stream{self._why_no_stream()}")
        return tuple(reasons)

    def _why_no_stream(self) -> str:
        """Say what the newest records tell of the stream's end, or of why it never began; a refusal was said already."""
        hub, first = self.hub, max(self.hub.oldest_seq, self.hub.newest_seq - STREAM_SOUGHT_MAX)
        for seq in range(hub.newest_seq, first - 1, -1):
            if hub.record(seq).type is RecordType.STREAM:
                told = orjson.loads(hub.record(seq).line)["stream"]
                if told["state"] in WHY_NO_STREAM:
                    return "" if told["detail"] in {"", "start", self.refusal} else f": {told['detail']}"
        return ""

    def verdict(self) -> Mapping[str, object]:
        """Give what `/v1/accounts` shows of the account."""
        snapshot = self.snapshot()
        if snapshot is None:
            return {"status": "UNKNOWN", "worst_field": "", "capital": None, "source": "unknown", "usable": False}
        body: dict[str, Any] = orjson.loads(snapshot)
        since_us = self.pipeline.status_since_us
        return {
            "status": body["reconcile"]["status"],
            "since": None if since_us is None else rfc3339(since_us),
            "worst_field": body["reconcile"]["worst_field"],
            "capital": body["published"]["capital"],
            "source": body["published"]["source"],
            "usable": body["published"]["usable"],
            "valid_until": body["published"]["valid_until"],
            "coverage": body["coverage"]["state"],
            "event_seq": body["event_seq"],
        }

    def journal_bytes(self) -> int:
        """Say how many bytes the journal takes on disk, its log included."""
        return self._journal.bytes_on_disk()

    def standing(self) -> str:
        """Say in a few words how the account stands: its verdict, what is worst, and how far it is covered."""
        snapshot = self.snapshot()
        if self.refusal:
            return f"{self.name} refused by the exchange"
        if snapshot is None:
            return f"{self.name} UNKNOWN, nothing heard yet"
        body: dict[str, Any] = orjson.loads(snapshot)
        reconcile, coverage = body["reconcile"], body["coverage"]
        words = [f"{self.name} {reconcile['status']} {reconcile['worst_field']}".rstrip(), coverage["state"]]
        if coverage["covered_through"] is not None:
            words.append(f"covered through {coverage['covered_through'][:19]}Z")
        return ", ".join(words)

    async def snapshot_at(self, *, at_us: int | None, event_seq: int | None) -> bytes | None:
        """Give the snapshot of a moment or a number, from memory where it is new, else from the journal."""
        line = await self._line_at(at_us, event_seq)
        return None if line is None else history.body_of(line)

    async def _line_at(self, at_us: int | None, event_seq: int | None) -> bytes | None:
        held = history.held_line(self.hub, at_us=at_us, event_seq=event_seq)
        if held is not None:
            return held
        return await asyncio.to_thread(history.line_at, self._folder, self.name, at_us=at_us, event_seq=event_seq)

    async def why(
        self, field: str, *, event_seq: int | None, after_seq: int, limit: int
    ) -> Mapping[str, object] | None:
        """Give a page of the entries that make a figure, from the journal."""
        return await asyncio.to_thread(self._why, field, event_seq, after_seq, limit)

    def _why(self, field: str, event_seq: int | None, after_seq: int, limit: int) -> Mapping[str, object] | None:
        """Explain a figure; the last snapshot explained is kept, for whoever reads one page after the other."""
        with Reader.open(self._folder, self.name) as reader:
            standing = self._explained
            if standing is None or event_seq != standing.event_seq:
                standing = self._explained = explaining.standing_at(reader, self.name, event_seq)
            if standing is None:
                return None
            return explaining.explained(reader, standing, field, after_seq=after_seq, limit=limit)

    async def difference(
        self, a: tuple[int | None, int | None], b: tuple[int | None, int | None]
    ) -> Mapping[str, object] | None:
        """Give what changed between two snapshots."""
        first, second = await self._line_at(*a), await self._line_at(*b)
        if first is None or second is None:
            return None
        unstored = self.pipeline.unstored()
        return await asyncio.to_thread(history.difference_between, self._folder, self.name, first, second, unstored)

    async def current_records(self, kind: RecordType, *, after_seq: int, limit: int) -> list[tuple[int, bytes]]:
        """Give current records: those stored, and those that the next commit will store."""
        unstored = self.pipeline.unstored()
        stored = await asyncio.to_thread(self._stored, kind, after_seq, limit)
        known = {seq for seq, _ in stored}
        fresh = [record for record in unstored if record.type is kind]
        gone = {seq for record in fresh for seq in record.replaces}
        keys = {record.key: record.seq for record in fresh if record.key is not None}
        rows = [(seq, line) for seq, line in stored if seq not in gone and not self._superseded(line, kind, keys, seq)]
        rows += [
            (record.seq, record.line)
            for record in fresh
            if record.seq > after_seq
            and record.seq not in known
            and record.seq not in gone
            and keys.get(record.key or "", record.seq) == record.seq
        ]
        return sorted(rows)[:limit]

    def _stored(self, kind: RecordType, after_seq: int, limit: int) -> list[tuple[int, bytes]]:
        with Reader.open(self._folder, self.name) as reader:
            return reader.current_records(kind, after_seq=after_seq, limit=limit)

    @staticmethod
    def _superseded(line: bytes, kind: RecordType, keys: Mapping[str, int], seq: int) -> bool:
        """Say whether a record that is not yet stored stands for the same divergence or gap."""
        if kind not in {RecordType.DIVERGENCE, RecordType.GAP} or not keys:
            return False
        return keys.get(orjson.loads(line)[kind.value]["id"], seq) > seq

    def history(self, after_seq: int) -> AsyncIterator[Record]:
        """Give records older than the hub's, from the journal."""
        return history.records_after(self._folder, self.name, after_seq)

    async def seq_at(self, at_us: int) -> int:
        """Give a `seq` not later than a moment."""
        held = self.hub.seq_at(at_us)
        return held if held is not None else await asyncio.to_thread(self._stored_seq_at, at_us)

    def _stored_seq_at(self, at_us: int) -> int:
        with Reader.open(self._folder, self.name) as reader:
            checkpoint = reader.checkpoint_at_or_before(at_us=at_us, fold_version=FOLD_VERSION)
        return 0 if checkpoint is None else checkpoint.seq

    async def audit(self, uid: int) -> None:
        """Ask the exchange now, also one that refused this account before."""
        self._log.info("audit.requested", uid=uid)
        self._retry.set()
        self.feed.request_audit()

    async def adopt(self, uid: int, why: str) -> Mapping[str, object]:
        """Accept what the exchange states as a new baseline; it is journaled with who wanted it, and why.

        Raises `UnavailableError` where the account is refused, and the feed's own error where it does not stand still.
        """
        if self.refusal:
            raise UnavailableError(f"nothing can be adopted while the exchange refuses this account: {self.refusal}")
        state = self.pipeline.projection.state
        self._log.warning("adopt.requested", uid=uid, why=why)
        before = capital_raw(state) if state.baseline is not None else None
        taken = await self.feed.adopt(uid, why)
        return {
            "baseline": {"id": taken.baseline_id, "at": rfc3339_ms(taken.taken_ms), "wallet": plain(taken.wallet)},
            "adopted_by": uid,
            "why": why,
            "capital_before": plain_or_none(before),
            "positions": len(taken.positions),
        }

    async def put_slots(self, uid: int, slots: Sequence[Mapping[str, object]]) -> Mapping[str, object]:
        """Take the bot's positions."""
        return await self._bot.put_slots(uid, slots)

    async def settle(self, uid: int, settlement: Mapping[str, object]) -> Mapping[str, object]:
        """Book a settlement of the bot, once."""
        return await self._bot.settle(uid, settlement)


def _told(events: Iterator[Event], folding: Callable[[int], None]) -> Iterator[Event]:
    """Hand events on, and tell after every `FOLDING_EVENTS` of them how far it has come, and then that it is through."""
    count = n = 0
    for event in events:
        yield event
        count, n = count + 1, event.n
        if count % FOLDING_EVENTS == 0:
            folding(n)
    if count >= FOLDING_EVENTS:
        folding(n)


def in_force(settings: AccountSettings) -> SettingsInForce:
    """Give the part of an account's settings that the fold depends on."""
    return SettingsInForce(
        fold_version=FOLD_VERSION,
        margin_asset=settings.margin_asset,
        environment=settings.environment,
        seed_capital=settings.seed_capital,
        min_capital=settings.min_capital,
        max_capital=settings.max_capital,
        partial_amounts=settings.stream.partial_amounts,
        settle_window_us=int(settings.reconcile.settle_window_s * US_PER_S),
        silence_us=int(settings.stream.silence_s * US_PER_S),
        audit_interval_us=int(settings.audit.interval_s * US_PER_S),
        income_lag_ms=int(settings.audit.report_lag_s * 1_000),
        fills_lag_ms=int(settings.audit.fills_lag_s * 1_000),
        capital_epsilon=settings.reconcile.capital_epsilon,
        realized_rounding=settings.reconcile.realized_rounding,
        mark_staleness_factor=settings.reconcile.mark_staleness_factor,
        leverage_rounding_band=settings.reconcile.leverage_rounding_band,
        bar_us=settings.bar_s * US_PER_S,
        namespaces=dict(settings.namespaces),
        bot_window_us=int(settings.reconcile.bot_window_s * US_PER_S),
        bot_away_us=int(settings.reconcile.bot_away_s * US_PER_S),
    )


def hosts(settings: AccountSettings) -> Hosts:
    """Say where an account's exchange is."""
    return Hosts(
        rest_url=settings.rest_url,
        ws_url=settings.ws_url,
        rest_fallback_url=LIVE.rest_fallback_url if settings.environment == "live" else None,
    )


def feed_options(settings: AccountSettings) -> FeedOptions:
    """Give the part of an account's settings that its conversation needs."""
    audit, stream = settings.audit, settings.stream
    return FeedOptions(
        environment=settings.environment,
        margin_asset=settings.margin_asset,
        allow_withdraw_permission=settings.key.allow_withdraw_permission,
        interval_s=audit.interval_s,
        fills_interval_s=audit.fills_interval_s,
        income_interval_s=audit.income_interval_s,
        overlap_s=audit.overlap_s,
        baseline_s_max=audit.baseline_s_max,
        page_rows_max=min(audit.fills_page_rows, audit.income_page_rows),
        pages_max=audit.pages_max,
        requests_per_s=audit.requests_per_s,
        request_timeout_s=audit.request_timeout_s,
        silence_s=stream.silence_s,
        key_renew_s=stream.key_renew_s,
        key_rotate_s=stream.key_rotate_s,
        backoff_s_min=stream.backoff_s_min,
        backoff_s_max=stream.backoff_s_max,
        marks=stream.marks,
        mark_interval_s=stream.mark_interval_s,
    )
