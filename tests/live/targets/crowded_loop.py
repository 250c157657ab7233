"""A loop that blocks now and then, among a lot of something: argv STALL_S GAP_S WHAT COUNT.

WHAT is threads (that wait), timers (that are due in an hour), tasks (that wait for one event),
connections (that say nothing), unread (that have said something nobody reads) or frames (below
which it blocks). A heartbeat of 20 ms is what waits. It logs each stall at SIGTERM.
"""

import asyncio
import json
import os
import resource
import signal
import socket
import sys
import threading
import time
from typing import Any

STALL_S, GAP_S, WHAT, COUNT = float(sys.argv[1]), float(sys.argv[2]), sys.argv[3], int(sys.argv[4])
STALLS: list[dict[str, float]] = []
KEPT: list[Any] = []


def finish(*_: object) -> None:
    os.write(1, "".join(json.dumps(stall) + "\n" for stall in STALLS).encode())
    os._exit(0)


def hold_up() -> None:
    start = time.monotonic()
    time.sleep(STALL_S)
    STALLS.append({"start": start, "end": time.monotonic()})


def below(frames: int) -> None:
    if frames:
        below(frames - 1)
    else:
        hold_up()


async def heartbeat() -> None:
    while True:
        await asyncio.sleep(0.02)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)


async def connect(*, speak: bool) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * COUNT + 100)), hard))
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
    for _ in range(COUNT):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        if speak:
            theirs.send(b"said")
        else:
            asyncio.get_running_loop().add_reader(ours, lambda: None)
        KEPT.extend((ours, theirs))
    KEPT.append(server)


async def main() -> None:
    loop = asyncio.get_running_loop()
    KEPT.append(asyncio.create_task(heartbeat()))
    if WHAT == "threads":
        threading.stack_size(1 << 16)
        over = threading.Event()
        for _ in range(COUNT):
            threading.Thread(target=over.wait, daemon=True).start()
    elif WHAT == "timers":
        KEPT.extend(loop.call_later(3600 + n % 600, print) for n in range(COUNT))
    elif WHAT == "tasks":
        event = asyncio.Event()
        KEPT.extend(asyncio.create_task(event.wait()) for _ in range(COUNT))
    elif WHAT in ("connections", "unread"):
        await connect(speak=WHAT == "unread")
    sys.setrecursionlimit(COUNT + 10_000)
    await asyncio.sleep(0.1)
    print("{}", flush=True)
    while True:
        await asyncio.sleep(GAP_S)
        below(COUNT if WHAT == "frames" else 0)


signal.signal(signal.SIGTERM, finish)
asyncio.run(main())
