"""Clients that keep asking, each one request at a time, and note how long the answers took."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from waitspy_scenarios.serving.latencies import Latencies

PATIENCE_S = 30.0
RAMP_S = 1.0  # clients do not all arrive at once: that would be a load of its own

Ask = Callable[[], Awaitable[object]]
"""One request: returns when it is answered, raises OSError when it failed."""


@dataclass(frozen=True, slots=True)
class Load:
    """``clients`` that ask, wait for the answer and pause for ``gap_s``, over and over."""

    name: str
    ask: Ask
    clients: int = 8
    gap_s: float = 0.05


def get(port: int, path: str) -> Ask:
    """Asks for a path over HTTP, each time on a new connection; any status but 200 failed."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            answer = await reader.read()
        finally:
            writer.close()
        if answer.split(b" ", 2)[1:2] != [b"200"]:
            raise OSError(f"{path}: {answer[:80]!r}")

    return ask


async def keep_asking(loads: Sequence[Load], seconds: float) -> dict[str, Latencies]:
    """What each load saw in that time; requests under way at its end count as waiting."""
    seen = {load.name: Latencies() for load in loads}
    clients = [
        asyncio.create_task(_client(load, seen[load.name]))
        for load in loads
        for _ in range(load.clients)
    ]
    if not clients:
        await asyncio.sleep(seconds)
        return seen
    try:
        done, _ = await asyncio.wait(clients, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for client in done:
            client.result()  # a client never ends by itself: this raises what went wrong in it
    finally:
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    return seen


async def _client(load: Load, seen: Latencies) -> None:
    await asyncio.sleep(random.uniform(0, RAMP_S))
    while True:
        asked_s = time.monotonic()
        seen.waiting += 1
        try:
            async with asyncio.timeout(PATIENCE_S):
                await load.ask()
        except OSError:  # TimeoutError is one
            seen.failed += 1
        else:
            seen.answered_s.append(time.monotonic() - asked_s)
        seen.waiting -= 1
        await asyncio.sleep(load.gap_s)
