"""The README's install recipe, line by line, so that what is tested is what is written.

What leaves: the commands of the section on the service, for root's shell. What holds: nothing of them is changed but
`sudo`, which root needs not, and where pip finds the wheel, which was built before.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
HEADING: Final = "## As a service"
EXTRAS: Final = "[tui,report]"
"""What the service's program is installed with, besides the daemon."""

WHEELS: Final = "/wheels"
"""Where the sandbox sees the wheels."""


def commands(readme: str) -> list[str]:
    """Give the lines of the first sh block under the heading, without their remarks."""
    section = readme.split(f"{HEADING}\n", 1)[1]
    block = re.search(r"^```sh\n(.*?)^```$", section, flags=re.DOTALL | re.MULTILINE)
    assert block is not None, "the recipe is an sh block"
    return [line for line in (re.sub(r"\s+# .*$", "", line).strip() for line in block[1].splitlines()) if line]


def as_root(command: str) -> str:
    """Write a command for root, with the wheel instead of the clone."""
    offline = rf"pip install -q --no-index --find-links {WHEELS} 'ditad\1'"
    return re.sub(rf"pip install -q '\.({re.escape(EXTRAS)})'", offline, command.replace("sudo ", ""))
