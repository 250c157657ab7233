"""Tasks that await a pool's work: two under way, one still queued. Says so as JSON, ends with stdin.

Runs on Python 3.8 and newer.
"""

import asyncio
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor

forever = threading.Event()
begun = threading.Semaphore(0)


def stuck():
    begun.release()
    forever.wait()


async def under_way(loop):
    await loop.run_in_executor(None, stuck)


async def queued(loop):
    await asyncio.wait_for(loop.run_in_executor(None, len, "x"), 600)


async def elsewhere(loop):
    await loop.create_future()


async def main():
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(2))
    loop.kept = [loop.create_task(under_way(loop)) for _ in range(2)]
    loop.kept += [loop.create_task(one(loop)) for one in (queued, elsewhere)]
    for _ in range(2):
        while not begun.acquire(blocking=False):
            await asyncio.sleep(0.01)
    print(json.dumps({"line": under_way.__code__.co_firstlineno + 1}), flush=True)
    os.read(0, 1)
    os._exit(0)


asyncio.run(main())
