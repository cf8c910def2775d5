"""A simulated exchange as the Internet has one: behind a name that a DNS server knows, and a certificate that is trusted.

What enters: nothing. What leaves: an exchange that can be reached at `https://exchange.test:8443` alone, as a daemon
would reach the real one. What holds: the name is in no file, so that it must be looked up; the certificate is made
here, and trusted by this sandbox.
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, cast

from ditad.exchange import AccountSpec, SimulatedExchange

NAME: Final = "exchange.test"
PORT: Final = 8_443
ADDRESS: Final = bytes((127, 0, 0, 1))
CERTIFICATES: Final = Path("/etc/ssl/certs")
CHUNK_BYTES: Final = 65_536
_ANSWER_FLAGS: Final = b"\x81\x80"
_TYPE_A: Final = 1


class NameServer(asyncio.DatagramProtocol):
    """Knows one name's IPv4 address, and that there is nothing else to know."""

    def __init__(self) -> None:
        self.asked = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.DatagramTransport", transport)  # of no such class before Python 3.12

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a question. (RFC 1035, 4.1)"""
        question_end = data.index(b"\0", 12) + 5
        question = data[12:question_end]
        known = int.from_bytes(question[-4:-2]) == _TYPE_A
        self.asked += known
        head = data[:2] + _ANSWER_FLAGS + b"\0\1" + (b"\0\1" if known else b"\0\0") + b"\0\0\0\0"
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + ADDRESS if known else b""
        assert self._transport is not None, "who hears can answer"
        self._transport.sendto(head + question + answer, addr)


def certificate(folder: Path) -> ssl.SSLContext:
    """Make a certificate for the name, let this machine trust it, and give what a server needs of it."""
    key, public = folder / "key.pem", CERTIFICATES / f"{NAME}.pem"
    command = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={NAME}"
    files = ["-keyout", str(key), "-out", str(public), "-addext", f"subjectAltName=DNS:{NAME}"]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    hashed = subprocess.run(["openssl", "x509", "-noout", "-hash", "-in", str(public)], check=True, capture_output=True)
    (CERTIFICATES / f"{hashed.stdout.decode().strip()}.0").symlink_to(public)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, key)
    return context


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def exchange_on_the_net(folder: Path) -> AsyncIterator[tuple[SimulatedExchange, NameServer]]:
    """Run the exchange behind its name and certificate until the end of the block."""
    accounts = [AccountSpec(name="main")]
    async with SimulatedExchange(seed=23, accounts=accounts) as exchange:
        behind = int(exchange.rest_url.rpartition(":")[2])

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            ahead_reader, ahead_writer = await asyncio.open_connection("127.0.0.1", behind)
            async with asyncio.TaskGroup() as both:
                both.create_task(_pour(reader, ahead_writer))
                both.create_task(_pour(ahead_reader, writer))

        server = await asyncio.start_server(carry, "127.0.0.1", PORT, ssl=certificate(folder))
        names, known = await asyncio.get_running_loop().create_datagram_endpoint(
            NameServer, local_addr=("127.0.0.1", 53)
        )
        Path("/etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
        try:
            yield exchange, known
        finally:
            server.close()
            names.close()
