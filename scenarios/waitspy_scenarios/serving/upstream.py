"""Another service that the servers depend on: it answers every request, but late."""

from __future__ import annotations

import asyncio

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


async def start_upstream(delay_s: float) -> asyncio.Server:
    """An HTTP server on a free port that answers each request after ``delay_s``."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(delay_s)
            writer.write(_ANSWER)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the server that asked was stopped
        except asyncio.CancelledError:
            pass  # the program ends; Python 3.11 would log it as an error
        finally:
            writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0, backlog=512)


def port_of(server: asyncio.Server) -> int:
    """The port that it listens on."""
    return int(server.sockets[0].getsockname()[1])
