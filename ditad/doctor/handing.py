"""Where systemd takes the secrets from that it hands to the daemon, for a doctor whom nobody hands any.

What enters: the properties of a unit, as the bus gives them. What leaves: the files, or why one is not to be read here.
What holds: a source that the settings name comes first; no secret passes through here, only its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from ditad.config import AccountSettings
from ditad.config_secrets import CredentialSource, SecretSource
from ditad.config_tell import TellSettings
from ditad.doctor.findings import Finding, unknown

ASK_THE_DAEMON: Final = "see by `ditad status` what the running daemon makes of it"
TELL_SECRET: Final = "tell.secret"  # noqa: S105 - a name, no secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """What a unit hands over, by name: the `files` that can be read, and of the others why they can not."""

    files: Mapping[str, Path] = field(default_factory=dict)
    hidden: Mapping[str, str] = field(default_factory=dict)


def handed(plain: Sequence[Sequence[str]], encrypted: Sequence[Sequence[str]], closed: frozenset[str]) -> Handed:
    """Sort pairs of a name and a place; `closed` are the places that this user may not look at."""
    files: dict[str, Path] = {}
    hidden: dict[str, str] = {}
    for name, place in plain:
        if place in closed:
            hidden[name] = f"{place} may not be read by this user"
        elif place.startswith("/"):
            files[name] = Path(place)
        else:
            hidden[name] = f"systemd takes {name} from its own store of credentials"
    for name, place in encrypted:
        hidden[name] = f"{place} is encrypted, and systemd opens it for the unit alone"
    return Handed(files=files, hidden=hidden)


def of_account(account: AccountSettings, given: Handed) -> AccountSettings | Finding:
    """Give an account the files of its unit where the settings name no source, or say why they cannot be looked at."""
    names = [f"{account.name}.{word}" for word in ("api_key", "api_secret")]
    if account.credentials != CredentialSource():
        return account
    for name in names:
        if name in given.hidden:
            return _hidden("credentials", given.hidden[name])
    key, secret = map(given.files.get, names)
    return replace(account, credentials=CredentialSource(api_key_file=key, api_secret_file=secret))


def of_tell(tell: TellSettings, given: Handed) -> TellSettings | Finding:
    """Do the same for the value of the webhook's header."""
    if tell.header is None or tell.secret != SecretSource():
        return tell
    if TELL_SECRET in given.hidden:
        return _hidden("tell", given.hidden[TELL_SECRET])
    return replace(tell, secret=SecretSource(file=given.files.get(TELL_SECRET)))


def _hidden(check: str, why: str) -> Finding:
    return unknown(check, why, f"{ASK_THE_DAEMON}, or run this as root with CREDENTIALS_DIRECTORY=, a folder of them")
