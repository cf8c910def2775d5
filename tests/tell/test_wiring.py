"""What the daemon makes of the settings that say who is told."""

from __future__ import annotations

from pathlib import Path

from ditad.config import Settings, load
from ditad.config_tell import tell_secret
from ditad.daemon import _variables, hook_of
from ditad.tell.command import Command
from ditad.tell.webhook import Webhook

ACCOUNT = '[[account]]\nname = "main"\nenvironment = "live"\n'


def settings(folder: Path, tell: str) -> Settings:
    """Read settings with these lines under [tell]."""
    path = folder / "ditad.toml"
    path.write_text(f"[tell]\n{tell}\n{ACCOUNT}")
    return load(path, environ={})


def test_a_command_and_a_webhook_become_hooks(tmp_path: Path) -> None:
    """Each is called by what may be logged of it: the program, and the host without its path."""
    command = settings(tmp_path, 'command = ["/usr/local/bin/tell-me", "-v"]').tell
    webhook = settings(tmp_path, 'url = "https://hooks.example.org/s3cret"').tell
    assert command is not None
    assert webhook is not None
    made = [hook_of(tell, tell_secret(tell, {})) for tell in (command, webhook)]
    assert [(Command, "/usr/local/bin/tell-me"), (Webhook, "hooks.example.org")] == [
        (type(hook), hook.name) for hook in made
    ]


def test_the_headers_variable_is_one_of_those_taken_out(tmp_path: Path) -> None:
    """As those of keys and secrets are; without a hook there is none."""
    lines = 'url = "https://hooks.example.org/x"\nheader = "Authorization"\nsecret_env = "TELL"'
    assert "TELL" in _variables(settings(tmp_path, lines))
    assert {None} == set(_variables(settings(tmp_path, "")))
