"""What a hostile peer sends: well-formed requests bent in every way, and such as were never well formed.

What enters: a generator. What leaves: the pieces of bytes that one peer sends, with what it does after each. What holds:
a peer depends on its seed and number alone, so that one can be made again.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Final

PATHS: Final = (
    "/v1/livez",
    "/v1/readyz",
    "/v1/metrics",
    "/v1/accounts",
    "/v1/schema",
    "/v1/accounts/main/snapshot",
    "/v1/accounts/main/snapshot?event_seq=3",
    "/v1/accounts/main/fills?after_seq=0&limit=5",
    "/v1/accounts/main/events?after_seq=0",
    "/v1/accounts/main/events?after_seq=0&follow=1&type=fill",
    "/v1/accounts/main/bot/slots",
    "/v1/accounts/main/bot/settlements",
    "/v1/accounts/main/audit",
    "/v1/accounts/main/adopt",
    "/v1/accounts/../../etc/passwd",
    "/v1/accounts/%6d%61in/snapshot?at=%00",
    "*",
    "http://evil.example/v1/livez",
    "//",
)
METHODS: Final = (
    "GET",
    "GET",
    "GET",
    "POST",
    "PUT",
    "DELETE",
    "HEAD",
    "OPTIONS",
    "CONNECT",
    "TRACE",
    "PATCH",
    "BREW",
    "",
)
VERSIONS: Final = ("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/9.9", "", "http/1.1")
HEADERS: Final = (
    "Host: d",
    "Host: d\r\nHost: e",
    "Connection: close",
    "Connection: keep-alive",
    "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA",
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    "Content-Length: 0",
    "Content-Length: 5",
    "Content-Length: -1",
    "Content-Length: 99999999999999999999",
    "Content-Length: 5\r\nContent-Length: 6",
    "Content-Length: 0x5",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: identity\r\nContent-Length: 5",
    "Transfer-Encoding : chunked",
    "Content-Encoding: gzip",
    "Content-Type: application/json; charset=\x00",
    "Expect: 100-continue",
    "Expect: everything",
    "Range: bytes=0-18446744073709551615",
    "Cookie: a=" + "b" * 3_000,
    "X-" + "n" * 3_000 + ": v",
    "X: " + "v" * 6_000,
    "X:",
    ": v",
    " folded: v",
    "\tX: v",
    "X\x00: v",
    "Authorization: Basic \xff\xfe",
)
BODIES: Final = (
    b"",
    b"{}",
    b'{"slots":[]}',
    b'{"why":"x"}',
    b'{"a":' * 2_000,
    b"[" * 50_000,
    b'{"slots":[{"slot_id":"' + b"x" * 5_000,
    b"\xff\xfe\x00",
    b"1e999999999",
    b"x" * 70_000,
)
CHUNKS: Final = (
    b"5\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhel",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b"FFFFFFFFFFFFFFFFF\r\nhello\r\n",
    b"5;ext=" + b"e" * 5_000 + b"\r\nhello\r\n0\r\n\r\n",
    b"zz\r\nhello\r\n",
    b"5\r\nhelloXX0\r\n\r\n",
    b"0\r\nTrailer: " + b"t" * 9_000 + b"\r\n\r\n",
    b"0\r\n" + b"T: t\r\n" * 500 + b"\r\n",
    b"1\r\nx\r\n" * 500 + b"0\r\n\r\n",
    b"10000\r\n" + b"x" * 65_536 + b"\r\n",
    b"\r\n\r\n",
)
WHOLE: Final = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
    b"GET / HTTP/1.1\r\n" * 300,
    b"\r\n" * 5_000,
    b"\x00" * 10_000,
    b"GET /" + b"a" * 100_000,
    b"GET /v1/livez HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
    b'{"jsonrpc":"2.0","method":"x"}\n',
    b"GET /v1/livez HTTP/1.1\nHost: d\n\n",
    b"GET  /v1/livez  HTTP/1.1\r\n\r\n",
)
TOKENS: Final = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\x00",
    b" ",
    b":",
    b"%",
    b"%00",
    b"\xff",
    b"HTTP/1.1",
    b"chunked",
    b"-1",
    b"?",
    b"&",
    b"#",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One peer: what it sends, piece by piece, and what then: `read` on in silence, end its `half`, or `abort`."""

    number: int
    pieces: tuple[bytes, ...]
    end: str


def peer(seed: int, number: int) -> Peer:
    """Make a peer."""
    rng = Random(f"hostile:{seed}:{number}")  # noqa: S311 - a hostile peer is no secret
    data = b"".join(_request(rng) for _ in range(rng.choice((1, 1, 1, 2, 5, 40))))
    if rng.random() < 0.5:
        data = _bent(data, rng)
    end = rng.choices(("read", "half", "abort"), (70, 15, 15))[0]
    return Peer(number=number, pieces=_pieces(data, rng), end=end)


def _request(rng: Random) -> bytes:
    if rng.random() < 0.5:
        return _tame(rng)
    if rng.random() < 0.2:
        return rng.choice(WHOLE)
    headers = rng.sample(HEADERS, rng.choice((0, 1, 1, 2, 3)))
    host = ["Host: d"] if rng.random() < 0.8 else []
    lines = [f"{rng.choice(METHODS)} {rng.choice(PATHS)} {rng.choice(VERSIONS)}", *host, *headers, "\r\n"]
    body = b""
    if rng.random() < 0.4:
        body = rng.choice(CHUNKS) if any("chunked" in header for header in headers) else rng.choice(BODIES)
        if body and rng.random() < 0.6 and not any(header.startswith(("Content-L", "Transfer")) for header in headers):
            lines.insert(1, f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + body


def _tame(rng: Random) -> bytes:
    """Write a request as it should be: what is done to it afterwards is bad enough."""
    path = rng.choice([path for path in PATHS if path.startswith("/v1/")])
    method = "PUT" if path.endswith("slots") else "POST" if path.endswith(("settlements", "audit", "adopt")) else "GET"
    body = b"" if method == "GET" else rng.choice((b"{}", b'{"slots":[]}', b'{"why":"x"}'))
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: d\r\n{length}\r\n".encode() + body


def _bent(data: bytes, rng: Random) -> bytes:
    """Damage it in a few places."""
    bent = bytearray(data)
    for _ in range(rng.choice((1, 2, 3, 8))):
        at = rng.randrange(len(bent) + 1)
        match rng.randrange(5):
            case 0:
                bent[at : at + rng.choice((1, 2, 10, 100))] = b""
            case 1:
                bent[at:at] = rng.choice(TOKENS)
            case 2:
                bent[at : at + 1] = bytes((rng.randrange(256),))
            case 3:
                bent[at:at] = bent[max(0, at - rng.choice((4, 40, 400))) : at]
            case _:
                bent[at:at] = rng.choice(HEADERS).encode("latin-1") + b"\r\n"
    return bytes(bent)


def _pieces(data: bytes, rng: Random) -> tuple[bytes, ...]:
    """Cut it as a network may, or as one who wants to be slow does."""
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((0, 0, 1, 3, 12))))
    edges = [0, *cuts, len(data)]
    return tuple(data[start:end] for start, end in pairwise(edges) if end > start)
