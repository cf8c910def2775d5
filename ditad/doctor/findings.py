"""What one check comes to: how it stands, what was found, and what to do about it.

What holds: whatever is not OK says what to do; no text here holds a secret, for none is ever handed in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Status(StrEnum):
    """How a check stands; UNKNOWN: it could not be made."""

    OK = "OK"
    WARN = "WARN"
    ERROR = "ERROR"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line: the check's name, how it stands, and in one sentence each what was found and what to do."""

    check: str
    status: Status
    said: str
    what_to_do: str = ""
    account: str | None = None

    def __post_init__(self) -> None:
        """Hold that nobody is left alone with bad news."""
        assert self.said, "something was found"
        assert self.status is Status.OK or self.what_to_do, f"{self.check}: what is not OK says what to do"

    def of(self, account: str) -> Finding:
        """Give it as that of an account."""
        return replace(self, account=account)


def ok(check: str, said: str) -> Finding:
    """Find nothing to do."""
    return Finding(check=check, status=Status.OK, said=said)


def warn(check: str, said: str, what_to_do: str) -> Finding:
    """Find what works, and should be otherwise."""
    return Finding(check=check, status=Status.WARN, said=said, what_to_do=what_to_do)


def error(check: str, said: str, what_to_do: str) -> Finding:
    """Find what does not work."""
    return Finding(check=check, status=Status.ERROR, said=said, what_to_do=what_to_do)


def unknown(check: str, said: str, what_to_do: str) -> Finding:
    """Find nothing out."""
    return Finding(check=check, status=Status.UNKNOWN, said=said, what_to_do=what_to_do)


def split(sentence: str) -> tuple[str, str]:
    """Take a sentence of our errors apart: what is wrong, and behind the last colon what to do."""
    said, _, what_to_do = sentence.rstrip(". ").rpartition(": ")
    return (said, what_to_do) if said else (what_to_do, "")
