"""Tasks that wait for what other tasks hold; the first line tells the truth. Python 3.8 syntax.

Usage: holding_tasks.py STORY...: of ``all``, every one is there at once.
"""

import asyncio
import contextlib
import json
import sys

CASES = {}


def here():
    """The line after the one that asks."""
    return sys._getframe(1).f_lineno + 1


def case(name, kind, waiters, holders, line):
    CASES[name] = {"kind": kind, "waiters": waiters, "holders": holders, "line": line}


async def wants(thing):
    async with thing:
        pass


async def forever():
    await asyncio.sleep(600)


async def locks():
    lock, left = asyncio.Lock(), asyncio.Lock()
    lines = []

    async def hold():
        async with left:
            await asyncio.sleep(0)
        lines.append(here())
        async with lock:
            for _ in range(2):
                try:
                    await forever()
                finally:
                    await asyncio.sleep(0)

    keep(hold())
    await asyncio.sleep(0.05)
    keep(wants(lock))
    keep(wants(lock))
    case("lock", "lock", 2, 1, lines[0])
    # one that its holder has left again is held by hand
    await left.acquire()
    keep(wants(left))
    case("by hand", "lock", 1, 0, None)


async def semaphores():
    two, lines = asyncio.Semaphore(2), []

    async def hold():
        lines.append(here())
        async with two:
            await forever()

    keep(hold())
    keep(hold())
    await asyncio.sleep(0.05)
    keep(wants(two))
    case("semaphore", "semaphore", 1, 2, lines[0])


async def conditions():
    one, lines = asyncio.Condition(), []

    async def waits():
        async with one:
            await one.wait()

    async def hold():
        lines.append(here())
        async with one:
            await forever()

    keep(waits())  # is in the block, and does not hold the lock
    await asyncio.sleep(0.05)
    keep(hold())
    await asyncio.sleep(0.05)
    keep(wants(one))
    case("condition", "lock", 1, 1, lines[0])


async def managers():
    lock, lines = asyncio.Lock(), []

    @contextlib.asynccontextmanager
    async def locked():
        lines.append(here())
        async with lock:
            yield

    async def hold():
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(locked())
            await forever()

    keep(hold())
    await asyncio.sleep(0.05)
    keep(wants(lock))
    case("block of a generator in a stack", "lock", 1, 1, lines[0])


KEPT = []


def keep(coroutine):
    KEPT.append(asyncio.ensure_future(coroutine))


async def idle():
    """What nobody holds."""
    keep(asyncio.Queue().get())
    keep(asyncio.Event().wait())


async def main():
    for story in (locks, semaphores, conditions, managers, idle):
        await story()
    await asyncio.sleep(0.2)
    print(json.dumps({"cases": CASES}), flush=True)
    await forever()


asyncio.run(main())
