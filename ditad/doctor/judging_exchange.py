"""From what the exchange answered to findings: reachability, clock, key and its rights, modes, the asset, history.

What enters: answers or the errors they came to, as values. What leaves: findings. What holds: an error is never read as
an empty answer; what the exchange refuses for good is ERROR, what it did not answer this time UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ditad.bingx.conditions import KeyRights
from ditad.doctor.findings import Finding, error, ok, split, unknown, warn
from ditad.errors import DitadError, VenueFatalError, VenueUnavailableError

SKEW_MS_WARN: Final = 1_000
SKEW_MS_ERROR: Final = 5_000
"""What a signed request may be off (bingx.md §5, `recvWindow`): beyond it, whoever does not measure as we do is refused."""

LOSSES_MIN: Final = 3
LOSSES_DAY_MANY: Final = 12
"""So many losses of the stream in a day are more than an exchange's releases and a network's moods."""

DAY_H: Final = 24

CHECKS: Final = ("clock", "key", "key rights", "asset mode", "position mode", "history")
"""What is asked of the exchange once it is reached; all but the first two want a key that works."""

AGAIN: Final = "run this again in a minute"
OWN_KEY: Final = "make an API key of its own for ditad that may read and nothing else"
TRADING: Final = frozenset({"trade perpetual futures", "trade spot"})
SYNCHRONISE: Final = "synchronise this machine's clock (timedatectl set-ntp true)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """The exchange's clock, and how long its answer took."""

    host: str
    offset_ms: int
    took_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """How often the running daemon lost its private stream in how many hours."""

    count: int
    hours: float


def failed(check: str, failure: DitadError) -> Finding:
    """Judge a question that was not answered."""
    said, what_to_do = split(str(failure))
    if isinstance(failure, VenueFatalError):
        return error(check, said, what_to_do)
    if isinstance(failure, VenueUnavailableError):
        return unknown(check, f"the exchange does not tell this key ({said})", "look at it on the exchange's own page")
    return unknown(check, str(failure).rstrip("."), AGAIN)


def not_asked(check: str, why: str) -> Finding:
    """Say that a question was not worth asking."""
    return unknown(check, f"not asked: {why}", "mend that first, then run this again")


def exchange(host: str, found: Reached | DitadError) -> Finding:
    """Say whether the exchange is reached at all."""
    if isinstance(found, DitadError):
        advice = f"see that this machine resolves and reaches {host}: curl -sS {host}/openApi/swap/v2/server/time"
        return error("exchange", f"{host}: {str(found).rstrip('.')}", advice)
    return ok("exchange", f"{host} answers in {found.took_s * 1e3:.0f} ms")


def stream(url: str, problem: str) -> Finding:
    """Say whether the host of the streams takes a connection."""
    if problem:
        return error("stream", f"{url}: {problem}", "see that a firewall or proxy lets websockets through to it")
    return ok("stream", f"{url} takes a connection")


def clock(found: Reached) -> Finding:
    """Say how far the machine's clock is off the exchange's."""
    off_ms = -found.offset_ms
    said = f"this machine's clock is {abs(off_ms)} ms {'ahead of' if off_ms > 0 else 'behind'} the exchange's"
    if abs(off_ms) > SKEW_MS_ERROR:
        return error("clock", f"{said}: a bot that does not measure it is refused", SYNCHRONISE)
    if abs(off_ms) > SKEW_MS_WARN:
        return warn("clock", said, SYNCHRONISE)
    return ok("clock", said)


def key(failure: DitadError | None) -> Finding:
    """Say whether the key may ask for balance and positions, without which there is nothing to serve."""
    if isinstance(failure, VenueUnavailableError):
        return error(
            "key",
            "it may not read balance and positions (100004)",
            "give it the permissions to read and for perpetual futures",
        )
    if failure is not None:
        return failed("key", failure)
    return ok("key", "the exchange knows it, and answers about balance and positions")


def rights(found: KeyRights | DitadError, *, withdraw_allowed: bool) -> Finding:
    """Say what the key may do beyond what it has to."""
    check = "key rights"
    if isinstance(found, DitadError):
        return failed(check, found)
    if found.withdraw is None:
        return unknown(
            check,
            "the exchange does not say whether this key may withdraw",
            "see its permissions on the exchange's own page",
        )
    if found.withdraw and not withdraw_allowed:
        return error(check, "this key may withdraw, and is not served", OWN_KEY)
    if found.beyond_reading:
        bot = ": if it is the bot's, each of you hears a part" if TRADING.intersection(found.may) else ""
        return warn(check, f"this key may {', '.join(found.beyond_reading)}{bot}", OWN_KEY)
    return ok(check, "it may read and nothing else")


def sharing(account: str, *, same_key: Sequence[str], losses: Losses | None) -> Finding:
    """Say what speaks for somebody else listening with the same key: each would hear a part of what is told.

    `same_key` are other accounts of the settings that have it; `losses` is `None` where no daemon tells.
    """
    check = "key sharing"
    if same_key:
        same = ", ".join(sorted({account, *same_key}))
        return error(check, f"{same} have the same API key, and each hears a part", OWN_KEY)
    alone = "no other account of these settings has this key"
    if losses is None:
        return ok(check, alone)
    lost = f"the daemon's stream was lost {losses.count} times in {losses.hours:.1f} h"
    if losses.count >= LOSSES_MIN and losses.count * DAY_H >= LOSSES_DAY_MANY * losses.hours:
        return warn(check, lost, f"see who else listens with this key, a bot perhaps; {OWN_KEY}")
    return ok(check, f"{alone}; {lost}")


def asset_mode(found: bool | DitadError) -> Finding:
    """Say whether the account's margin mode can be reconciled."""
    if isinstance(found, DitadError):
        return failed("asset mode", found)
    if found:
        return error(
            "asset mode",
            "multi-asset margin mode, which cannot be reconciled on one asset",
            "switch the account to single-asset mode on the exchange",
        )
    return ok("asset mode", "single-asset")


def position_mode(found: bool | DitadError) -> Finding:
    """Say how positions are held; both ways are served, and pushes tell which it is where the key may not ask."""
    if isinstance(found, VenueUnavailableError):
        return ok("position mode", "the exchange does not tell this key; the positions themselves do")
    if isinstance(found, DitadError):
        return failed("position mode", found)
    return ok("position mode", "hedge: long and short side by side" if found else "one-way")


def margin_asset(asset: str, assets: Collection[str]) -> Finding:
    """Say whether the account has a wallet of its margin asset."""
    if asset in assets:
        return ok("margin asset", asset)
    there = ", ".join(sorted(assets)) or "none"
    return error(
        "margin asset",
        f"there is no wallet of {asset}; there are {there}",
        "set margin_asset, or move funds to perpetual futures",
    )


def history(found: Mapping[str, DitadError | None]) -> Finding:
    """Say whether the exchange answers about the past, by which gaps are closed; by the question's name its error."""
    check = "history"
    for failure in found.values():
        if failure is not None and not isinstance(failure, VenueUnavailableError):
            return failed(check, failure)
    refused = [name for name, failure in found.items() if failure is not None]
    answered = [name for name, failure in found.items() if failure is None]
    if "fills" in refused:
        return error(check, "this key may not ask for fills, so no gap can be closed", "give it the permission to read")
    if refused:
        told = f"{', '.join(answered)} are answered; {', '.join(refused)} not to this key: the stream and the balance tell of those"
        return ok(check, told)
    return ok(check, f"{', '.join(answered)} are answered")
