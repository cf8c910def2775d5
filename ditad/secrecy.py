"""What a process gives away without being asked: core dumps, its environment, traces that nobody caught.

What enters: the process as it was started. What leaves: the same, with its memory closed to others and every last word
going through the log, whose one processor takes secrets out. What holds: nothing here fails where a machine does not
offer it; the pages of a trace show places in files, never values.
"""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import resource
import sys
import threading
from collections.abc import Iterable, MutableMapping
from contextlib import suppress
from types import TracebackType
from typing import Final

import structlog

PR_SET_DUMPABLE: Final = 4
"""prctl(2). Without it a pipe in core_pattern takes dumps whatever RLIMIT_CORE says, and /proc/PID shows the rest."""


def close_memory() -> None:
    """Let no core be dumped and no other process of our user read our memory or environment; root still can."""
    with suppress(OSError, ValueError):  # a hardened unit refuses the call, and has set the limit itself
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def forget(environ: MutableMapping[str, str], names: Iterable[str | None]) -> None:
    """Take variables that held secrets out of the environment, so that no child inherits them."""
    for name in names:
        if name is not None:
            environ.pop(name, None)


def hear_last_words() -> None:
    """Send through the log what would go to stderr as it is: uncaught errors of threads and finalizers, and warnings.

    A signal that kills (the watchdog's SIGABRT) leaves on stderr the places at which every thread stood.
    """
    if sys.__stderr__ is not None:
        faulthandler.enable(file=sys.__stderr__)
    logging.captureWarnings(capture=True)
    threading.excepthook = _of_a_thread
    sys.unraisablehook = _of_a_finalizer
    sys.excepthook = _of_the_process


def _of_a_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and args.exc_type is not SystemExit:
        thread = args.thread.name if args.thread is not None else ""
        structlog.get_logger().error("thread.failed", thread=thread, exc_info=args.exc_value)


def _of_a_finalizer(args: sys.UnraisableHookArgs) -> None:
    structlog.get_logger().error("finalizer.failed", said=args.err_msg or "", exc_info=args.exc_value)


def _of_the_process(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    structlog.get_logger().error("daemon.failed", exc_info=error)
