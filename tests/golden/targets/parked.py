"""A worker thread that runs its loop per job only, and leaves a flush behind in it meanwhile."""

from __future__ import annotations

import asyncio
import os
import queue
import socket
import threading
import time
from collections.abc import Awaitable, Callable

JOB_EVERY_S = 1.0
ANSWER_AFTER_S = 0.15

flushes: set[asyncio.Task[None]] = set()


def answer(listener: socket.socket) -> None:
    """Answers one line per connection, a little late."""
    while True:
        connection, _ = listener.accept()
        connection.recv(100)
        time.sleep(ANSWER_AFTER_S)
        connection.sendall(b"done\n")


async def flush(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"batch\n")
    await reader.readline()
    writer.close()


async def job(port: int) -> None:
    task = asyncio.get_running_loop().create_task(flush(port))
    flushes.add(task)
    task.add_done_callback(flushes.discard)
    await asyncio.sleep(0.03)


class Worker:
    """Owns a loop and an inbox, and waits for the inbox outside the loop."""

    def __init__(self) -> None:
        self.inbox: queue.Queue[Callable[[], Awaitable[None]]] = queue.Queue()
        self.loop = asyncio.new_event_loop()

    def run(self) -> None:
        while True:
            next_job = self.next_message()
            self.loop.run_until_complete(next_job())

    def next_message(self) -> Callable[[], Awaitable[None]]:
        return self.inbox.get()


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    worker = Worker()
    threading.Thread(target=answer, args=(listener,), daemon=True).start()
    threading.Thread(target=worker.run, name="worker", daemon=True).start()
    print(os.getpid(), flush=True)
    while True:
        worker.inbox.put(lambda: job(port))
        time.sleep(JOB_EVERY_S)


main()
