"""The installed wheel under a real systemd: `python -m tests.systemd`."""
