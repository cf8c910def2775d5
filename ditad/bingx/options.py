"""What one account's conversation needs to be told: hosts, credentials, intervals and bounds.

What enters: values that `config` has read; what leaves: frozen records that refuse what cannot be right.
What holds: nothing here is read from the environment; secrets have no `repr`; plain text goes to loopback only.
The defaults of the intervals are here and nowhere else; `config` takes them from the fields of `FeedOptions`.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ditad.errors import SettingsError

REQUESTS_PER_S_MAX = 2.0
"""Per endpoint, on the real hosts (bingx.md §5)."""
KEY_RENEW_S_MAX = 1800.0
"""Half of a listen key's life (bingx.md §2): the other half is for renewals that fail."""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _problem(name: str, url: str, secure: str, plain: str) -> str | None:
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in {secure, plain}:
        return f"{name}: a {secure}:// URL is due, got {url!r}."
    if parts.query or parts.fragment or parts.username:
        return f"{name}: must hold no query, fragment or user."
    if parts.scheme == plain and not _is_loopback(parts.hostname):
        return f"{name}: plain {plain}:// is for loopback only; use {secure}://."
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """Where the exchange is: `rest_url` without a path, `ws_url` with its path.

    `rest_fallback_url` is tried on network failures only. Raises `SettingsError` on anything but https and wss, or
    http and ws to loopback.
    """

    rest_url: str
    ws_url: str
    rest_fallback_url: str | None = None

    def __post_init__(self) -> None:
        """Refuse what would send keys in the clear."""
        problems = [_problem("rest_url", self.rest_url, "https", "http"), _problem("ws_url", self.ws_url, "wss", "ws")]
        if self.rest_fallback_url is not None:
            problems.append(_problem("rest_fallback_url", self.rest_fallback_url, "https", "http"))
        found = [problem for problem in problems if problem is not None]
        if found:
            raise SettingsError(found)


# bingx.md §1; the fallback is DOC 2026 and for live only.
LIVE = Hosts(
    rest_url="https://open-api.bingx.com",
    ws_url="wss://open-api-swap.bingx.com/swap-market",
    rest_fallback_url="https://open-api.bingx.pro",
)
VST = Hosts(rest_url="https://open-api-vst.bingx.com", ws_url="wss://vst-open-api-ws.bingx.com/swap-market")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """An API key and its secret; neither shows in a `repr`, a log or an error."""

    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse empty ones and such as no header can carry."""
        problems = [
            f"{name}: printable ASCII without spaces is due."
            for name, value in (("api_key", self.api_key), ("api_secret", self.api_secret))
            if not value or not value.isascii() or not value.isprintable() or " " in value
        ]
        if problems:
            raise SettingsError(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedOptions:
    """The keywords of interfaces.md §2 that the conversation with the exchange needs; durations in seconds.

    [account]: `environment` (live, vst, custom), `margin_asset`. [account.key]: `allow_withdraw_permission`.
    [account.audit]: `interval_s` between balance and positions reports, `fills_interval_s`, `income_interval_s`,
    `overlap_s` asked again before what is covered, `baseline_s_max` before a never-still account is said to be one,
    `page_rows_max` rows a page, `pages_max` pages a question. [account.stream]: `silence_s`, `key_renew_s`,
    `key_rotate_s` (0: keys are renewed, never rotated), `backoff_s_min`, `backoff_s_max`, `marks`,
    `mark_interval_s`, `frame_bytes_max` after inflating, `requests_per_s` per endpoint, `request_timeout_s` from
    sending a question to the end of its answer.
    """

    environment: str
    margin_asset: str
    allow_withdraw_permission: bool = False
    interval_s: float = 30.0
    fills_interval_s: float = 300.0
    income_interval_s: float = 300.0
    overlap_s: float = 60.0
    baseline_s_max: float = 60.0
    page_rows_max: int = 1000
    pages_max: int = 200
    silence_s: float = 15.0
    key_renew_s: float = 1800.0
    key_rotate_s: float = 0.0
    backoff_s_min: float = 0.5
    backoff_s_max: float = 8.0
    marks: bool = True
    mark_interval_s: float = 1.0
    frame_bytes_max: int = 4 * 1024 * 1024
    requests_per_s: float = REQUESTS_PER_S_MAX
    request_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        """Refuse values with which the conversation could not work."""
        checks = {
            "environment: live, vst or custom is due": self.environment in {"live", "vst", "custom"},
            "margin_asset: must be given": bool(self.margin_asset),
            "interval_s: must be positive": self.interval_s > 0,
            "fills_interval_s: must be positive": self.fills_interval_s > 0,
            "income_interval_s: must be positive": self.income_interval_s > 0,
            "overlap_s: must not be negative": self.overlap_s >= 0,
            "baseline_s_max: must be positive": self.baseline_s_max > 0,
            "page_rows_max: 1 to 1000 is due": 1 <= self.page_rows_max <= 1000,
            "pages_max: must be positive": self.pages_max >= 1,
            "silence_s: must be positive": self.silence_s > 0,
            "key_renew_s: above 0 and at most 1800 is due": 0 < self.key_renew_s <= KEY_RENEW_S_MAX,
            "key_rotate_s: must not be negative": self.key_rotate_s >= 0,
            "backoff_s_min: above 0 and at most backoff_s_max is due": 0 < self.backoff_s_min <= self.backoff_s_max,
            "mark_interval_s: must be positive": self.mark_interval_s > 0,
            "frame_bytes_max: at least 1024 is due": self.frame_bytes_max >= 1024,
            "requests_per_s: must be positive": self.requests_per_s > 0,
            "request_timeout_s: must be positive": self.request_timeout_s > 0,
            f"requests_per_s: at most {REQUESTS_PER_S_MAX:g} on the exchange's own hosts": self.environment == "custom"
            or self.requests_per_s <= REQUESTS_PER_S_MAX,
        }
        problems = [f"{text}." for text, holds in checks.items() if not holds]
        if problems:
            raise SettingsError(problems)

    @property
    def income_kept(self) -> bool:
        """Say whether an empty income answer means that there was none; on the demo it always answers null (1×)."""
        return self.environment != "vst" and self.margin_asset != "VST"
