"""The error tree: what can go wrong at a border, and what each kind asks of its reader.

    DitadError
    ├── UsageError              64  wrong words on the command line
    ├── SettingsError           78  wrong settings; carries every problem found, not only the first
    ├── StateFolderInUseError   75  another daemon holds the state folder
    ├── JournalError            74  the journal cannot be written; the daemon stops
    │   ├── JournalDamagedError 65  what is stored contradicts itself
    │   ├── JournalTooNewError  65  written by a newer ditad
    │   ├── JournalNotOursError 77  it belongs to another user, who keeps it to themselves
    │   └── JournalElsewhereError 78  begun on another environment than the settings name
    ├── DaemonUnreachableError  69  nobody answers on the socket
    ├── RefusedError            77  the daemon or the exchange says no
    ├── Refusal                     a frame or row that cannot be applied; kept with its reason
    └── VenueError                  the exchange did not answer a question
        ├── VenueFatalError         asking again cannot help: says what to do
        └── VenueUnavailableError   this kind of question is not answered to this key

A divergence of the books is not an error but a value (`ditad.reconcile`). Our own mistakes are assertions.
This module imports nothing of ours.
"""

from __future__ import annotations


class DitadError(Exception):
    """Say in one sentence what is wrong and what to do; `exit_code` is what a verb ends with."""

    exit_code = 70


class UsageError(DitadError):
    """The command line does not make sense."""

    exit_code = 64


class SettingsError(DitadError):
    """The settings cannot be used; `problems` lists every reason, one sentence each."""

    exit_code = 78

    def __init__(self, problems: list[str]) -> None:
        """Keep all problems; the message joins them by line."""
        self.problems = problems
        super().__init__("\n".join(problems))


class StateFolderInUseError(DitadError):
    """Another daemon writes this state folder; the message names its pid."""

    exit_code = 75


class JournalError(DitadError):
    """The journal did not take or give what it must; nothing may be folded past this."""

    exit_code = 74


class JournalDamagedError(JournalError):
    """What the journal holds contradicts itself."""

    exit_code = 65


class JournalTooNewError(JournalError):
    """The journal was written by a newer version, which must be used to read it."""

    exit_code = 65


class JournalElsewhereError(JournalError):
    """The journal is of another exchange (`live`, `vst`, `custom`) than the settings name: its sums mean nothing there."""

    exit_code = 78


class JournalNotOursError(JournalError):
    """The journal may not be read by this user."""

    exit_code = 77


class DaemonUnreachableError(DitadError):
    """Nobody answers on the unix socket."""

    exit_code = 69


class RefusedError(DitadError):
    """The request was understood and refused."""

    exit_code = 77


class Refusal(DitadError):
    """A frame, row or number that cannot be applied as it stands.

    `reason` is a short fixed text with the field in it; `money` says whether money, position or order state hangs
    on what was refused, in which case a gap is opened.
    """

    def __init__(self, reason: str, *, money: bool = True) -> None:
        """Carry the reason; the bytes stay with whoever refuses them."""
        self.reason = reason
        self.money = money
        super().__init__(reason)


class VenueError(DitadError):
    """The exchange did not give a usable answer to a question; the question failed, nothing is known."""

    def __init__(self, message: str, *, code: str = "", retryable: bool = False, retry_after_s: float = 0.0) -> None:
        """Keep the exchange's own code (as text) and whether asking again may help."""
        self.code = code
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        super().__init__(message)


class VenueFatalError(VenueError):
    """Asking again cannot help before a person acts (key, signature, address); the message says what to do."""

    exit_code = 77


class VenueUnavailableError(VenueError):
    """This question is not answered to this key or on this host; the check that needs it is degraded."""
