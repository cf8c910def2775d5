"""The examples under a verb's `--help`: a test runs each of them.

Enters: lines as they are typed. Leaves: an epilogue that click does not wrap.
"""

from __future__ import annotations


def examples(*lines: str) -> str:
    """Write lines as an epilogue."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
