"""Tasks that stand in lines for one thing each. Python 3.8 syntax.

The first line says how many. It is told "hand\\n", upon which every one has its turn until all stand
as before, or "come\\n", upon which one more comes to each line; it answers with a line when done.
With ``ordered``, there is one line that counts nothing, and two have their turn.
"""

import asyncio
import collections
import json
import sys

IN_LINE = 3
ORDERED = "ordered" in sys.argv
SITE = "/srv/venv/lib/python3/site-packages"
ASYNCPG = """
class Pool:
    def __init__(self):
        self._queue, self._maxsize, self._holders = asyncio.LifoQueue(), 1, [1]
        self._queue.put_nowait(1)
    async def __aenter__(self):
        self.holder = await self._queue.get()
    async def __aexit__(self, *_):
        self._queue.put_nowait(1)
"""
PSYCOPG = """
class WaitingClient:
    def __init__(self):
        self._cond, self.conn = asyncio.Condition(), None
    async def wait(self):
        async with self._cond:
            while self.conn is None:
                await self._cond.wait()

class AsyncConnectionPool:
    def __init__(self):
        self._waiting, self._pool = collections.deque(), [1]
        self._max_size = self._nconns = 1
    async def __aenter__(self):
        if self._pool:
            return self._pool.pop()
        self._waiting.append(WaitingClient())
        return await self._waiting[-1].wait()
    async def __aexit__(self, *_):
        if not self._waiting:
            return self._pool.append(1)
        client = self._waiting.popleft()
        async with client._cond:
            client.conn = 1
            client._cond.notify_all()
"""
AIOHTTP = """
class BaseConnector:
    def __init__(self):
        self._limit, self._acquired, self._hosts, self._next = 1, set(), 0, []
        self._waiters = collections.defaultdict(collections.OrderedDict)
    async def __aenter__(self):
        if not self._acquired:
            return self._acquired.add(1)
        self._hosts += 1
        await self._wait_for_available_connection(self._hosts % 2)
    async def _wait_for_available_connection(self, key):
        future = asyncio.get_running_loop().create_future()
        self._waiters[key][future] = None
        self._next.append(key)
        await future
        if not self._waiters[key]:
            del self._waiters[key]
    async def __aexit__(self, *_):
        self._acquired.clear()
        if self._next:
            self._acquired.add(1)
            self._waiters[self._next.pop(0)].popitem(last=False)[0].set_result(None)
"""
AIOMYSQL = """
class Pool:
    def __init__(self):
        self._free, self._used = collections.deque(maxlen=1), set()
        self._cond = asyncio.Condition()
    async def __aenter__(self):
        async with self._cond:
            if self._used:
                return await self._cond.wait()
            self._used.add(1)
    async def __aexit__(self, *_):
        async with self._cond:
            self._cond.notify()
"""
PYMONGO = """
async def _async_cond_wait(condition):
    await condition.wait()

class Pool:
    def __init__(self):
        self.max_pool_size, self.requests, self.size_cond = 1, 0, asyncio.Condition()
    async def __aenter__(self):
        async with self.size_cond:
            if self.requests:
                return await _async_cond_wait(self.size_cond)
            self.requests += 1
    async def __aexit__(self, *_):
        async with self.size_cond:
            self.size_cond.notify()
"""
HTTPCORE = """
class Request:
    def __init__(self):
        self.connection, self.has = None, asyncio.Event()
    async def wait_for_connection(self):
        await self.has.wait()

class AsyncConnectionPool:
    def __init__(self):
        self._max_connections, self._connections, self._requests = 1, [], []
    async def __aenter__(self):
        self._requests.append(Request())
        if not self._connections:
            return self._connections.append(1)
        await self._requests[-1].wait_for_connection()
    async def __aexit__(self, *_):
        del self._requests[0]
        if self._requests:
            self._requests[0].has.set()
"""


def library(file, source):
    """What that code defines, as if it were in that file."""
    names = {"asyncio": asyncio, "collections": collections}
    exec(compile(source, SITE + file, "exec"), names)
    return names


def things():
    yield asyncio.Lock()
    yield asyncio.Condition()
    yield asyncio.Semaphore(1)
    yield library("/asyncpg/pool.py", ASYNCPG)["Pool"]()
    yield library("/psycopg_pool/pool_async.py", PSYCOPG)["AsyncConnectionPool"]()
    yield library("/aiohttp/connector.py", AIOHTTP)["BaseConnector"]()
    yield library("/aiomysql/pool.py", AIOMYSQL)["Pool"]()
    yield library("/pymongo/asynchronous/pool.py", PYMONGO)["Pool"]()
    try:
        import anyio
    except ImportError:
        return
    yield anyio.Lock()
    yield anyio.Semaphore(1)
    yield anyio.CapacityLimiter(1)


class Line:
    def __init__(self, thing):
        self.thing, self.next, self.turns = thing, asyncio.Event(), 0
        self.kept = []

    def come(self):
        self.kept.append(asyncio.ensure_future(self.stand()))

    async def stand(self):
        while True:
            async with self.thing:
                self.turns += 1
                self.next.clear()
                await self.next.wait()

    async def hand(self, times):
        for turn in range(self.turns + 1, self.turns + 1 + times):
            self.next.set()
            while self.turns < turn:
                await asyncio.sleep(0)


async def main():
    some = things()
    if ORDERED:
        some = [library("/httpcore/_async/connection_pool.py", HTTPCORE)["AsyncConnectionPool"]()]
    lines = [Line(thing) for thing in some]
    for _ in range(1 + IN_LINE):
        for line in lines:
            line.come()
            await asyncio.sleep(0.01)
    print(json.dumps({"lines": len(lines), "in_line": IN_LINE}), flush=True)
    loop = asyncio.get_running_loop()
    while True:
        told = await loop.run_in_executor(None, sys.stdin.readline)
        for line in lines:
            if told.strip() == "hand":
                await line.hand(2 if ORDERED else len(line.kept))
            else:
                line.come()
            await asyncio.sleep(0.01)
        print(json.dumps({}), flush=True)


asyncio.run(main())
