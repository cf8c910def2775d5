"""A venue, or a whole exchange core, under a clock that the test moves by hand."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from typing import Any

import orjson

from ditad.exchange import (
    AccountSpec,
    Desk,
    Dialect,
    ExchangeCore,
    Faults,
    RateLimit,
    Reply,
    Request,
    Send,
    Timing,
    Venue,
    signature_of,
)

START_MS = 1_760_001_628_357


@dataclass
class Clock:
    """Milliseconds that stand still until somebody moves them."""

    now_ms: int = START_MS

    def __call__(self) -> int:
        """Read the clock."""
        return self.now_ms


@dataclass
class Stage:
    """A venue with one account, and all it said."""

    dialect: Dialect = field(default_factory=Dialect)
    spec: AccountSpec = field(default_factory=lambda: AccountSpec(name="main"))
    seed: int = 1
    clock: Clock = field(default_factory=Clock)
    said: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Open the venue."""
        self.venue = Venue(
            seed=self.seed,
            clock=self.clock,
            on_frame=lambda frame: self.said.append(dict(frame.payload)),
            accounts=[self.spec],
            dialect=self.dialect,
        )

    @property
    def main(self) -> Desk:
        """The account."""
        return self.venue.account(self.spec.name)

    def orders_said(self, name: str = "ORDER_TRADE_UPDATE") -> list[dict[str, Any]]:
        """Give the bodies of one kind of order frames."""
        return [frame["o"] for frame in self.said if frame["e"] == name]

    def accounts_said(self) -> list[dict[str, Any]]:
        """Give the bodies of the account frames."""
        return [frame["a"] for frame in self.said if frame["e"] == "ACCOUNT_UPDATE"]


class CoreStage:
    """A whole exchange without sockets."""

    def __init__(
        self,
        *,
        dialect: Dialect | None = None,
        spec: AccountSpec | None = None,
        faults: Faults | None = None,
        timing: Timing | None = None,
        limit: RateLimit | None = None,
    ) -> None:
        self.clock = Clock()
        self.spec_name = (spec or AccountSpec(name="main")).name
        self.core = ExchangeCore(
            seed=1,
            clock=self.clock,
            accounts=[spec or AccountSpec(name="main")],
            dialect=dialect,
            faults=faults,
            timing=timing,
            limit=limit,
        )

    @property
    def main(self) -> Desk:
        """The account."""
        return self.core.venue.account(self.spec_name)

    def ask(self, path: str, *, method: str = "GET", sign: bool = True, **params: object) -> Reply:
        """Ask with a good signature and the exchange's own time."""
        asked = {name: str(value) for name, value in params.items()}
        asked.setdefault("timestamp", str(self.core.now_ms()))
        if sign:
            asked["signature"] = signature_of(self.main.spec.api_secret, asked)
        query = "&".join(f"{name}={value}" for name, value in asked.items())
        headers = {"x-bx-apikey": self.main.spec.api_key}
        return self.core.rest(Request(method=method, path=f"/openApi{path}", query=query, headers=headers))

    def data(self, path: str, **params: Any) -> Any:
        """Ask and open the envelope of a good answer."""
        envelope = orjson.loads(self.ask(path, **params).body)
        assert envelope["code"] == 0, envelope
        return envelope["data"]

    def code(self, path: str, **params: Any) -> int:
        """Ask and read the envelope's code."""
        return int(orjson.loads(self.ask(path, **params).body)["code"])

    def listen_key(self) -> str:
        """Ask for a listen key."""
        reply = self.ask("/user/auth/userDataStream", method="POST")
        return str(orjson.loads(reply.body)["listenKey"])

    def poll(self) -> dict[int, list[Any]]:
        """Take what is due and decode what is sent, by stream; other acts stand as they are."""
        due: dict[int, list[Any]] = {}
        for act in self.core.poll():
            due.setdefault(act.stream, []).append(decoded(act.data) if isinstance(act, Send) else act)
        return due

    def sent(self, stream: int, *, config: bool = False) -> list[Any]:
        """Take what is due on one stream, without the configuration flood."""
        due = self.poll().get(stream, [])
        return [f for f in due if config or not (isinstance(f, dict) and f.get("e") == "SNAPSHOT")]


def decoded(data: bytes) -> Any:
    """Open one frame: `Ping`, or JSON."""
    text = gzip.decompress(data)
    return "Ping" if text == b"Ping" else orjson.loads(text)
