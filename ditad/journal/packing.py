"""Small blobs made smaller: zlib with a dictionary of what journals hold, so that one frame alone compresses well.

What enters: bytes. What leaves: bytes that `unpack` turns back, with zlib's own checksum over them, so that a flipped
bit is noticed. What holds: a dictionary, once released, is never changed or taken away; a better one is appended and
used for new blobs. Each blob names its dictionary by the checksum that RFC 1950 §2.2 (FDICT) puts into its head.
"""

from __future__ import annotations

import zlib
from typing import Final

from ditad.errors import JournalTooNewError
from ditad.journal.failures import damaged

LEVEL: Final = 3
WINDOW_BITS: Final = 13
MEMORY_LEVEL: Final = 4
JOURNAL: Final = "the journal"
_FDICT: Final = 0x20
_HEAD_LENGTH: Final = 6

# The frequent stands last: deflate writes short distances in fewer bits.
_DICTIONARY_1: Final = (
    b'{"state":"connected","detail":"","at_ms":null}{"due_us":17586088993500}{"cause":"interval","asked_us":1758608899,'
    b'"asked_ms":1758608899,"questions":["balance","positions","fills","income"],"failed":[]}'
    b'{"asked_us":1758608899,"asked_ms":1758608899,"rows":[{"asset":"USDT","wallet":"0.0000","equity":"0.0000",'
    b'"unrealized_pnl":"0.0000","available_margin":"0.0000","used_margin":"0.0000"}]}'
    b'{"asked_us":1758608899,"asked_ms":1758608899,"rows":[{"symbol":"ETH-USDT","side":"LONG","quantity":"0.0",'
    b'"entry_price":"0.0","mark_price":"0.0","unrealized_pnl":"0.0000","leverage":"10","initial_margin":"0.0",'
    b'"isolated":false}]}{"symbol":"BTC-USDT","order_id":null,"from_ms":17586088,"to_ms":17586088,"asked_us":1758608899,'
    b'"asked_ms":1758608899,"rows":[{"order_id":"197","trade_id":"5","symbol":"BTC-USDT","side":"BUY",'
    b'"position_side":"LONG","quantity":"0.0","price":"0.0","fee":"0.0","fee_asset":"USDT","realized_pnl":"0.0000",'
    b'"at_ms":17586088,"whole_second":true}]}{"from_ms":17586088,"to_ms":17586088,"asked_us":1758608899,'
    b'"asked_ms":1758608899,"available":true,"rows":[{"tran_id":"1","kind":"FUNDING_FEE","amount":"-0.0","asset":"USDT",'
    b'"symbol":"BTC-USDT","at_ms":17586088990000,"info":null,"trade_id":null}]}'
    b'{"code":0,"msg":"","data":{"balance":{"userId":"1","asset":"USDT","balance":"0.0000","equity":"0.0000",'
    b'"unrealizedProfit":"0.0000","realisedProfit":"0.0000","availableMargin":"0.0000","usedMargin":"0.0000",'
    b'"freezedMargin":"0.0000"}}}{"code":0,"msg":"","data":[{"positionId":"1","symbol":"BTC-USDT","positionAmt":"0.0",'
    b'"availableAmt":"0.0","positionSide":"SHORT","isolated":false,"avgPrice":"0.0","initialMargin":"0.0","leverage":10,'
    b'"unrealizedProfit":"0.0","realisedProfit":"0.0","markPrice":"0.0","positionValue":"0.0","riskRate":"0.0",'
    b'"updateTime":17586088993500,"onlyOnePosition":false}]}{"fill_history_orders":[{"filledTime":'
    b'"2026-01-01T00:00:00Z","tradeId":"1","orderId":"197","qty":"0.0","price":"0.0","commission":"-0.0",'
    b'"realisedPNL":"0.0","role":"taker","side":"BUY","positionSide":"LONG"}]}{"symbol":"BTC-USDT","incomeType":'
    b'"FUNDING_FEE","income":"-0.0","asset":"USDT","info":"","time":1758608899000,"tranId":"1","tradeId":""}'
    b'{"seq":1,"type":"stream","ts":"2026-01-01T00:00:00.000000Z","stream":{"state":"connected"}}'
    b'{"seq":1,"type":"income","ts":"2026-01-01T00:00:00.000000Z","income":{"kind":"FUNDING_FEE","amount":"-0.0",'
    b'"asset":"USDT","symbol":"BTC-USDT","tran_id":"1","at":"2026-01-01T00:00:00.000000Z","sources":["rest"]}}'
    b'{"seq":1,"type":"fill","ts":"2026-01-01T00:00:00.000000Z","fill":{"order_id":"197","z0":"0","z1":"0.001",'
    b'"symbol":"BTC-USDT","side":"SELL","position_side":"SHORT","price":"0.0","qty":"0.001","quote":"0.0","fee":"0.0",'
    b'"fee_asset":"USDT","realized_pnl":"0","trade_ids":["5"],"at":"2026-01-01T00:00:00.000000Z","sources":["push"]}}'
    b'{"code":0,"dataType":"BTC-USDT@markPrice","data":{"e":"markPriceUpdate","E":17586088993500,"s":"BTC-USDT","p":"0"}}'
    b'{"marks":[{"symbol":"ETH-USDT","price":"0.0","event_ms":17586088990000},{"symbol":"BTC-USDT","price":"0.0",'
    b'"event_ms":17586088990000}]}'
    b'{"reason":"FUNDING_FEE","event_ms":1758608899000,"balances":[],"positions":[]}'
    b'{"reason":"ORDER","event_ms":17586088993500,"balances":[{"asset":"USDT","wallet":"0.00000000","change":"0"}],'
    b'"positions":[{"symbol":"BTC-USDT","position_side":"SHORT","amount":"0.00000000","entry_price":"0.00000000",'
    b'"unrealized_pnl":"-0.00000000","margin_type":"cross"}]}'
    b'{"e":"ACCOUNT_UPDATE","E":17586088993500,"a":{"m":"ORDER","B":[{"a":"USDT","wb":"0.00000000","cw":"0.00000000",'
    b'"bc":"0"}],"P":[{"s":"BTC-USDT","pa":"0.00000000","ep":"0.00000000","up":"-0.00000000","mt":"isolated",'
    b'"iw":"0.00000000","ps":"SHORT","cr":"-0.00000000"}]}}'
    b'{"name":"ORDER_TRADE_UPDATE","order_id":"1970374651259388000","symbol":"ETH-USDT","side":"BUY","position_side":'
    b'"LONG","order_type":"LIMIT","status":"PARTIALLY_FILLED","quantity":"0.00000000"}'
    b'{"name":"TRADE_UPDATE","order_id":"1970374651259388000","symbol":"BTC-USDT","side":"SELL","position_side":"SHORT",'
    b'"order_type":"MARKET","status":"FILLED","quantity":"0.00000000","filled":"0.00000000","average_price":'
    b'"0.00000000","last_quantity":null,"last_price":null,"fee":"-0.00000000","fee_asset":"USDT","realized_pnl":'
    b'"0.00000000","trade_id":"5","event_ms":17586088993500,"trade_ms":17586088993500,"client_order_id":null}'
    b'{"e":"ORDER_TRADE_UPDATE","E":17586088993500,"o":{"s":"ETH-USDT","c":"","i":1970374651259388000,"S":"BUY",'
    b'"o":"LIMIT","q":"0.00000000","x":"TRADE","X":"PARTIALLY_FILLED"}}'
    b'{"e":"TRADE_UPDATE","E":17586088993500,"T":17586088993500,"o":{"s":"BTC-USDT","c":"","i":1970374651259388000,'
    b'"S":"SELL","o":"MARKET","q":"0.00000000","p":"0.00000000","sp":"0.00000000","ap":"0.00000000","x":"TRADE",'
    b'"X":"FILLED","N":"USDT","n":"-0.00000000","T":17586088993500,"wt":"MARK_PRICE","ps":"SHORT","rp":"0.00000000",'
    b'"z":"0.00000000","sg":"false","ti":0,"ro":false,"td":511178071,"tv":"0.0"}}'
)

DICTIONARIES: Final[tuple[bytes, ...]] = (_DICTIONARY_1,)
_BY_CHECKSUM: Final = {zlib.adler32(dictionary): dictionary for dictionary in DICTIONARIES}


_PRIMED: Final = zlib.compressobj(
    LEVEL, zlib.DEFLATED, WINDOW_BITS, MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, DICTIONARIES[-1]
)
"""Never fed, only copied: a copy costs half of what reading the dictionary anew does."""
_HEAD: Final = _PRIMED.copy().flush()[:_HEAD_LENGTH]
_GZIP_MAGIC: Final = b"\x1f\x8b"
_STORED_MAX: Final = 0xFFFF
"""The bytes that a stored block can have, and all the bits of its length."""


def pack(data: bytes) -> bytes:
    """Compress with the newest dictionary; what came compressed is stored as it is, for nothing makes it shorter."""
    if data.startswith(_GZIP_MAGIC) and len(data) <= _STORED_MAX:
        # RFC 1951 §3.2.4: the last block, not compressed, with its length and the complement of that.
        length = len(data)
        return b"".join(
            (
                _HEAD,
                b"\x01",
                length.to_bytes(2, "little"),
                (length ^ _STORED_MAX).to_bytes(2, "little"),
                data,
                zlib.adler32(data).to_bytes(4),
            )
        )
    packer = _PRIMED.copy()
    return packer.compress(data) + packer.flush()


def unpack(data: object) -> bytes:
    """Give back what was packed.

    Raises `JournalDamagedError` where the checksum does not hold and `JournalTooNewError` for a dictionary that this
    version does not have.
    """
    if not isinstance(data, bytes) or len(data) < _HEAD_LENGTH or not data[1] & _FDICT:
        raise damaged(JOURNAL, "a packed value has no head")
    dictionary = _BY_CHECKSUM.get(int.from_bytes(data[2:_HEAD_LENGTH]))
    if dictionary is None:
        raise JournalTooNewError("a packed value needs a dictionary that this ditad does not have: use the newer ditad")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS, dictionary)
    try:
        plain = unpacker.decompress(data)
    except zlib.error as exc:
        raise damaged(JOURNAL, f"a packed value does not hold together ({exc})") from exc
    if not unpacker.eof or unpacker.unused_data:
        raise damaged(JOURNAL, "a packed value is cut off or has a tail")
    return plain
