"""The complete commented settings file, written from the table of keys; it ships as `config/ditad.toml`.

What leaves: text that `ditad.config.load` reads as nothing but defaults.
"""

from __future__ import annotations

import sys
from typing import Final

from ditad.config_keys import SECTIONS, Key, Section

_HEADING: Final = """\
# The settings of ditad: every key with its default. What is commented out has none and may be left out.
# Behind each key: [what it may be, its unit] what it means. Made from the table in ditad/config_keys.py by
# `python -m ditad.config_template`; `ditad check-config PATH` says all that is wrong with a file.
"""


def template() -> str:
    """Write the complete commented settings file."""
    return _HEADING + "".join(_section_text(section) for section in SECTIONS)


def _section_text(section: Section) -> str:
    says = "".join(f"# {line}\n" for line in section.says)
    return f"\n{says}{section.header}\n" + "".join(f"{_key_text(key)}\n" for key in section.keys)


def _key_text(key: Key) -> str:
    shown = key.default if key.default is not None else key.example
    assignment = f"{key.name} = {_toml(shown)}"
    if key.default is None and not key.required:
        assignment = f"# {assignment}"
    unit = f", {key.unit}" if key.unit else ""
    return f"{assignment}  # [{key.bound}{unit}] {key.says}"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value)


if __name__ == "__main__":
    sys.stdout.write(template())
