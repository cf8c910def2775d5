"""The verb `top`: a live screen of one account, for a person at a terminal.

Enters: which daemon, which account. Leaves: a full screen until `q`. What holds: Textual is imported by this verb alone,
and where it is missing the verb says how to install it; a daemon that is not there is said before the screen is taken.
"""

from __future__ import annotations

import sys

import click

from ditad.api.client import ApiClient
from ditad.cli.asking import Asked, ask, asking
from ditad.cli.examples import examples
from ditad.clock import SystemClock
from ditad.errors import UsageError


@click.command(epilog=examples("ditad top", "ditad top --account main", "NO_COLOR=1 ditad top"))
@asking
def top(asked: Asked) -> int:
    """Show an account live: both ledgers, the verdict, coverage, the stream, divergences, equity. Keys: ? tells them.

    Of several accounts the worst is shown first. When the daemon restarts, top goes on by itself.
    """
    if asked.as_json:
        raise UsageError("top is for a person; a program reads `ditad snapshot --json` or `ditad events -f --json`")
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.__stderr__)):
        raise UsageError("top needs a terminal; without one there is `ditad status`")
    try:
        from ditad.tui.app import TopApp  # noqa: PLC0415 — an extra, and the other verbs start without it
        from ditad.tui.watching import DaemonWatch  # noqa: PLC0415 — as above
    except ModuleNotFoundError as exc:
        if (exc.name or "").startswith("ditad"):
            raise
        raise UsageError(
            f"top needs the extra `tui` ({exc.name} is missing): {sys.executable} -m pip install 'ditad[tui]'"
        ) from exc

    async def shown(client: ApiClient) -> None:
        watch = DaemonWatch(client, SystemClock())
        try:
            answers = await watch.round(asked.account, 0)
        except TimeoutError as exc:
            raise client.unreachable(exc) from exc
        if asked.account not in {None, answers.account}:
            known = ", ".join(str(item["account"]) for item in answers.accounts) or "none"
            raise UsageError(f"there is no account {asked.account}; known: {known}")
        app = TopApp(watch, answers)
        await app.run_async(mouse=False)  # the mouse stays the terminal's: an id can be copied
        if app.failure is not None:
            raise app.failure
        assert not app.return_code, "the screen failed, and said how"

    ask(asked, shown)
    return 0
