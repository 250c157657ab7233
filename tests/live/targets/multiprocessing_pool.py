"""Pools of multiprocessing in a known state, or starved: argv CASE. Runs on Python 3.8 and newer."""

import asyncio
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from multiprocessing.pool import ThreadPool

SLOW_S = 0.4


def slow(*_):
    time.sleep(SLOW_S)


def quick(*_):
    pass


def hurried(*_):
    pass


def stuck():
    threading.Event().wait()


def until(reached):
    while not reached():
        time.sleep(0.01)


def say(**truth):
    print(json.dumps(truth), flush=True)


def known(kind):
    """Two workers that never end what they do; behind them jobs of each kind, ten items in all."""
    pool = kind(2)
    begun = [pool.apply_async(stuck) for _ in range(2)]
    for _ in range(1 if kind is ThreadPool else 0):
        pool.apply_async(quick)
    threading.Thread(target=pool.apply, args=(quick,), daemon=True).start()
    threads = kind is ThreadPool
    until(lambda: len(pool._cache) == 3 + threads)
    threading.Thread(target=pool.map, args=(hurried, range(8), 2), daemon=True).start()
    until(lambda: len(pool._cache) == 4 + threads)
    pool.map_async(quick, range(3), 1)
    parts = pool.imap(quick, range(2))
    until(lambda: parts._length == 2)
    workers = [w.native_id for w in pool._pool] if threads else [w.pid for w in pool._pool]
    say(
        workers=sorted(workers),
        queued=10 + threads,
        jobs=sorted(result._job for result in begun),
    )
    sys.stdin.read()


def pool_of(kind, size):
    pool = kind(size)
    pool.map(quick, range(size))
    return pool


async def starved(pool, slow_ones):
    """Slow calls, and quick ones that may be behind them; a thread waits for each."""
    loop = asyncio.get_running_loop()
    say(tid=threading.get_native_id())

    async def hold():
        while True:
            await loop.run_in_executor(None, pool.apply, slow)

    async def hurry():
        while True:
            await loop.run_in_executor(None, pool.apply, quick)
            await asyncio.sleep(0.05)

    await asyncio.gather(*(hold() for _ in range(slow_ones)), hurry(), hurry())


def batch(pool):
    """A batch of the same work, awaited as a whole."""
    say(tid=threading.get_native_id())
    while True:
        pool.map(slow, range(8), 1)


def nested(pool):
    """Every thread of a pool waits for work that only this pool can do."""
    say(tid=threading.get_native_id())
    for _ in range(2):
        pool.apply_async(lambda: (time.sleep(0.1), pool.apply(quick)))
    time.sleep(100)


def idle(pool):
    say(tid=threading.get_native_id())
    time.sleep(100)


def blocked(pool):
    """A task waits for what a worker does, and keeps the loop from its timers."""
    say(tid=threading.get_native_id())

    async def tick():
        while True:
            await asyncio.sleep(0.02)

    async def call():
        ticking = asyncio.ensure_future(tick())
        while not ticking.done():
            pool.apply(slow)
            await asyncio.sleep(0.05)

    asyncio.run(call())


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def orphaned(pool):
    """The process that was to read next is killed: no other one will ever read."""
    workers = [process.pid for process in pool._pool]
    until(lambda: any(stands(pid, "read") for pid in workers))
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not {process.pid for process in pool._pool} & set(workers))
    awaited(pool, quick)


def stands(pid, call):
    with open(f"/proc/{pid}/wchan") as file:
        return call in file.read()


def awaited(pool, function):
    """The main thread waits for ever for what a worker does, or has taken with it."""
    result = pool.apply_async(function)
    say(tid=threading.get_native_id())
    result.get()


def main(case, kind):
    kind = {"processes": multiprocessing.get_context("fork").Pool, "threads": ThreadPool}[kind]
    {
        "known": lambda: known(kind),
        "starved": lambda: asyncio.run(starved(pool_of(kind, 2), 3)),
        "served": lambda: asyncio.run(starved(pool_of(kind, 2), 1)),
        "batch": lambda: batch(pool_of(kind, 2)),
        "nested": lambda: nested(pool_of(kind, 2)),
        "idle": lambda: idle(pool_of(kind, 2)),
        "lost": lambda: awaited(pool_of(kind, 2), killed),
        "orphaned": lambda: orphaned(pool_of(kind, 2)),
        "awaited": lambda: awaited(pool_of(kind, 2), stuck),
        "blocked": lambda: blocked(pool_of(kind, 2)),
    }[case]()


if __name__ == "__main__":
    main(*sys.argv[1:])
