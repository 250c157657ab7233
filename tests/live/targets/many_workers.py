"""Forked workers that serve a heartbeat each and block now and then: argv WORKERS STALL_S GAP_S BEAT_S.

The stalls are spread over the workers: each blocks every GAP_S, at its own moment of it. The parent
prints a line when all are at work; at SIGTERM each worker logs its stalls.
"""

import asyncio
import json
import os
import signal
import sys
import time

WORKERS, STALL_S, GAP_S, BEAT_S = int(sys.argv[1]), *map(float, sys.argv[2:5])
STALLS = []


def finish(*_: object) -> None:
    for stall in STALLS:  # a line is short enough to be one write
        os.write(1, json.dumps({"pid": os.getpid(), **stall}).encode() + b"\n")
    os._exit(0)


def hold_up() -> None:
    start = time.monotonic()
    time.sleep(STALL_S)
    STALLS.append({"start": start, "end": time.monotonic()})


async def heartbeat() -> None:
    while True:
        await asyncio.sleep(BEAT_S)


async def work(number: int, ready: int) -> None:
    beat = asyncio.create_task(heartbeat())
    os.write(ready, b".")
    await asyncio.sleep(GAP_S * (0.5 + number / WORKERS))
    while not beat.done():
        hold_up()
        await asyncio.sleep(GAP_S - STALL_S)


def main() -> None:
    reader, writer = os.pipe()
    children = []
    for number in range(WORKERS):
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGTERM, finish)
            asyncio.run(work(number, writer))
        children.append(pid)
    at_work = 0
    while at_work < WORKERS:
        at_work += len(os.read(reader, WORKERS))
    print("{}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: [os.kill(pid, signal.SIGTERM) for pid in children])
    for pid in children:
        os.waitpid(pid, 0)


main()
