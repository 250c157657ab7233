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


async def try_blocks():
    """Who takes it by hand, with a ``try`` block behind that."""
    two, lines = asyncio.Semaphore(2), []

    async def take():
        lines.append(here())
        await two.acquire()
        try:
            await forever()
        finally:
            two.release()

    for _ in range(3):
        keep(take())
    case("semaphore by hand", "semaphore", 1, 2, None)
    items = asyncio.Semaphore(1)

    async def work():
        while True:
            await items.acquire()  # one more has come
            try:
                await forever()
            except ValueError:
                pass

    keep(work())
    keep(work())
    case("semaphore as a signal", "semaphore", 1, 0, None)
    one, within = asyncio.Lock(), []

    @contextlib.asynccontextmanager
    async def taken():
        within.append(here())
        await one.acquire()
        try:
            yield
        finally:
            one.release()

    async def uses():
        async with taken():
            await forever()

    keep(uses())
    keep(uses())
    case("lock by hand in a manager", "lock", 1, 1, None)
    await asyncio.sleep(0.05)
    CASES["semaphore by hand"]["line"] = lines[0]
    CASES["lock by hand in a manager"]["line"] = within[0]


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


SITE = "/srv/venv/lib/python3/site-packages"
REDIS = """
class BlockingConnectionPool:
    def __init__(self, size):
        self.max_connections, self._in_use_connections = size, set()
        self._condition = asyncio.Condition()
    def can_get_connection(self):
        return len(self._in_use_connections) < self.max_connections
    async def get_connection(self):
        async with self._condition:
            await self._condition.wait_for(self.can_get_connection)
        self._in_use_connections.add(object())
"""
CLIENT = """
async def call_with_retry(function):
    await function()

class Redis:
    def __init__(self, pool):
        self.connection_pool, self.connection = pool, None
    async def execute_command(self, function):
        def on_failure():
            self.failed = True
        pool = self.connection_pool
        await pool.get_connection()
        await call_with_retry(function)
"""
HTTPCORE = """
class Connection:
    async def handle_async_request(self, function):
        await function()

class Request:
    async def wait_for_connection(self):
        await asyncio.Event().wait()

class AsyncConnectionPool:
    def __init__(self, size):
        self._max_connections, self._connections = size, []
    async def handle_async_request(self, function):
        if len(self._connections) == self._max_connections:
            await Request().wait_for_connection()
        self._connections.append(Connection())
        await self._connections[-1].handle_async_request(function)
        return Response(PoolByteStream(self))

class PoolByteStream:
    def __init__(self, pool):
        self._pool, self._closed = pool, False

class Response:
    def __init__(self, stream):
        self.stream = stream

@contextlib.asynccontextmanager
async def stream(pool, function):
    response = await pool.handle_async_request(function)
    try:
        yield response
    finally:
        response.stream._closed = True
"""


SQLALCHEMY = """
async def greenlet_spawn(function):
    return await function()

class AsyncAdaptedQueue:
    def __init__(self, size):
        self._queue = asyncio.Queue(size)

class AsyncAdaptedQueuePool:
    def __init__(self, size, more):
        self._pool = AsyncAdaptedQueue(size)
        self._overflow, self._max_overflow = -size, more
    async def get(self):
        if self._overflow >= self._max_overflow:
            await self._pool._queue.get()
        self._overflow += 1

class _ConnectionFairy:
    def __init__(self, pool):
        self._pool, self._connection_record = pool, object()

class AsyncConnection:
    def __init__(self, pool):
        self._pool_of_engine, self.sync_connection = pool, None
    async def __aenter__(self):
        await greenlet_spawn(self._pool_of_engine.get)
        self.sync_connection = _ConnectionFairy(self._pool_of_engine)
        return self
    async def __aexit__(self, *_):
        self.sync_connection = None
"""


TORNADO = """
import collections

class Semaphore:
    def __init__(self, value):
        self._waiters, self._value = collections.deque(), value
    def acquire(self):
        waiter = asyncio.get_running_loop().create_future()
        if self._value:
            self._value -= 1
            waiter.set_result(None)
        else:
            self._waiters.append(waiter)
        return waiter
    async def __aenter__(self):
        await self.acquire()
    async def __aexit__(self, *_):
        pass

class Lock:
    def __init__(self):
        self._block = Semaphore(1)
    async def __aenter__(self):
        await self._block.acquire()
    async def __aexit__(self, *_):
        pass
"""


def library(file, source):
    """What that code defines, as if it were in that file."""
    names = {"asyncio": asyncio, "contextlib": contextlib}
    exec(compile(source, SITE + file, "exec"), names)
    return names


async def connections_in_use():
    pool = library("/redis/asyncio/connection.py", REDIS)["BlockingConnectionPool"](2)
    client, lines = library("/redis/asyncio/client.py", CLIENT)["Redis"](pool), []

    async def ask():
        lines.append(here())
        await client.execute_command(forever)

    for _ in range(3):
        keep(ask())
        await asyncio.sleep(0.05)
    case("connections in use", "connections", 1, 2, lines[0])


async def connections_of_generators():
    names = library("/httpcore/_async/connection_pool.py", HTTPCORE)
    pool, lines = names["AsyncConnectionPool"](1), []

    async def read():
        lines.append(here())
        async with names["stream"](pool, at_once):
            await forever()

    async def at_once():
        pass

    keep(read())
    await asyncio.sleep(0.05)
    keep(pool.handle_async_request(at_once))
    case("connections of generators", "connections", 1, 1, lines[0])


async def connections_of_sqlalchemy():
    names = library("/sqlalchemy/util/_concurrency_py3k.py", SQLALCHEMY)
    pool, lines = names["AsyncAdaptedQueuePool"](1, 1), []

    async def query():
        lines.append(here())
        async with names["AsyncConnection"](pool):
            await forever()

    for _ in range(3):
        keep(query())
        await asyncio.sleep(0.05)
    case("connections of SQLAlchemy", "connections", 1, 2, lines[0])


async def locks_of_tornado():
    names, lines = library("/tornado/locks.py", TORNADO), []

    async def hold(thing):
        lines.append(here())
        async with thing:
            await forever()

    for kind, thing in (("lock", names["Lock"]()), ("semaphore", names["Semaphore"](1))):
        for _ in range(3):
            keep(hold(thing))
            await asyncio.sleep(0.05)
        case(f"{kind} of Tornado", kind, 2, 1, lines[0])


KEPT = []


def keep(coroutine):
    KEPT.append(asyncio.ensure_future(coroutine))


async def idle():
    """What nobody holds."""
    keep(asyncio.Queue().get())
    keep(asyncio.Event().wait())


STORIES = (
    locks, semaphores, try_blocks, conditions, managers, connections_in_use, connections_of_generators,
    connections_of_sqlalchemy, locks_of_tornado, idle,
)  # fmt: skip


async def main():
    for story in STORIES:
        await story()
    await asyncio.sleep(0.2)
    print(json.dumps({"cases": CASES}), flush=True)
    await forever()


asyncio.run(main())
