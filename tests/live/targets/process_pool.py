"""A pool of processes in a known state, or starved: argv CASE. Runs on Python 3.8 and newer."""

import asyncio
import functools
import json
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor

SLOW_S = 0.4


def slow():
    time.sleep(SLOW_S)


def quick():
    pass


class Job:
    def __call__(self):
        pass


def mapped(_):
    pass


def stuck():
    threading.Event().wait()


def known():
    """Two processes that never end what they do, and five items behind."""
    pool = ProcessPoolExecutor(2)
    for _ in range(2):
        pool.submit(stuck)
    for _ in range(3):
        pool.submit(quick)
    pool.submit(Job())
    pool.map(functools.lru_cache(maxsize=None)(mapped), [1])
    print(json.dumps({"pids": sorted(pool._processes), "queued": 5}), flush=True)
    sys.stdin.read()


async def starved(slow_ones):
    """Slow calls, and quick ones that may be behind them."""
    pool = ProcessPoolExecutor(2)
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(loop.run_in_executor(pool, quick) for _ in range(4)))
    print(json.dumps({"tid": threading.get_native_id()}), flush=True)

    async def hold():
        while True:
            await loop.run_in_executor(pool, slow)

    async def hurry():
        while True:
            await loop.run_in_executor(pool, quick)
            await asyncio.sleep(0.05)

    await asyncio.gather(*(hold() for _ in range(slow_ones)), hurry(), hurry())


if __name__ == "__main__":
    {
        "known": known,
        "starved": lambda: asyncio.run(starved(3)),
        "served": lambda: asyncio.run(starved(1)),
    }[sys.argv[1]]()
