"""The endpoint: a process whose inserts always take the same time, and which counts them.

``POST /insert`` waits the delay, then inserts the rows of the body (a JSON list), whether or not
the client still listens, and closes the connection. ``GET /lookup`` is the small round trip.
``GET /inserts`` gives the number of inserts per row.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from contextlib import suppress

from waitspy_scenarios.buffer_vs_job import channel
from waitspy_scenarios.buffer_vs_job.minihttp import HOST, ClosedError, read_message, response

LOOKUP_S = 0.0025  # with two processes taking turns, a round trip of about 3 ms


class Endpoint:
    """The server; ``inserts`` is the table it fills."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self.inserts: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it ends."""
        # A client that timed out resets its connection: nothing is left to answer.
        with suppress(ClosedError, ConnectionError, asyncio.CancelledError):
            while True:
                first, body = await read_message(reader)
                keep = first.startswith("GET /lookup ")
                writer.write(await self._answer(first, body))
                await writer.drain()
                if not keep:
                    break
        writer.close()

    async def _answer(self, first: str, body: bytes) -> bytes:
        if first.startswith("GET /lookup "):
            await asyncio.sleep(LOOKUP_S)
            return response("200 OK", b"{}", keep=True)
        if first.startswith("POST /insert "):
            await asyncio.sleep(self._delay_s)
            self.inserts.update(json.loads(body))
            return response("200 OK", b"{}")
        if first.startswith("GET /inserts "):
            return response("200 OK", json.dumps(self.inserts).encode())
        return response("404 Not Found")


async def main() -> None:
    """Serve until the program that started this process closes its end of the channel."""
    reader, writer = await asyncio.open_connection(sock=channel.from_arguments(sys.argv))
    with suppress(ConnectionError):
        start = json.loads(await reader.readline() or "{}")
        if start:
            server = await asyncio.start_server(Endpoint(start["delay_s"]).serve, HOST, 0)
            port = server.sockets[0].getsockname()[1]
            writer.write(channel.encode({"type": "ready", "port": port}))
            await reader.read()
            server.close()
    writer.close()


if __name__ == "__main__":
    asyncio.run(main())
