"""Hosts, credentials and options refuse what cannot be right."""

import pytest

from ditad.bingx.options import LIVE, VST, Credentials, FeedOptions, Hosts
from ditad.errors import SettingsError


def test_the_known_hosts_are_secure() -> None:
    """Live and demo; the fallback is live's only."""
    assert LIVE.rest_url == "https://open-api.bingx.com"
    assert VST.rest_fallback_url is None


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:1", "[::1]:9"])
def test_plain_text_goes_to_loopback(host: str) -> None:
    """The simulated exchange speaks plain HTTP on this machine."""
    assert Hosts(rest_url=f"http://{host}", ws_url=f"ws://{host}/swap-market").rest_url == f"http://{host}"


@pytest.mark.parametrize(
    ("rest_url", "ws_url", "fallback", "problems"),
    [
        ("http://example.com", "wss://example.com", None, 1),
        ("http://127.0.0.1.example.com", "ws://10.0.0.1", None, 2),
        ("ftp://x", "wss://x", None, 1),
        ("https://", "wss://x?listenKey=1", None, 2),
        ("https://user@x", "wss://x#f", "http://x", 3),
    ],
)
def test_other_hosts_are_refused(rest_url: str, ws_url: str, fallback: str | None, problems: int) -> None:
    """Every problem is named, not only the first."""
    with pytest.raises(SettingsError) as caught:
        Hosts(rest_url=rest_url, ws_url=ws_url, rest_fallback_url=fallback)
    assert problems == len(caught.value.problems)


def test_secrets_do_not_show() -> None:
    """Neither in a `repr` nor in the error about them."""
    assert "sesame" not in repr(Credentials(api_key="sesame", api_secret="sesame"))
    with pytest.raises(SettingsError) as caught:
        Credentials(api_key="", api_secret="open sesame")
    assert "sesame" not in str(caught.value)
    assert len(caught.value.problems) == 2


def test_options_out_of_bounds_are_refused() -> None:
    """All of them are named."""
    with pytest.raises(SettingsError) as caught:
        FeedOptions(
            environment="live",
            margin_asset="",
            interval_s=0,
            backoff_s_min=5,
            backoff_s_max=1,
            key_renew_s=1801,
            requests_per_s=3,
        )
    assert len(caught.value.problems) == 5


@pytest.mark.parametrize(
    ("environment", "asset", "kept"), [("live", "USDT", True), ("vst", "VST", False), ("custom", "VST", False)]
)
def test_the_demo_keeps_no_income(environment: str, asset: str, kept: bool) -> None:
    """There null does not mean that there was none."""
    assert kept is FeedOptions(environment=environment, margin_asset=asset, requests_per_s=1).income_kept
