"""Where something was measured, which every table says."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent


def machine() -> dict[str, Any]:
    """Say where this was measured."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cores": os.cpu_count(),
        "processor": names[0].partition(":")[2].strip() if names else platform.machine(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "load": [round(load, 2) for load in os.getloadavg()],
        "commit": revision(),
    }


def revision() -> str:
    """Give what was measured, where git knows it."""
    try:
        asked = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return asked.stdout.strip() or "unknown"


def machine_line(about: Mapping[str, Any]) -> str:
    """Write the machine for a person."""
    what = f"{about['cores']} cores ({about['processor']}), Python {about['python']}, {about['system']}"
    return f"{what}, load {about['load'][0]}, commit {about['commit']}"
