"""The composition root: settings to a running daemon, signals to an orderly end.

What enters: the path of a settings file and the environment. What leaves: an exit code (interfaces.md §1). What
holds: every task has an owner; configuration stops here; nobody is answered before every journal is folded, the news
of this start included; the journal is sealed or nothing was promised; a failed journal ends the daemon with a last
line that says so; settings that are wrong when they are read again change nothing.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import structlog

from ditad import __version__, notify, secrecy
from ditad.api.listening import Listener, handed_in, listen_at, take_over
from ditad.api.scraping import ScrapeServer
from ditad.api.server import ApiServer
from ditad.clock import Clock, SystemClock
from ditad.config import Settings, credentials, load
from ditad.config_secrets import Secret
from ditad.config_tell import TellSettings, tell_secret
from ditad.errors import DitadError, SettingsError
from ditad.journal import StateFolder
from ditad.log import configure, set_level
from ditad.log_stream import LogStream
from ditad.metrics import Metrics
from ditad.notify import ServiceManager, Watchdog
from ditad.reloading import reloaded
from ditad.reporting import Log
from ditad.service import HUB_BYTES_AMPLE, AccountService
from ditad.tell.command import Command
from ditad.tell.hook import Hook
from ditad.tell.webhook import Webhook

STOP_S_MAX: Final = 4.0
"""An orderly end takes at most this long; then the process ends as it is."""

LAST_WORDS_S_MAX: Final = 0.5
"""And this long, beyond it, for the log to be taken by whoever reads it."""

STATUS_S: Final = 1.0
"""How things stand is told when it has changed, and at most this often."""

START_S_MAX: Final = 60.0
"""What a start that folds much asks for, again and again while it goes on."""

RINGS_BYTES_AMPLE: Final = 48 * 1024 * 1024
"""What the rings of newest records of all accounts hold together; only few and long ones, or the least, go beyond."""
RING_BYTES_MIN: Final = 1024 * 1024

ANOTHER_PORT: Final = (
    "free the port of metrics_listen or name another one, then restart; /v1/metrics of the socket answers"
)
CYCLES_SOUGHT: Final = (5_000, 20, 10)
"""How many objects more there are when cycles are sought among the youngest of them, and how often among older ones.

Next to nothing of ours lies in cycles, and a fold makes thousands of objects that stay: at Python's own numbers
(700, 10, 10) a twentieth of the CPU went into looking at them. (gc.set_threshold)
"""
OVERRAN: Final = 70
SIGNALLED_TWICE: Final = 130


CatchingUp = Callable[[str, int, int], None]
"""Takes an account's name, the number of the event that its start is at, and that of its last."""


def _unseen(_account: str, _n: int, _last_n: int) -> None:
    """Let nobody watch."""


class Daemon:
    """All accounts of a settings file, served on one socket; also the socket's door."""

    def __init__(
        self,
        settings: Settings,
        *,
        environ: Mapping[str, str],
        stream: LogStream | None,
        log: Log,
        manager: ServiceManager | None = None,
        handed: socket.socket | None = None,
        catching_up: CatchingUp = _unseen,
    ) -> None:
        """Open everything that is opened once; raises from the `DitadError` tree with one sentence each.

        `manager` is who started us, `handed` the socket it hands in instead of one of our own; `catching_up` is told
        how far a start that folds much has come.
        """
        self._catching_up = catching_up
        self.settings = settings
        self.clock: Clock = SystemClock()
        self._log = log
        self._stream = stream
        self._manager = ServiceManager() if manager is None else manager
        self._handed = handed
        self._stopping = asyncio.Event()
        self._answering = False
        self._remark = ""
        self._server = ApiServer(self, admin_uids=frozenset(settings.daemon.admin_uids))
        self.scrapes = ScrapeServer(self.metrics)
        keys = _all_credentials(settings, environ)
        header = None if settings.tell is None else tell_secret(settings.tell, environ)
        hook = None if settings.tell is None else hook_of(settings.tell, header)
        if stream is not None:
            for pair in keys.values():
                for secret in pair:
                    stream.hide(secret)
            if header is not None:
                stream.hide(header.reveal())
        self._folder = StateFolder.acquire(settings.daemon.state_dir)
        self._services: dict[str, AccountService] = {}
        state_dir = settings.daemon.state_dir
        self._metrics = Metrics(self._services, clock=self.clock, state_dir=state_dir, version=__version__)
        try:
            for account in settings.accounts:
                self._services[account.name] = AccountService(
                    settings=account,
                    credentials=keys[account.name],
                    folder=state_dir,
                    clock=self.clock,
                    log=structlog.get_logger().bind(account=account.name),
                    conceal=(lambda _: None) if stream is None else functools.partial(stream.hide, passing=True),
                    folding=functools.partial(self._folding, account.name),
                    tell=settings.tell,
                    hook=hook,
                    timing=self._metrics.timing(account.name),
                    ring_bytes=ring_bytes_of(len(settings.accounts)),
                )
        except BaseException:
            self.release()
            raise

    def _folding(self, name: str, n: int, last_n: int) -> None:
        self._manager.extend(START_S_MAX, f"{name} folds its journal: event {n} of {last_n}")
        self._catching_up(name, n, last_n)

    # ---- the door

    @property
    def version(self) -> str:
        """The version of the package."""
        return __version__

    @property
    def accounts(self) -> Mapping[str, AccountService]:
        """The accounts by name, those that the exchange refuses too: what is known of them is still true."""
        return self._services

    def metrics(self) -> bytes:
        """Give the metrics as Prometheus text."""
        return self._metrics.text()

    def refused(self) -> Mapping[str, str]:
        """Give the accounts that the exchange refuses, and exactly what to do about each."""
        return {name: service.refusal for name, service in self._services.items() if service.refusal}

    def standing(self) -> str:
        """Say in one line how all accounts stand."""
        said = [service.standing() for service in self._services.values()]
        return "; ".join([*said, self._remark] if self._remark else said)

    # ---- running

    def stop(self) -> None:
        """Ask for an orderly end."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until `stop`; raises `JournalError` where a journal failed, after everything else was ended."""
        self._log.info("daemon.started", version=__version__, accounts=list(self._services), pid=os.getpid())
        try:
            await self._serve()
        except BaseException:
            for service in self._services.values():
                service.abandon()
            raise
        finally:
            await self.scrapes.stop()
            await self._server.stop()
        for service in self._services.values():
            await service.close()
        left = {name: count for name, service in self._services.items() if (count := service.pipeline.left_unfolded)}
        self._log.info("daemon.stopped", **({"left_to_fold": left} if left else {}))

    async def _serve(self) -> None:
        """Run every account's tasks until asked to stop, then let the pipelines finish what is queued."""
        watchdog = Watchdog(
            self._services, self._manager.feed, limit_s=self._manager.watchdog_s, mono_s=self.clock.mono_s
        )
        try:
            async with asyncio.TaskGroup() as writers:
                for name, service in self._services.items():
                    service.pipeline.watched(functools.partial(watchdog.turned, name), watchdog.turn_s_max)
                    writers.create_task(service.pipeline.run(), name=f"pipeline {name}")
                writers.create_task(self._live(), name="living")
        except BaseExceptionGroup as group:
            raise _first_of(group) from group

    async def _live(self) -> None:
        """Answer and listen until asked to stop; the pipelines stop after whoever feeds them."""
        for service in self._services.values():
            await service.pipeline.folded()
        listener = self._listener()
        await self._server.start(listener)
        scraped = await self._let_scrape()
        self._log.info("daemon.ready", socket=listener.name, handed_in=self._handed is not None, metrics=scraped)
        self._answering = True
        self._manager.ready(self.standing())
        async with asyncio.TaskGroup() as feeds:
            tasks = [feeds.create_task(service.listen()) for service in self._services.values()]
            tasks += [feeds.create_task(service.prune()) for service in self._services.values()]
            tasks += [feeds.create_task(service.tell()) for service in self._services.values()]
            tasks.append(feeds.create_task(self._tell_status()))
            await self._stopping.wait()
            self._log.info("daemon.stopping")
            self._manager.stopping("stopping")
            feeds.create_task(self._server.stop())
            for task in tasks:
                task.cancel()
        for service in self._services.values():
            service.hub.end_readers()
            service.pipeline.stop()

    async def _let_scrape(self) -> str | None:
        """Answer a metrics server at the address of the settings; books that are kept without it are kept all the same."""
        if self.settings.daemon.metrics_listen is None:
            return None
        try:
            return await self.scrapes.start(*self.settings.daemon.metrics_listen)
        except OSError as exc:
            self._log.error("metrics.not_served", reason=exc.strerror, what_to_do=ANOTHER_PORT)
            return None

    def _listener(self) -> Listener:
        if self._handed is not None:
            return take_over(self._handed)
        daemon = self.settings.daemon
        return listen_at(daemon.socket, mode=daemon.socket_mode, group=daemon.socket_group)

    async def _tell_status(self) -> None:
        """Tell the service manager how things stand whenever that has changed, for ever."""
        told = ""
        while True:
            await asyncio.sleep(STATUS_S)
            standing = self.standing()
            if standing != told:
                self._manager.status(standing)
                told = standing

    # ---- settings that are read again

    def reload(self, read: Callable[[], Settings]) -> None:
        """Take what can be taken of settings that were written anew; wrong ones are said to be, and change nothing."""
        if self._stopping.is_set() or not self._answering:
            self._log.warning("settings.kept", problems=["the daemon is still starting, or stopping already"])
            return
        self._manager.reloading()
        try:
            found = reloaded(self.settings, read())
        except SettingsError as exc:
            self._remark = "the settings were read again and are wrong: those before hold on"
            self._log.error("settings.kept", problems=exc.problems)
        else:
            self._remark = "some settings wait for a restart" if found.waiting else ""
            self._take(found.settings)
            self._log.info("settings.reloaded", taken=list(found.taken), waiting_for_restart=list(found.waiting))
        self._manager.ready(self.standing())

    def _take(self, settings: Settings) -> None:
        self.settings = settings
        self._server.admit(frozenset(settings.daemon.admin_uids))
        for account in settings.accounts:
            self._services[account.name].admit(account.bot_uids)
        if self._stream is not None:
            set_level(self._stream, settings.daemon.log_level)

    def release(self) -> None:
        """Give the state folder and whatever journal is still open back."""
        for service in self._services.values():
            service.abandon()
        self._folder.release()


def ring_bytes_of(accounts: int) -> int:
    """Give how many bytes of its newest records each of so many accounts holds for readers."""
    return max(RING_BYTES_MIN, min(HUB_BYTES_AMPLE, RINGS_BYTES_AMPLE // accounts))


def hook_of(tell: TellSettings, header: Secret | None) -> Hook:
    """Make what is told of divergences and gaps."""
    if tell.command is not None:
        return Command(tell.command, timeout_s=tell.timeout_s)
    assert tell.url is not None, "settings that tell have a command or a url"
    headers = {} if tell.header is None or header is None else {tell.header: header.reveal()}
    return Webhook(tell.url, headers=headers, timeout_s=tell.timeout_s)


def _all_credentials(settings: Settings, environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    problems: list[str] = []
    found: dict[str, tuple[str, str]] = {}
    for account in settings.accounts:
        try:
            key, secret = credentials(account, environ)
        except SettingsError as exc:
            problems += exc.problems
        else:
            found[account.name] = (key.reveal(), secret.reveal())
    if problems:
        raise SettingsError(problems)
    return found


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Find what ended the tasks: the first of our own errors, however deep, else the first of all."""
    leaves = list(_leaves(group))
    return next((leaf for leaf in leaves if isinstance(leaf, DitadError)), leaves[0])


def _leaves(exc: BaseException) -> Iterator[BaseException]:
    if isinstance(exc, BaseExceptionGroup):
        for each in exc.exceptions:
            yield from _leaves(each)
    else:
        yield exc


# ---- the process


def run(path: Path, *, catching_up: CatchingUp = _unseen) -> int:
    """Run the daemon in the foreground; gives the exit code. Settings that cannot be used raise `SettingsError`.

    Call it first of all in a process: it takes what whoever started us handed in, and closes our memory to others.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
    secrecy.close_memory()
    environ = dict(os.environ)
    notify.forget(os.environ)
    handed = handed_in(os.environ, pid=os.getpid())
    settings = load(path, environ=environ)
    secrecy.forget(os.environ, _variables(settings))
    stream = configure(level=settings.daemon.log_level, form=settings.daemon.log_format)
    secrecy.hear_last_words()
    log = structlog.get_logger()
    try:
        asyncio.run(
            _until_signalled(path, settings, environ, stream=stream, log=log, handed=handed, catching_up=catching_up)
        )
    except DitadError as exc:
        reason = str(exc)  # a sentence for an operator; the trace would only hide it
        log.error("daemon.failed", reason=reason, exit_code=exc.exit_code)  # noqa: TRY400
        return exc.exit_code
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as exc:
        # The last place where a trace goes through the log, which takes secrets out of it, and not to stderr as it is.
        log.exception("daemon.failed", exit_code=DitadError.exit_code)
        raise SystemExit(DitadError.exit_code) from exc
    finally:
        stream.close(LAST_WORDS_S_MAX)
    return 0


def _variables(settings: Settings) -> list[str | None]:
    """Name the variables that hold secrets."""
    sources = [account.credentials for account in settings.accounts]
    names = [name for source in sources for name in (source.api_key_env, source.api_secret_env)]
    return names if settings.tell is None else [*names, settings.tell.secret.env]


async def _until_signalled(
    path: Path,
    settings: Settings,
    environ: Mapping[str, str],
    *,
    stream: LogStream,
    log: Log,
    handed: socket.socket | None,
    catching_up: CatchingUp,
) -> None:
    manager = ServiceManager.of(environ, pid=os.getpid())
    gc.set_threshold(*CYCLES_SOUGHT)
    daemon = Daemon(
        settings,
        environ=environ,
        stream=stream,
        log=log,
        manager=manager,
        handed=handed,
        catching_up=catching_up,
    )
    gc.freeze()  # the modules and what was folded so far are no garbage: nobody need look at them again and again
    read_again = functools.partial(load, path, environ=environ)
    bound = threading.Timer(STOP_S_MAX, _end, (stream,))
    bound.daemon = True
    try:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _stop_or_end, daemon, loop, bound)
        loop.add_signal_handler(signal.SIGHUP, daemon.reload, read_again)
        await daemon.run()
    finally:
        bound.cancel()
        daemon.release()


def _stop_or_end(daemon: Daemon, loop: asyncio.AbstractEventLoop, bound: threading.Timer) -> None:
    """Stop in order at the first signal; a second one, or too long an end, ends the process at once.

    Neither waits for the loop, whatever keeps it: the handler runs between two steps of the interpreter, and a thread
    keeps the time.
    """
    daemon.stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)
        signal.signal(number, lambda *_: os._exit(SIGNALLED_TWICE))
    if not bound.is_alive():  # two signals that came before the loop's next turn are one
        bound.start()


def _end(stream: LogStream) -> None:
    """End without order: what is durable stays so, the journal is not sealed, and the next start says nothing is lost."""
    structlog.get_logger().error("daemon.stop_overran", seconds_max=STOP_S_MAX, exit_code=OVERRAN)
    stream.close(LAST_WORDS_S_MAX)
    os._exit(OVERRAN)
