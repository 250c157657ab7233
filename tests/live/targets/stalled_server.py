"""A loop that is blocked again and again, beside an executor with too much to do: all oracles see it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readline():
        writer.write(b"x\n")


def block() -> None:
    time.sleep(0.25)
    asyncio.get_running_loop().call_later(0.15, block)


def ask(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        while True:
            connection.send(b"x\n")
            time.sleep(0.02)


def work() -> None:
    time.sleep(0.3)


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    for _ in range(2):
        threading.Thread(target=ask, args=(port,), daemon=True).start()
    loop.call_later(0.1, block)
    loop.set_default_executor(ThreadPoolExecutor(2))
    print("ready", flush=True)
    while True:
        await asyncio.gather(*(loop.run_in_executor(None, work) for _ in range(6)))


if __name__ == "__main__":
    asyncio.run(main())
