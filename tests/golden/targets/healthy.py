"""A server that waits a lot and starves nobody: its blocking calls run in threads."""

from __future__ import annotations

import asyncio
import os
import queue
import socket
import threading
import time

WORK_S = 0.25


def work() -> None:
    time.sleep(WORK_S)


async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        await asyncio.to_thread(work)
        writer.write(line)
        await writer.drain()


def client(port: int, pause_s: float) -> None:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        while True:
            sock.sendall(b"line\n")
            sock.recv(100)
            time.sleep(pause_s)


async def main() -> None:
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    inbox: queue.Queue[None] = queue.Queue()
    threading.Thread(target=inbox.get, name="idle", daemon=True).start()
    for pause_s in (0.2, 0.31):
        threading.Thread(target=client, args=(port, pause_s), daemon=True).start()
    print(os.getpid(), flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
