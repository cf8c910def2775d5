"""The verb `ditad exchange`, as a process of its own."""

from __future__ import annotations

import asyncio
import signal
import sys

import aiohttp
import orjson
import pytest

from ditad.exchange import exchange_command, signature_of
from tests.support.running import WAIT_S_MAX

PROGRAM = "import sys; from ditad.exchange import exchange_command as e; sys.exit(e(port=0, seed=4, faults=''))"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_one_line_says_how_to_get_in_and_a_signal_ends_it(number: signal.Signals) -> None:
    """The credentials of the line open the account; both signals end it with 0."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(WAIT_S_MAX):
        line = orjson.loads(await process.stdout.readline())
        main = line["credentials"]["main"]
        async with aiohttp.ClientSession(line["rest_url"]) as http:
            async with http.get("/openApi/swap/v2/server/time") as answer:
                now = (await answer.json())["data"]["serverTime"]
            params = {"timestamp": str(now)}
            params["signature"] = signature_of(main["api_secret"], params)
            headers = {"X-BX-APIKEY": main["api_key"]}
            async with http.get("/openApi/swap/v2/user/balance", params=params, headers=headers) as answer:
                assert 0 == (await answer.json())["code"]
        process.send_signal(number)
        assert (b"", 0) == (await process.stdout.read(), await process.wait())


@pytest.mark.parametrize(
    ("port", "faults", "says"), [(0, "drp=0.1", "did you mean drop"), (70_000, "", "port must lie between")]
)
def test_wrong_usage_is_one_sentence_and_64(
    port: int, faults: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback, nothing on stdout."""
    assert 64 == exchange_command(port=port, seed=1, faults=faults)
    out, err = capsys.readouterr()
    assert ("", 1) == (out, err.count("\n"))
    assert says in err
