"""One account's service: what of its settings reaches the conversation."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ditad.bingx.options import FeedOptions
from ditad.config import load
from ditad.service import feed_options

OTHER = """
[[account]]
name = "main"
environment = "custom"
rest_url = "http://127.0.0.1:1"
ws_url = "ws://127.0.0.1:1/swap-market"
[account.audit]
interval_s = 31
fills_interval_s = 61
income_interval_s = 62
overlap_s = 63
baseline_s_max = 64
pages_max = 65
requests_per_s = 3
request_timeout_s = 7
[account.stream]
silence_s = 16
key_renew_s = 1700
key_rotate_s = 7200
backoff_s_min = 0.6
backoff_s_max = 9
marks = false
mark_interval_s = 2
"""
NOT_SETTINGS = {"frame_bytes_max", "page_rows_max"}
"""What the conversation has of its own, or is made of two settings."""


def test_every_setting_of_the_conversation_reaches_it(tmp_path: Path) -> None:
    """A documented key that had no effect would be a lie: each one here differs from its default, and arrives."""
    path = tmp_path / "ditad.toml"
    path.write_text(OTHER)
    (account,) = load(path, environ={}).accounts
    options = feed_options(account)
    told = {
        field.name: getattr(part, field.name)
        for part in (account.audit, account.stream)
        for field in dataclasses.fields(FeedOptions)
        if hasattr(part, field.name) and field.name not in NOT_SETTINGS
    }
    defaults = FeedOptions(environment="custom", margin_asset="USDT")
    assert [] == [name for name, value in told.items() if value == getattr(defaults, name)]
    assert told == {name: getattr(options, name) for name in told}
