"""The composition root: settings to a running daemon, signals to an orderly end.

What enters: the path of a settings file and the environment. What leaves: an exit code (interfaces.md §1). What
holds: every task has an owner; configuration stops here; the journal is sealed or nothing was promised; a failed
journal ends the daemon with a last line that says so.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import structlog

from ditad import __version__
from ditad.api.listening import listen_at
from ditad.api.server import ApiServer
from ditad.clock import Clock, SystemClock
from ditad.config import Settings, credentials, load
from ditad.errors import DitadError, SettingsError
from ditad.journal import StateFolder
from ditad.log import configure
from ditad.log_stream import LogStream
from ditad.metrics import metrics_text
from ditad.reporting import Log
from ditad.service import AccountService

STOP_S_MAX = 4.0
"""An orderly end takes at most this long; then the process ends as it is."""


class Daemon:
    """All accounts of a settings file, served on one socket; also the socket's door."""

    def __init__(self, settings: Settings, *, environ: Mapping[str, str], stream: LogStream | None, log: Log) -> None:
        """Open everything that is opened once; raises from the `DitadError` tree with one sentence each."""
        self.settings = settings
        self.clock: Clock = SystemClock()
        self._log = log
        self._stopping = asyncio.Event()
        keys = _all_credentials(settings, environ)
        if stream is not None:
            for pair in keys.values():
                for secret in pair:
                    stream.hide(secret)
        self._folder = StateFolder.acquire(settings.daemon.state_dir)
        self._services: dict[str, AccountService] = {}
        try:
            for account in settings.accounts:
                self._services[account.name] = AccountService(
                    settings=account,
                    credentials=keys[account.name],
                    folder=settings.daemon.state_dir,
                    clock=self.clock,
                    log=structlog.get_logger().bind(account=account.name),
                )
        except BaseException:
            self.release()
            raise

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
        return metrics_text(self._services, self.clock)

    def refused(self) -> Mapping[str, str]:
        """Give the accounts that the exchange refuses, and exactly what to do about each."""
        return {name: service.refusal for name, service in self._services.items() if service.refusal}

    # ---- running

    def stop(self) -> None:
        """Ask for an orderly end."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until `stop`; raises `JournalError` where a journal failed, after everything else was ended."""
        self._log.info("daemon.started", version=__version__, accounts=list(self._services), pid=os.getpid())
        daemon = self.settings.daemon
        server = ApiServer(self, admin_uids=frozenset(daemon.admin_uids))
        try:
            await server.start(listen_at(daemon.socket, mode=daemon.socket_mode, group=daemon.socket_group))
            self._log.info("daemon.ready", socket=str(daemon.socket))
            await self._serve()
        except BaseException:
            for service in self._services.values():
                service.abandon()
            raise
        finally:
            await server.stop()
        self._log.info("daemon.stopping")
        for service in self._services.values():
            await service.close()
        self._log.info("daemon.stopped")

    async def _serve(self) -> None:
        """Run every account's tasks until asked to stop, then let the pipelines finish what is queued."""
        try:
            async with asyncio.TaskGroup() as writers:
                for service in self._services.values():
                    writers.create_task(service.pipeline.run(), name=f"pipeline {service.name}")
                writers.create_task(self._listen(), name="listening")
        except BaseExceptionGroup as group:
            first = group.exceptions[0]
            raise first from group

    async def _listen(self) -> None:
        """Listen to the exchange until asked to stop; the pipelines stop after their feeds."""
        async with asyncio.TaskGroup() as feeds:
            tasks = [feeds.create_task(service.listen()) for service in self._services.values()]
            tasks += [feeds.create_task(service.prune()) for service in self._services.values()]
            await self._stopping.wait()
            for task in tasks:
                task.cancel()
        for service in self._services.values():
            service.hub.end_readers()
            service.pipeline.stop()

    def release(self) -> None:
        """Give the state folder and whatever journal is still open back."""
        for service in self._services.values():
            service.abandon()
        self._folder.release()


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


def run(path: Path, *, environ: Mapping[str, str] | None = None) -> int:
    """Run the daemon in the foreground; gives the exit code. Settings that cannot be used raise `SettingsError`."""
    environ = os.environ if environ is None else environ
    settings = load(path, environ=environ)
    stream = configure(level=settings.daemon.log_level, form=settings.daemon.log_format)
    log = structlog.get_logger()
    try:
        asyncio.run(_until_signalled(settings, environ, stream, log))
    except DitadError as exc:
        reason = str(exc)  # a sentence for an operator; the trace would only hide it
        log.error("daemon.failed", reason=reason, exit_code=exc.exit_code)  # noqa: TRY400
        return exc.exit_code
    finally:
        stream.close()
    return 0


async def _until_signalled(settings: Settings, environ: Mapping[str, str], stream: LogStream, log: Log) -> None:
    daemon = Daemon(settings, environ=environ, stream=stream, log=log)
    try:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _stop_or_end, daemon, loop)
        await daemon.run()
    finally:
        daemon.release()


def _stop_or_end(daemon: Daemon, loop: asyncio.AbstractEventLoop) -> None:
    """Stop in order at the first signal; a second one, or too long an end, ends the process at once."""
    daemon.stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, os._exit, 130)
    loop.call_later(STOP_S_MAX, os._exit, 70)
