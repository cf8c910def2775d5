"""What one received frame means: bodies to submit, something to count, a Pong to send, a key that ended.

What enters: a frame as received, from the private or the market socket. What leaves: an `Intake`.
What holds: every frame ends here, none raises; what is refused leaves as `PushRejected` with its reason; on the
private socket a frame that cannot be read at all may have held money, on the market socket none does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ditad.bingx import normalize, push, wire
from ditad.bingx.fields import described
from ditad.errors import Refusal
from ditad.events import AccountPush, LeveragePush, Mark, OrderPush, PushRejected

REASON_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """A frame, understood. `expired_key` is the key that ended: ``""`` where the frame does not name it.

    `names_key`: a listen key may stand in it, which `wire.without_keys` takes out before it is kept.
    """

    bodies: tuple[OrderPush | AccountPush | LeveragePush | PushRejected, ...] = ()
    marks: tuple[Mark, ...] = ()
    counted: str | None = None
    pong: str | None = None
    expired_key: str | None = None
    names_key: bool = False


REPEATED = Intake(counted="config_repeat")
"""A configuration that was said before."""


def rejected(source: str, refusal: Refusal, data: bytes | str, size_max: int) -> PushRejected:
    """Say why something was not applied, with the beginning of it."""
    return PushRejected(
        source=source,
        reason=wire.veiled(refusal.reason)[:REASON_LENGTH_MAX],
        money=refusal.money,
        excerpt=wire.excerpt(data, size_max),
    )


def read_private(data: bytes | str, config: normalize.ConfigFilter, size_max: int) -> Intake:
    """Understand a frame of the private socket."""
    try:
        text = wire.inflate(data, size_max)
        said = wire.configured(text)
        if said is not None and config.repeats(said):
            return REPEATED
        frame = wire.route(text)
        heard = _private_frame(frame, config)
    except Refusal as refusal:
        return Intake(bodies=(rejected("private", refusal, data, size_max),), names_key=True)
    if isinstance(frame, wire.Frame) and frame.names_key:
        return replace(heard, names_key=True)
    if said is not None and heard is REPEATED:
        config.remember(said)
    return heard


def read_market(data: bytes | str, size_max: int) -> Intake:
    """Understand a frame of the market socket; only mark prices are asked for there."""
    try:
        return _market_frame(wire.decode(data, size_max))
    except Refusal as refusal:
        harmless = Refusal(refusal.reason, money=False)
        return Intake(bodies=(rejected("market", harmless, data, size_max),))


def _private_frame(frame: wire.Ping | wire.Frame, config: normalize.ConfigFilter) -> Intake:
    if isinstance(frame, wire.Ping):
        return Intake(counted="ping", pong=frame.pong)
    if frame.kind is wire.FrameKind.ACK:
        return _ack(frame)
    if frame.kind is wire.FrameKind.MARKET:
        raise Refusal("market frame on the private stream", money=False)
    return _push(push.read_private(frame.body), config)


def _market_frame(frame: wire.Ping | wire.Frame) -> Intake:
    if isinstance(frame, wire.Ping):
        return Intake(counted="ping", pong=frame.pong)
    if frame.kind is wire.FrameKind.ACK:
        return _ack(frame)
    if frame.kind is wire.FrameKind.PRIVATE:
        raise Refusal("private frame on the market stream")
    return Intake(marks=(normalize.mark_of(push.read_mark(frame.body)),))


def _ack(frame: wire.Frame) -> Intake:
    code = frame.body["code"]
    if not isinstance(code, str | int):  # never written out: what is nested deeply enough has no text
        raise Refusal("code: text or a number is due", money=False)
    if str(code) != "0":
        message = (described(frame.body.get("msg")) or "")[:80]
        raise Refusal(f"the exchange answered code {str(code)[:16]}: {message}", money=False)
    return Intake(counted="ack")


def _push(frame: push.PrivateFrame, config: normalize.ConfigFilter) -> Intake:
    match frame:
        case push.OrderFrame():
            return Intake(bodies=(normalize.order_push(frame),))
        case push.AccountFrame():
            return Intake(bodies=(normalize.account_push(frame),))
        case push.ConfigFrame():
            news = tuple(line for line in normalize.leverage_pushes(frame) if config.changed(line))
            return Intake(bodies=news) if news else REPEATED
        case push.KeyExpiredFrame():
            return Intake(expired_key=frame.listenKey or "")
        case _:
            # Kept raw, counted, flagged; the stream goes on (bingx.md §4).
            raise Refusal(f"unknown event {frame.e}", money=False)
