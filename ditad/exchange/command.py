"""The verb `ditad exchange`: the simulated exchange alone, until a signal ends it.

Enters: port, seed and fault specification. Leaves: one JSON line with addresses and credentials on
stdout, then the wire. Exit codes as interfaces.md §1 has them: 0 after a signal, 64 for wrong usage.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from decimal import Decimal
from typing import Final

import orjson

from ditad.exchange.account import AccountSpec
from ditad.exchange.faults import Faults, FaultSpec, parse_faults
from ditad.exchange.server import SimulatedExchange
from ditad.exchange.trader import Trader

EXIT_OK: Final = 0
EXIT_USAGE: Final = 64
PORT_MAX: Final = 65_535
PACE_S: Final = 1.0
ACCOUNTS: Final = (
    AccountSpec(name="main", opening=Decimal(10_000)),
    AccountSpec(name="oneway", opening=Decimal(10_000), hedge=False, margin_type="isolated"),
)


def exchange_command(*, port: int, seed: int, faults: str) -> int:
    """Serve until SIGINT or SIGTERM and give the exit code."""
    try:
        spec = parse_faults(faults)
        if not 0 <= port <= PORT_MAX:
            message = f"port must lie between 0 (any free one) and {PORT_MAX}, not {port}"
            raise ValueError(message)  # noqa: TRY301 — one place prints what is wrong.
        return asyncio.run(_serve(port=port, seed=seed, spec=spec))
    except ValueError as exc:
        sys.stderr.write(f"{exc}\n")
    except OSError as exc:
        sys.stderr.write(f"cannot listen on port {port} ({exc.strerror}): choose another --port\n")
    return EXIT_USAGE


async def _serve(*, port: int, seed: int, spec: FaultSpec) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    faults = Faults(spec, seed=seed)
    async with SimulatedExchange(seed=seed, port=port, faults=faults, accounts=ACCOUNTS) as ex:
        sys.stdout.write(announcement(ex) + "\n")
        sys.stdout.flush()
        traders = [Trader(ex.account(name), seed=seed) for name in ex.credentials]
        while not stop.is_set():
            for trader in traders:
                trader.step()
            try:
                async with asyncio.timeout(PACE_S):
                    await stop.wait()
            except TimeoutError:
                continue
    return EXIT_OK


def announcement(ex: SimulatedExchange) -> str:
    """Write the line a client needs to find its way in."""
    credentials = {name: {"api_key": key, "api_secret": secret} for name, (key, secret) in ex.credentials.items()}
    line = {
        "rest_url": ex.rest_url,
        "ws_url": ex.ws_url,
        "credentials": credentials,
        "dialect": ex.core.dialect.as_dict(),
    }
    return orjson.dumps(line).decode()
