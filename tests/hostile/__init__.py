"""Malformed and hostile requests to the socket, as a command: `python -m tests.hostile`."""
