"""A pool of connections of a library that tasks share: argv LIBRARY STORY.

held: all its connections are kept over a slow call, which requests need; asked: each is in use for
a slow question. Harmless: rotating: all are in use all the time, each for a moment; batch: a limit
on purpose in front of jobs that are awaited as a whole; roomy: there is one more than those that
are kept.
"""

import asyncio
import os
import sys
import time

import loop_under_test
import truth
from together import FREE_S, harm_tasks_often, serve_in_tasks

LIBRARY, STORY = sys.argv[1:]
PLACES = 2
ROOM = PLACES + (STORY == "roomy")
JOB_S = 1.0
BRIEF_S = 0.01
UPSTREAM = "http://127.0.0.1:" + os.environ.get("UPSTREAM_PORT", "0")
DATABASE = "postgres@127.0.0.1:" + os.environ.get("POSTGRES_PORT", "0") + "/postgres"


class SQLAlchemy:
    def __init__(self, url, **options):
        from sqlalchemy import text
        from sqlalchemy.ext.asyncio import create_async_engine
        from sqlalchemy.pool import AsyncAdaptedQueuePool

        self.one = text("select 1")
        self.slow = lambda length_s: text("select pg_sleep(%f)" % length_s)
        self.engine = create_async_engine(
            url, poolclass=AsyncAdaptedQueuePool, pool_size=ROOM, max_overflow=0, pool_timeout=60
        )

    async def open(self):
        pass

    def borrow(self):
        return self.engine.connect()

    async def use(self, connection):
        await connection.execute(self.one)

    async def ask(self, length_s):
        async with self.engine.connect() as connection:
            await connection.execute(self.slow(length_s))  # culprit


class Session(SQLAlchemy):
    def borrow(self):
        from sqlalchemy.ext.asyncio import AsyncSession

        return AsyncSession(self.engine)


class Asyncpg:
    async def open(self):
        import asyncpg

        url = "postgresql://" + DATABASE
        self.pool = await asyncpg.create_pool(url, min_size=ROOM, max_size=ROOM)

    def borrow(self):
        return self.pool.acquire()

    async def use(self, connection):
        await connection.execute("select 1")

    async def ask(self, length_s):
        async with self.pool.acquire() as connection:
            await connection.execute("select pg_sleep(%f)" % length_s)  # culprit


class Psycopg:
    async def open(self):
        from psycopg_pool import AsyncConnectionPool

        url = "postgresql://" + DATABASE
        self.pool = AsyncConnectionPool(url, min_size=ROOM, max_size=ROOM, timeout=60, open=False)
        await self.pool.open()
        await self.pool.wait()

    def borrow(self):
        return self.pool.connection()

    async def use(self, connection):
        await connection.execute("select 1")

    async def ask(self, length_s):
        async with self.pool.connection() as connection:
            await connection.execute("select pg_sleep(%f)" % length_s)  # culprit


class Redis:
    async def open(self):
        from redis import asyncio as redis

        pool = redis.BlockingConnectionPool(
            host="127.0.0.1", port=int(os.environ["REDIS_PORT"]), max_connections=ROOM, timeout=60
        )
        self.client = redis.Redis(connection_pool=pool)

    def borrow(self):
        return self.client.pipeline()

    async def use(self, pipeline):
        await pipeline.watch("key")

    async def ask(self, length_s):
        await self.client.blpop(["nothing"], timeout=length_s)  # culprit


class Httpx:
    async def open(self):
        import httpx

        limits = httpx.Limits(max_connections=ROOM)
        self.client = httpx.AsyncClient(limits=limits, timeout=60, trust_env=False)

    def borrow(self):
        return self.client.stream("GET", UPSTREAM + "/0")

    async def use(self, response):
        pass

    async def ask(self, length_s):
        await self.client.get("%s/%f" % (UPSTREAM, length_s))  # culprit


class Aiohttp:
    async def open(self):
        import aiohttp

        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=ROOM))

    def borrow(self):
        return self.session.get(UPSTREAM + "/chunk")

    async def use(self, response):
        pass

    async def ask(self, length_s):
        async with self.session.get("%s/%f" % (UPSTREAM, length_s)):  # culprit
            pass


class Aiomysql:
    async def open(self):
        import aiomysql

        port = int(os.environ["MYSQL_PORT"])
        self.pool = await aiomysql.create_pool(
            host="127.0.0.1", port=port, user="u", password="", minsize=ROOM, maxsize=ROOM
        )

    def borrow(self):
        return self.pool.acquire()

    async def use(self, connection):
        await connection.query("select 1")

    async def ask(self, length_s):
        async with self.pool.acquire() as connection:
            await connection.query("select sleep(%f)" % length_s)  # culprit


class Nothing:
    async def __aenter__(self):
        pass

    async def __aexit__(self, *_):
        pass


class Pymongo:
    async def open(self):
        import pymongo

        self.client = pymongo.AsyncMongoClient(
            "127.0.0.1", int(os.environ["MONGO_PORT"]), maxPoolSize=ROOM
        )
        await self.client.admin.command("ping")

    def borrow(self):
        return Nothing()

    async def use(self, _):
        await self.client.admin.command("ping", BRIEF_S)

    async def ask(self, length_s):
        await self.client.admin.command("ping", length_s)  # culprit


LIBRARIES = {
    "sqlalchemy-aiosqlite": lambda: SQLAlchemy("sqlite+aiosqlite://"),
    "sqlalchemy-asyncpg": lambda: SQLAlchemy("postgresql+asyncpg://" + DATABASE),
    "session-psycopg": lambda: Session("postgresql+psycopg://" + DATABASE),
    "asyncpg": Asyncpg, "psycopg": Psycopg, "redis": Redis, "httpx": Httpx, "aiohttp": Aiohttp,
    "aiomysql": Aiomysql, "pymongo": Pymongo,
}  # fmt: skip


async def slow_call(length_s):
    await asyncio.sleep(length_s)  # culprit


async def keep(all_hold, length_s):
    async with library.borrow() as one:
        await library.use(one)
        await all_hold()
        await slow_call(length_s)


async def ask(all_hold, length_s):
    await all_hold()
    await library.ask(length_s)


async def answer():
    due_ns = time.monotonic_ns()
    async with library.borrow() as one:
        await library.use(one)
        truth.served("task", due_ns, tid=0)


async def harmed():
    hold, culprit = (ask, library.ask) if STORY == "asked" else (keep, slow_call)
    facts, kept = await serve_in_tasks(answer)
    truth.ready(**facts)
    await harm_tasks_often("exhausted-connections", culprit, hold, PLACES, root=culprit.__name__)
    return kept


# --- harmless ---------------------------------------------------------------------------------


async def rotate():
    async with library.borrow() as one:
        await library.use(one)
        await asyncio.sleep(BRIEF_S)


async def rotating():
    facts, kept = await serve_in_tasks(rotate)
    truth.ready(**facts)
    await asyncio.Event().wait()
    return kept


async def job():
    async with library.borrow() as one:
        await library.use(one)
        await asyncio.sleep(JOB_S)


async def batch():
    truth.ready()
    while True:
        await asyncio.gather(*[job() for _ in range(12)])


async def no_matter():
    pass


async def roomy():
    facts, kept = await serve_in_tasks(answer)
    truth.ready(**facts)
    for length_s in truth.lengths(1.6, 3):
        await asyncio.sleep(FREE_S)
        await asyncio.gather(*[keep(no_matter, length_s) for _ in range(PLACES)])
    return kept


async def main():
    await library.open()
    await {"rotating": rotating, "batch": batch, "roomy": roomy}.get(STORY, harmed)()


library = LIBRARIES[LIBRARY]()
loop_under_test.run(main())
