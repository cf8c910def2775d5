"""Who is told of divergences and gaps, as [tell] says it, and what in it does not go together.

What enters: the values of the table, read one by one. What leaves: `TellSettings`, the secret that they point to, and
sentences about what is wrong. What holds: no sentence repeats a secret.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ditad import config_keys as keys
from ditad.config_secrets import Secret, SecretSource, load_tell_secret


@dataclass(frozen=True, slots=True, kw_only=True)
class TellSettings:
    """Who is told of divergences and gaps: a command, or (`None`) a url, with a secret header or (`None`) without."""

    command: tuple[str, ...] | None
    url: str | None
    header: str | None
    secret: SecretSource
    severity: str
    timeout_s: float
    retry_s: float
    waiting_max: int


def cannot_be_run(tell: TellSettings) -> list[str]:
    """Say that the command is not there or is no program, as far as who asks can see."""
    if tell.command is None or os.access(tell.command[0], os.X_OK):
        return []
    return [f"[tell] command: {tell.command[0]} is not there, or is no program that can be run: see its path and mode"]


def tell_secret(tell: TellSettings, environ: Mapping[str, str]) -> Secret | None:
    """Read the value of the webhook's header, `None` where it has none; raises `SettingsError` that says what to do."""
    return None if tell.header is None else load_tell_secret(tell.secret, environ)


def contradictions(values: dict[str, Any], table: dict[str, Any]) -> Iterator[str]:
    """Say which values of [tell] do not go together."""
    if values["command"] is not None and values["url"] is not None:
        yield "command and url: exactly one is due (a command can post as well)"
    defaults = {key.name: key.default for key in keys.TELL.keys}
    told = [name for name, value in table.items() if value != defaults[name]]
    if told and values["command"] is None and values["url"] is None:
        yield f"command or url is missing: without either {told[0]} has no effect"
    if values["header"] is not None and values["url"] is None:
        yield "header is sent to a url only: take it out, or set url"
    if values["header"] is None and (values["secret_file"] is not None or values["secret_env"] is not None):
        yield "header is missing: it names what the secret is the value of, such as Authorization"
    if values["secret_file"] is not None and values["secret_env"] is not None:
        yield "secret_file and secret_env: exactly one source is due"
