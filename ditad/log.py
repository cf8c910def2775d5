"""The log: structlog, configured once, to one JSON object a line on stdout (interfaces.md §4).

What enters: events with fields from any module's `structlog.get_logger()`, and what libraries tell the standard
library's logging. What leaves: lines, through a `LogStream`. What holds: a log call neither blocks nor raises;
secrets are taken out of the finished line, so wherever they were planted; traces are rendered without locals.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Any, Final

import structlog

from ditad import log_lines
from ditad.log_stream import BYTES_MAX, LINES_MAX, LogStream
from ditad.records import rfc3339

LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

Fields = MutableMapping[str, Any]


def configure(
    *,
    level: str = "info",
    form: str = "auto",
    fd: int | None = None,
    now_us: Callable[[], int] = lambda: time.time_ns() // 1_000,
    lines_max: int = LINES_MAX,
    bytes_max: int = BYTES_MAX,
) -> LogStream:
    """Send what this process logs to a descriptor (stdout), and give the stream for raw lines, secrets and the end.

    `level` is the least important one written (debug, info, warning, error), until `set_level`; `form` is json,
    console, or auto: json unless the descriptor is a terminal. Call it once, at the start; the caller closes the
    stream last of all.
    """
    target = sys.stdout.fileno() if fd is None else fd
    stream = LogStream(target, now_us=now_us, least=LEVELS[level], lines_max=lines_max, bytes_max=bytes_max)
    console = form == "console" or (form == "auto" and os.isatty(target))

    def stamp(_logger: object, method: str, fields: Fields) -> Fields:
        fields["level"] = "error" if method in {"exception", "critical"} else method
        if LEVELS[fields["level"]] < stream.least:
            raise structlog.DropEvent
        fields["timestamp"] = rfc3339(now_us())
        return fields

    structlog.configure(
        processors=[stamp, structlog.processors.format_exc_info, _console(target) if console else _json],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),  # the stream's level may change
        logger_factory=lambda *_: _Door(stream),
        cache_logger_on_first_use=False,
    )
    _hear_libraries()
    return stream


def set_level(stream: LogStream, level: str) -> None:
    """Write from now on what is at least this important, also through loggers that were bound before."""
    stream.least = LEVELS[level]


def _json(_logger: object, _method: str, fields: Fields) -> bytes:
    return log_lines.encode(fields)


def _console(fd: int) -> Callable[[object, str, Fields], bytes]:
    render = structlog.dev.ConsoleRenderer(
        colors=os.isatty(fd), exception_formatter=structlog.dev.plain_traceback, pad_event_to=24
    )

    def line(logger: object, method: str, fields: Fields) -> bytes:
        return render(logger, method, fields).encode(errors="backslashreplace")

    return line


class _Door:
    """What structlog calls a logger: takes finished lines."""

    def __init__(self, stream: LogStream) -> None:
        self.msg = self.debug = self.info = self.warning = self.error = self.critical = stream.put


class _Libraries(logging.Handler):
    """Hands on what libraries log, as the event `library`, so that it too is one line without secrets."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record; a message that cannot be formed is named by its template."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        log = structlog.get_logger()
        tell = log.error if record.levelno >= logging.ERROR else log.warning
        tell("library", logger=record.name, message=message, exc_info=record.exc_info)


def _hear_libraries() -> None:
    """Make the root logger's only handler ours; what is below a warning there is noise."""
    root = logging.getLogger()
    root.handlers = [_Libraries()]
    root.setLevel(logging.WARNING)
