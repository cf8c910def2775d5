"""The socket that the tests of the server have."""

from tests.api.conftest import socket as socket  # noqa: PLC0414 - the fixture is shared
