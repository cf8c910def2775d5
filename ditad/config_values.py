"""Read one value of the settings file by its key.

What enters: what TOML holds, floats as `Decimal`. What leaves: the bounded value, or `ValueError` with a sentence
about it that can follow the key's name. What holds: a value is never shown back where it might be a secret.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from ditad.config_keys import Key, Kind
from ditad.money import number_of

BAR_S_MAX: Final = 30 * 86_400
UID_MAX: Final = 2**32 - 2
PATH_LENGTH_MAX: Final = 4_096
URL_LENGTH_MAX: Final = 512
PORT_MAX: Final = 65_535
_BAR_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SECURE: Final = frozenset({"https", "wss"})
_PLAIN: Final = frozenset({"http", "ws"})


def read(key: Key, value: object) -> object:
    """Give the value in its own type; raises `ValueError` that says what is due."""
    return _READERS[key.kind](key, value)


def _text(key: Key, value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(key.pattern, value):
        raise ValueError(f"must be {key.bound}, in quotes")
    return value


def _choice(key: Key, value: object) -> str:
    if not isinstance(value, str) or value not in key.choices:
        raise ValueError(f"must be one of {key.bound}")
    return value


def _flag(key: Key, value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be {key.bound}, without quotes")
    return value


def _whole(key: Key, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"must be a whole number, {key.bound}")
    _in_bounds(key, Decimal(value))
    return value


def _float(key: Key, value: object) -> float:
    return float(_decimal(key, value))


def _decimal(key: Key, value: object) -> Decimal:
    """Read a number written as such or in quotes, with all its digits."""
    if not isinstance(value, (str, int, Decimal)) or isinstance(value, bool):
        raise ValueError(f"must be a number, {key.bound}")
    try:
        number = number_of(value)
    except ValueError:
        raise ValueError(f"must be a number, {key.bound}") from None
    _in_bounds(key, number)
    return number


def _in_bounds(key: Key, number: Decimal) -> None:
    if not key.least <= number <= key.most and not (key.zero and not number):
        unit = f" {key.unit}" if key.unit else ""
        raise ValueError(f"is {number}, out of its bounds: {key.bound}{unit}")


def _capital(key: Key, value: object) -> Decimal | None:
    return None if value == "auto" else _decimal(key, value)


def _path(key: Key, value: object) -> Path:
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value or len(value) > PATH_LENGTH_MAX:
        raise ValueError(f"must be {key.bound}, in quotes")
    return Path(value)


def _mode(key: Key, value: object) -> int:
    if not isinstance(value, str) or not re.fullmatch(r"0?[67][0-7]{2}", value):
        raise ValueError(f"must be {key.bound}")
    return int(value, 8)


def _uids(key: Key, value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not key.least <= len(value) <= key.most:
        raise ValueError(f"must be {key.bound}")
    for uid in value:
        if not isinstance(uid, int) or isinstance(uid, bool) or not 0 <= uid <= UID_MAX:
            raise ValueError(f"holds {uid!r}, which is no user id (a number, as `id -u` says)")
    return tuple(value)


def _bar(key: Key, value: object) -> int:
    parts = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", value) if isinstance(value, str) else None
    length_s = int(parts[1]) * _BAR_UNITS[parts[2]] if parts else 0
    if not 0 < length_s <= BAR_S_MAX:
        raise ValueError(f"must be {key.bound}, in quotes")
    return length_s


def _url(_key: Key, value: object) -> str:
    return _address(value).rstrip("/")


def _webhook(_key: Key, value: object) -> str:
    """Read an address as it is: a slash at its end may be meant."""
    address = _address(value)
    if not address.startswith("http"):
        raise ValueError("must begin with https:// (or http:// to this machine)")
    return address


def _address(value: object) -> str:
    parts = _split(value)
    if parts is None or not parts.hostname or parts.scheme not in _SECURE | _PLAIN:
        raise ValueError("must be an address such as https://host or wss://host/path, in quotes")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("must be an address alone, without user, query or fragment")
    if parts.scheme in _PLAIN and not _is_loopback(parts.hostname):
        raise ValueError(f"must not be plain {parts.scheme} beyond this machine: use {parts.scheme}s")
    return parts.geturl()


def _split(value: object) -> SplitResult | None:
    if not isinstance(value, str) or len(value) > URL_LENGTH_MAX or not re.fullmatch(r"[!-~]+", value):
        return None
    try:
        parts = urlsplit(value)
        _ = parts.port
        _ = (parts.hostname or "").encode("idna")  # as it is looked up
    except ValueError:
        return None
    return parts


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(key: Key, value: object) -> tuple[str, int]:
    """Read an address that only this machine reaches, by its digits: a name could lead elsewhere."""
    parts = (
        re.fullmatch(r"(?:\[([0-9a-fA-F:]{2,39})\]|([0-9.]{7,15})):([0-9]{1,5})", value)
        if isinstance(value, str)
        else None
    )
    if parts is None or int(parts[3]) > PORT_MAX or not _is_address(parts[1] or parts[2]):
        raise ValueError(f"must be {key.bound}, in quotes")
    host = parts[1] or parts[2]
    if not _is_loopback(host):
        raise ValueError(f"must not be reached from beyond this machine: it must be {key.bound}")
    return host, int(parts[3])


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _variable(key: Key, value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", value):
        raise ValueError(f"must be {key.bound}, in quotes")
    return value


def _command(key: Key, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not key.least <= len(value) <= key.most:
        raise ValueError(f"must be {key.bound}")
    for word in value:
        if not isinstance(word, str) or "\0" in word or len(word) > PATH_LENGTH_MAX:
            raise ValueError("holds what is no word: each stands in quotes")
    if not value[0].startswith("/"):
        raise ValueError("must begin with the absolute path of a program")
    return tuple(value)


_READERS: Final[dict[Kind, Callable[[Key, object], object]]] = {
    Kind.TEXT: _text,
    Kind.CHOICE: _choice,
    Kind.FLAG: _flag,
    Kind.WHOLE: _whole,
    Kind.SECONDS: _float,
    Kind.RATE: _float,
    Kind.MONEY: _decimal,
    Kind.CAPITAL: _capital,
    Kind.PATH: _path,
    Kind.MODE: _mode,
    Kind.UIDS: _uids,
    Kind.BAR: _bar,
    Kind.URL: _url,
    Kind.LISTEN: _listen,
    Kind.VARIABLE: _variable,
    Kind.COMMAND: _command,
    Kind.WEBHOOK: _webhook,
}
