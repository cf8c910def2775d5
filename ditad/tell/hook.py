"""Where tellings go, as the teller sees it, and how one that was not taken is said."""

from __future__ import annotations

from typing import Protocol

from ditad.errors import DitadError


class HookError(DitadError):
    """A telling was not taken; `again`: trying again may help."""

    def __init__(self, reason: str, *, again: bool = True) -> None:
        """Say why, without an address, whose path may be a secret."""
        self.again = again
        super().__init__(reason)


class Hook(Protocol):
    """A command or a webhook."""

    @property
    def name(self) -> str:
        """What the log calls it."""

    async def tell(self, telling: bytes, *, key: str) -> None:
        """Hand over a telling and return once it is taken; raises `HookError`. Whatever it started is over then.

        `key` is the same whenever the same telling is handed over.
        """
