"""The API key and secret of an account, and the webhook's, each from exactly one place that only the daemon can read.

What enters: where the settings say they are, and the environment. What leaves: `Secret`s, which never show what they
hold. What holds: no sentence here repeats a value or a file's content, because people paste secrets in wrong places.
"""

from __future__ import annotations

import hmac
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from ditad.errors import SettingsError

SECRET_BYTES_MAX: Final = 4_096
SECRET_LENGTH_MIN: Final = 8
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class Secret:
    """A text that shows only to who asks for it by `reveal`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Hold a text."""
        self._text = text

    def reveal(self) -> str:
        """Give the text, to be signed with or sent, never to be kept elsewhere or logged."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(Secret)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written anywhere")


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialSource:
    """Where an account's key and secret are: two files, two variables, or (all `None`) the credentials directory."""

    api_key_file: Path | None = None
    api_secret_file: Path | None = None
    api_key_env: str | None = None
    api_secret_env: str | None = None


def load_credentials(account: str, source: CredentialSource, environ: Mapping[str, str]) -> tuple[Secret, Secret]:
    """Read the key and the secret of an account, without a newline at their end.

    Raises `SettingsError` with one sentence for each of the two that cannot be had.
    """
    problems: list[str] = []
    secrets: list[Secret] = []
    for word, file, variable in (
        ("api_key", source.api_key_file, source.api_key_env),
        ("api_secret", source.api_secret_file, source.api_secret_env),
    ):
        try:
            secrets.append(Secret(_bounded(_found(account, word, file, variable, environ))))
        except _UnusableError as exc:
            problems.append(f"account {account}: {word}: {exc}")
    if problems:
        raise SettingsError(problems)
    return secrets[0], secrets[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSource:
    """Where one secret is: a file, a variable, or (both `None`) the credentials directory."""

    file: Path | None = None
    env: str | None = None


def load_tell_secret(source: SecretSource, environ: Mapping[str, str]) -> Secret:
    """Read the value of the webhook's header; raises `SettingsError` with a sentence."""
    try:
        return Secret(_bounded(_of_tell(source, environ), spaces=True))
    except _UnusableError as exc:
        raise SettingsError([f"[tell] the header's value: {exc}"]) from None


def _of_tell(source: SecretSource, environ: Mapping[str, str]) -> bytes:
    if source.file is not None:
        return _of_file(source.file, private=True)
    if source.env is not None:
        return _of_variable(source.env, "secret_env", environ)
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise _UnusableError(_no_source("tell.secret", "secret_file or secret_env in [tell]"))
    return _of_file(Path(folder) / "tell.secret", private=False)


class _UnusableError(Exception):
    """Why one of the two cannot be used."""


def _no_source(name: str, keys: str) -> str:
    """Say where a secret may come from: first what a person who runs a verb lacks, whom systemd hands nothing over."""
    return (
        f"no source is given: run it with CREDENTIALS_DIRECTORY=/etc/ditad, the folder of {name}, "
        f"or have LoadCredential={name} in the unit, or set {keys}"
    )


def _found(account: str, word: str, file: Path | None, variable: str | None, environ: Mapping[str, str]) -> bytes:
    if file is not None:
        return _of_file(file, private=True)
    if variable is not None:
        return _of_variable(variable, f"{word}_env", environ)
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise _UnusableError(_no_source(f"{account}.{word}", f"{word}_file or {word}_env in [account.credentials]"))
    # systemd keeps this folder for the unit alone; under an ACL its files look group-readable and are not.
    return _of_file(Path(folder) / f"{account}.{word}", private=False)


def _of_variable(variable: str, key: str, environ: Mapping[str, str]) -> bytes:
    text = environ.get(variable)
    if not text:
        raise _UnusableError(
            f"the environment variable that {key} names is not set: set it where the daemon is started"
        )
    return text.encode(errors="surrogateescape")


def _of_file(path: Path, *, private: bool) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as exc:
        raise _UnusableError(f"{path} cannot be read ({exc.strerror}): check its path and owner") from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise _UnusableError(f"{path} is not a file: name one that holds the value alone")
        if private and mode & OTHERS:
            raise _UnusableError(f"{path} can be read by others than its owner: chmod 600 it")
        return os.read(descriptor, SECRET_BYTES_MAX + 1)
    except OSError as exc:
        raise _UnusableError(f"{path} cannot be read ({exc.strerror}): check its path and owner") from None
    finally:
        os.close(descriptor)


def _bounded(data: bytes, *, spaces: bool = False) -> str:
    text = data.rstrip(b"\r\n")
    if len(data) > SECRET_BYTES_MAX:
        raise _UnusableError(f"is longer than {SECRET_BYTES_MAX} bytes, which no key is: write the value there alone")
    if len(text) < SECRET_LENGTH_MIN:
        raise _UnusableError("is empty or too short to be one: write the whole value there")
    if not all(0x21 <= byte <= 0x7E or (spaces and byte == 0x20) for byte in text):
        what = "a line break" if spaces else "a space, a line break"
        raise _UnusableError(f"holds {what} or another character that no key has: write the value there alone")
    return text.decode("ascii")
