"""Thread pools, starved or merely full: argv CASE. Runs on Python 3.8 and newer."""

import asyncio
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait

CASE = sys.argv[1]


def slow():
    time.sleep(0.4)


def quick():
    pass


def crunch():
    end = time.monotonic() + 0.02
    while time.monotonic() < end:
        pass


def say():
    print(json.dumps({"tid": threading.get_native_id()}), flush=True)


async def default_executor():
    """Blocking calls fill the executor that everybody's quick calls go through."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(3))
    say()

    async def hold():
        while True:
            await loop.run_in_executor(None, slow)

    async def hurry():
        while True:
            await loop.run_in_executor(None, quick)
            await asyncio.sleep(0.05)

    await asyncio.gather(*(hold() for _ in range(4)), hurry(), hurry())


async def batch_in_a_loop():
    """Much of the same work, handed in at once, in a pool of its own."""
    loop = asyncio.get_running_loop()
    pool = ThreadPoolExecutor(2)
    say()
    while True:
        await asyncio.gather(*(loop.run_in_executor(pool, slow) for _ in range(6)))


async def short_batch_in_the_default():
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(2))
    say()
    while True:
        await asyncio.gather(*(loop.run_in_executor(None, crunch) for _ in range(30)))
        await asyncio.sleep(0.3)


def batch():
    pool = ThreadPoolExecutor(2)
    say()
    while True:
        wait([pool.submit(slow) for _ in range(8)])


def trickle():
    """More comes than a pool can do, but something is done all the time."""
    pool = ThreadPoolExecutor(2)
    say()
    while True:
        pool.submit(time.sleep, 0.03)
        time.sleep(0.01)


def one_thread():
    """Two callers keep one thread busy with short calls that block, and never wait for long."""
    pool = ThreadPoolExecutor(1)

    def call():
        while True:
            pool.submit(time.sleep, 0.03).result()

    for _ in range(2):
        threading.Thread(target=call, daemon=True).start()
    say()
    threading.Event().wait()


def deadlock():
    pool = ThreadPoolExecutor(2)

    def outer():
        started.wait()
        return pool.submit(quick).result()

    started = threading.Barrier(2)
    say()
    futures = [pool.submit(outer) for _ in range(2)]
    while True:
        wait(futures, timeout=5)


def idle():
    pool = ThreadPoolExecutor(2)
    pool.submit(quick).result()
    say()
    threading.Event().wait()


case = globals()[CASE.replace("-", "_")]
if asyncio.iscoroutinefunction(case):
    asyncio.run(case())
else:
    case()
