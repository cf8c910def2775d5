"""The settings file to frozen bounded settings, or every reason why not.

What enters: a TOML file and the environment as a mapping. What leaves: `Settings`, or `SettingsError` with all
problems at once. What holds: each key, unit, default and bound stands in `ditad.config_keys` alone; an unknown key
is refused and the nearest known one named; a secret in the file is refused, and never repeated.
"""

from __future__ import annotations

import difflib
import functools
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from ditad import config_keys as keys
from ditad.config_keys import Key, Section
from ditad.config_secrets import CredentialSource, Secret, SecretSource, load_credentials
from ditad.config_tell import TellSettings, cannot_be_run, contradictions, tell_secret
from ditad.config_values import read
from ditad.errors import SettingsError

FILE_BYTES_MAX: Final = 1024 * 1024
SOCKET_PATH_BYTES_MAX: Final = 107
"""What the kernel takes as a unix socket's path (unix(7), sun_path)."""
REQUESTS_PER_S_MAX: Final = 2
"""On the exchange's own hosts (bingx.md §5)."""
SECRET_WORDS: Final = re.compile(r"(?i)(api_?)?(key|secret|secret_?key|passphrase|password|token)")


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSettings:
    """The process. `socket_group` of `None` is the daemon's own group; `log_format` is auto, json or console.

    `metrics_listen` is an address of this machine alone and a port (0: a free one), `None` for nowhere.
    """

    state_dir: Path
    socket: Path
    socket_mode: int
    socket_group: str | None
    admin_uids: tuple[int, ...]
    log_level: str
    log_format: str
    metrics_listen: tuple[str, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileSettings:
    """The bounds of the rules, in the margin asset unless `ditad.config_keys` says otherwise."""

    capital_epsilon: Decimal
    realized_rounding: Decimal
    mark_staleness_factor: Decimal
    leverage_rounding_band: Decimal
    pending_fee_bound: Decimal
    lot_step: Decimal
    settle_window_s: float
    bot_window_s: float
    bot_away_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """When and how the exchange is asked."""

    interval_s: float
    fills_interval_s: float
    income_interval_s: float
    report_lag_s: float
    fills_lag_s: float
    overlap_s: float
    baseline_s_max: float
    fills_page_rows: int
    income_page_rows: int
    pages_max: int
    requests_per_s: float
    request_timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """The private stream and the marks; `partial_amounts` is auto, per_fill or cumulative."""

    silence_s: float
    key_renew_s: float
    key_rotate_s: float
    backoff_s_min: float
    backoff_s_max: float
    marks: bool
    mark_interval_s: float
    partial_amounts: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySettings:
    """What the API key may be allowed to do."""

    allow_withdraw_permission: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    """One account. `seed_capital` of `None` is the wallet at the baseline, `max_capital` of `None` no bound."""

    name: str
    environment: str
    rest_url: str
    ws_url: str
    margin_asset: str
    seed_capital: Decimal | None
    min_capital: Decimal
    max_capital: Decimal | None
    bar_s: int
    bot_uids: tuple[int, ...]
    raw_days: int
    namespaces: dict[str, str]
    credentials: CredentialSource
    reconcile: ReconcileSettings
    audit: AuditSettings
    stream: StreamSettings
    key: KeySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that the file and the environment say; `tell` of `None`: nobody is told of anything."""

    daemon: DaemonSettings
    accounts: tuple[AccountSettings, ...]
    tell: TellSettings | None = None


def load(path: Path, *, environ: Mapping[str, str]) -> Settings:
    """Read a settings file; raises `SettingsError` with everything that is wrong with it.

    `$STATE_DIRECTORY` (the first of several) and `$RUNTIME_DIRECTORY` in `environ` win over the file. Credentials
    are not read: not every verb has them.
    """
    return _Reading(environ).settings(_parsed(path))


def problems(path: Path, environ: Mapping[str, str], *, credentials_too: bool = True) -> list[str]:
    """Say all that is wrong with a settings file, and the credentials it points to, one sentence each."""
    reading, found = _read(path, environ)
    if credentials_too:
        for account in reading.accounts:
            found += _problems_of(functools.partial(credentials, account, environ))
        found += problems_of_tell(reading.tell, environ)
    return found


def problems_of_tell(tell: TellSettings | None, environ: Mapping[str, str]) -> list[str]:
    """Say why somebody would not be told of divergences and gaps, one sentence each."""
    if tell is None:
        return []
    return [*_problems_of(functools.partial(tell_secret, tell, environ)), *cannot_be_run(tell)]


def _problems_of(reading: Callable[[], object]) -> list[str]:
    try:
        reading()
    except SettingsError as exc:
        return exc.problems
    return []


def readable(
    path: Path, environ: Mapping[str, str]
) -> tuple[DaemonSettings | None, tuple[AccountSettings, ...], list[str]]:
    """Give of a settings file what can be read of it, and everything that is wrong with the rest."""
    reading, found = _read(path, environ)
    return reading.daemon, tuple(reading.accounts), found


def telling(path: Path, environ: Mapping[str, str]) -> TellSettings | None:
    """Give whom a settings file tells of divergences and gaps, if that can be read."""
    return _read(path, environ)[0].tell


def _read(path: Path, environ: Mapping[str, str]) -> tuple[_Reading, list[str]]:
    reading = _Reading(environ)
    return reading, _problems_of(lambda: reading.settings(_parsed(path)))


def credentials(account: AccountSettings, environ: Mapping[str, str]) -> tuple[Secret, Secret]:
    """Read an account's API key and secret; raises `SettingsError` that says what to do, without showing anything."""
    return load_credentials(account.name, account.credentials, environ)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise SettingsError([f"there are no settings at {path}: write that file, at least\n\n{keys.MINIMAL}"]) from None
    except OSError as exc:
        raise SettingsError(
            [f"the settings {path} cannot be read ({exc.strerror}): check the path and its owner"]
        ) from exc
    if len(data) > FILE_BYTES_MAX:
        raise SettingsError([f"the settings {path} are larger than {FILE_BYTES_MAX} bytes"])
    try:
        return tomllib.loads(data.decode(), parse_float=Decimal)
    except (ValueError, RecursionError) as exc:
        # The parser's message names line and column; of the text itself it shows single characters only.
        reason = "nested too deeply" if isinstance(exc, RecursionError) else str(exc)[:200]
        raise SettingsError([f"the settings {path} are not TOML: {reason}"]) from None


class _Reading:
    """One pass over a parsed file, which collects problems instead of stopping at the first."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.problems: list[str] = []
        self.daemon: DaemonSettings | None = None
        self.accounts: list[AccountSettings] = []
        self.tell: TellSettings | None = None
        self._environ = environ

    def settings(self, file: dict[str, Any]) -> Settings:
        """Make settings of a whole file, or raise everything that is wrong with it."""
        self._unknown("the file", file, ("daemon", "tell", "account"))
        daemon = self.daemon = self._daemon(self._table("[daemon]", file.get("daemon", {})))
        self._tell(self._table("[tell]", file.get("tell", {})))
        tables = file.get("account", [])
        if not isinstance(tables, list):
            self.problems.append("account: write [[account]] with two brackets, once per account")
        elif not tables:
            self.problems.append(f"there is no account: add at least\n\n{keys.MINIMAL}")
        elif len(tables) > keys.ACCOUNTS_MAX:
            self.problems.append(f"there are {len(tables)} accounts, more than {keys.ACCOUNTS_MAX} in one process")
        else:
            for number, table in enumerate(tables, 1):
                self._account(number, self._table("[[account]]", table))
            self._unique_names(tables)
        if self.problems or daemon is None:
            raise SettingsError(self.problems)
        return Settings(daemon=daemon, accounts=tuple(self.accounts), tell=self.tell)

    def _daemon(self, table: dict[str, Any]) -> DaemonSettings | None:
        before = len(self.problems)
        values = self._values("[daemon]", keys.DAEMON, table)
        state, runtime = self._folder("STATE_DIRECTORY"), self._folder("RUNTIME_DIRECTORY")
        if state is not None:
            values["state_dir"] = state
        if runtime is not None:
            values["socket"] = runtime / "ditad.sock"
        if "socket" in values and len(str(values["socket"]).encode()) > SOCKET_PATH_BYTES_MAX:
            self.problems.append(f"[daemon] socket: its path must not pass {SOCKET_PATH_BYTES_MAX} bytes")
        return None if len(self.problems) > before else DaemonSettings(**values)

    def _tell(self, table: dict[str, Any]) -> None:
        before = len(self.problems)
        values = self._values("[tell]", keys.TELL, table)
        if len(self.problems) == before:
            self.problems += [f"[tell]: {problem}" for problem in contradictions(values, table)]
        if len(self.problems) > before or not (values["command"] or values["url"]):
            return
        secret = SecretSource(file=values.pop("secret_file"), env=values.pop("secret_env"))
        self.tell = TellSettings(**values, secret=secret)

    def _folder(self, variable: str) -> Path | None:
        """Read a folder that systemd hands over; of several, separated by colons, the first counts (systemd.exec(5))."""
        text = self._environ.get(variable, "").split(":")[0]
        if text and not text.startswith("/"):
            self.problems.append(f"${variable} must be an absolute path: unset it, or let systemd set it")
        return Path(text) if text else None

    def _account(self, number: int, table: dict[str, Any]) -> None:
        name = table.get("name")
        where = (
            f"account {name}"
            if isinstance(name, str) and re.fullmatch(keys.NAME_PATTERN, name)
            else f"account {number}"
        )
        before = len(self.problems)
        own = {key: value for key, value in table.items() if key not in keys.ACCOUNT_TABLES}
        values = self._values(where, keys.ACCOUNT, own, also=tuple(keys.ACCOUNT_TABLES))
        tables = {
            word: self._values(f"{where} [{word}]", section, self._table(f"{where} [{word}]", table.get(word, {})))
            for word, section in keys.ACCOUNT_TABLES.items()
        }
        self.problems += [f"{where}: {problem}" for problem in _contradictions(values, tables)]
        if len(self.problems) > before:
            return
        rest_url, ws_url = keys.HOSTS.get(values["environment"], (values["rest_url"], values["ws_url"]))
        self.accounts.append(
            AccountSettings(
                **values
                | {
                    "rest_url": rest_url,
                    "ws_url": ws_url,
                    "margin_asset": values["margin_asset"] or keys.MARGIN_ASSETS[values["environment"]],
                    "namespaces": tables["namespaces"],
                    "credentials": CredentialSource(**tables["credentials"]),
                    "reconcile": ReconcileSettings(**tables["reconcile"]),
                    "audit": AuditSettings(**tables["audit"]),
                    "stream": StreamSettings(**tables["stream"]),
                    "key": KeySettings(**tables["key"]),
                }
            )
        )

    def _unique_names(self, tables: list[Any]) -> None:
        names = [table.get("name") for table in tables if isinstance(table, dict)]
        for name in sorted({name for name in names if isinstance(name, str) and names.count(name) > 1}):
            self.problems.append(f"account {name[:32]}: the name is given {names.count(name)} times, make each unique")

    def _table(self, where: str, value: object) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        self.problems.append(f"{where} must be a table of keys, not a single value")
        return {}

    def _values(
        self, where: str, section: Section, table: dict[str, Any], *, also: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """Read every key of a section, by its field's name; those with a problem are left out."""
        known = {key.name: key for key in section.keys}
        self._unknown(where, table, (*known, *also))
        values: dict[str, Any] = {}
        for name, key in known.items():
            try:
                values[key.field or name] = _value(key, table)
            except ValueError as exc:
                self.problems.append(f"{where}: {name} {exc}")
        return values

    def _unknown(self, where: str, table: dict[str, Any], known: tuple[str, ...]) -> None:
        for name in table:
            if name in known:
                continue
            if SECRET_WORDS.fullmatch(name):
                place = "secret_file" if where == "[tell]" else "[account.credentials] api_key_file and api_secret_file"
                self.problems.append(
                    f"{where}: a secret must not stand in the settings ({name}): take it out, have a new one made if "
                    f"others could read this file, and use {place}"
                )
            else:
                self.problems.append(f"{where}: there is no key {name[:64]!r}; {_nearest(name, known)}")


def _value(key: Key, table: dict[str, Any]) -> object:
    if key.name in table:
        return read(key, table[key.name])
    if key.required:
        raise ValueError(f"is missing: it must be {key.bound}")
    return None if key.default is None else read(key, key.default)


def _nearest(name: str, known: tuple[str, ...]) -> str:
    homes = [section.header for section in keys.SECTIONS for key in section.keys if key.name == name]
    if homes:
        return f"it belongs in {homes[0]}"
    return f"the nearest known one is {difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]!r}"


def _contradictions(account: dict[str, Any], tables: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Say which values of one account do not go together; those that could not be read are left out of it."""
    environment = account.get("environment")
    for name in ("rest_url", "ws_url"):
        given = account.get(name)
        if environment == "custom" and name in account and given is None:
            yield f"{name} is missing: environment custom needs it"
        elif environment in keys.HOSTS and given is not None:
            yield f"{name} is for environment custom only: take it out, or set environment to custom"
        elif given is not None and not given.startswith("http" if name == "rest_url" else "ws"):
            yield f"{name} must begin with {'http' if name == 'rest_url' else 'ws'}:// or its secure form"
    if environment == "vst" and account.get("margin_asset") not in {None, "VST"}:
        yield "margin_asset is VST on vst: take it out, or set it to VST"
    least, most = account.get("min_capital"), account.get("max_capital")
    if least is not None and most is not None and least > most:
        yield f"min_capital {least} is greater than max_capital {most}"
    if environment in keys.HOSTS and tables["audit"].get("requests_per_s", 0) > REQUESTS_PER_S_MAX:
        yield f"[audit]: requests_per_s is at most {REQUESTS_PER_S_MAX} on the exchange's own hosts"
    stream = tables["stream"]
    if stream.get("backoff_s_min", 0) > stream.get("backoff_s_max", 0) and len(stream) == len(keys.STREAM.keys):
        yield "[stream]: backoff_s_min is greater than backoff_s_max"
    given = {name for name, value in tables["credentials"].items() if value is not None}
    if given and given not in ({"api_key_file", "api_secret_file"}, {"api_key_env", "api_secret_env"}):
        yield (
            f"[credentials] has {', '.join(sorted(given))}: exactly one source is due, either both files or both "
            "variables (or neither, for $CREDENTIALS_DIRECTORY)"
        )
