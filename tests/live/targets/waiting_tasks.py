"""Tasks that wait in many ways, some of them for a pool that is exhausted. Python 3.8 and newer.

The first line says, as JSON, on which line each of them waits. A line on standard input lets one of
those that wait for a connection go on.
"""

import asyncio
import json
import sys

LINES = {}


def here(name):
    """Notes that the line after the caller's is where that task will wait."""
    LINES[name] = sys._getframe(1).f_lineno + 1


class Connections:
    """As clients of databases and of HTTP have it: so many connections, and a queue for them."""

    def __init__(self, size):
        self.free = asyncio.Semaphore(size)

    async def connection(self):
        here("connection")
        await self.free.acquire()
        return self


async def query(connections):
    connection = await connections.connection()
    here("answer")
    await asyncio.get_running_loop().create_future()
    return connection


async def event():
    waited = asyncio.Event()
    here("event")
    await waited.wait()


async def queue():
    waited = asyncio.Queue()
    here("queue")
    await waited.get()


async def sleep():
    here("sleep")
    await asyncio.sleep(3600)


async def gather():
    futures = [asyncio.get_running_loop().create_future() for _ in range(2)]
    here("gather")
    await asyncio.gather(*futures)


async def stream():
    reader = asyncio.StreamReader()
    here("stream")
    await reader.readline()


async def iterated():
    async def numbers():
        await asyncio.get_running_loop().create_future()
        yield 1

    here("iterated")
    async for _ in numbers():
        pass


async def lock():
    waited = asyncio.Lock()
    await waited.acquire()
    here("lock")
    async with waited:
        pass


async def main():
    loop = asyncio.get_running_loop()
    connections = Connections(2)
    tasks = [loop.create_task(query(connections)) for _ in range(5)]
    ways = (event, queue, sleep, gather, stream, iterated, lock)
    tasks += [loop.create_task(way()) for way in ways]
    await asyncio.sleep(0.05)
    while True:
        loop.call_soon(say, loop)  # once this one waits, too
        here("main")
        line = await loop.run_in_executor(None, sys.stdin.readline)
        if not line:
            return
        connections.free.release()
        await asyncio.sleep(0.05)


def say(loop):
    print(json.dumps({"lines": LINES, "pending": len(asyncio.all_tasks(loop))}), flush=True)


asyncio.run(main())
