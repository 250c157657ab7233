"""A server whose handler sleeps in the event loop while other clients wait for their answers."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time

SLEEP_S = 0.35
PAUSE_S = 0.4


def backoff() -> None:
    time.sleep(SLEEP_S)


async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        if line == b"slow\n":
            backoff()
        writer.write(line)
        await writer.drain()


def client(port: int, line: bytes, pause_s: float) -> None:
    """Sends one line after the other and waits for each answer."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        while True:
            sock.sendall(line)
            sock.recv(100)
            time.sleep(pause_s)


async def main() -> None:
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for line, pause_s in ((b"slow\n", PAUSE_S), (b"quick\n", 0.1), (b"quick\n", 0.13)):
        threading.Thread(target=client, args=(port, line, pause_s), daemon=True).start()
    print(os.getpid(), flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
