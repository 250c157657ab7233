"""A server in which everything is used, and nothing is wrong; its first line says its port.

Each request goes through pools of threads and of processes, locks and semaphores of threads and of
tasks, queues, and pools of connections to databases and to another service. All of that is busy all
the time, some of it at its limit, and nobody has to wait for long.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import os
import queue
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import psycopg_pool
import redis
import requests
import sqlalchemy
from redis import asyncio as async_redis
from requests.adapters import HTTPAdapter
from sqlalchemy.ext.asyncio import create_async_engine

BRIEF_S = 0.003
UPSTREAM = f"http://127.0.0.1:{os.environ['UPSTREAM_PORT']}/{BRIEF_S}"
DATABASE = f"postgres@127.0.0.1:{os.environ['POSTGRES_PORT']}/postgres"
REDIS_PORT = int(os.environ["REDIS_PORT"])
ONE = sqlalchemy.text("select 1")


class Threads:
    """What threads share."""

    def __init__(self) -> None:
        self.lock, self.again = threading.Lock(), threading.RLock()
        self.places, self.changed = threading.Semaphore(2), threading.Condition()
        self.jobs: queue.Queue[tuple[Callable[[], None], threading.Event]] = queue.Queue()
        self.engine = sqlalchemy.create_engine(
            f"postgresql+psycopg://{DATABASE}", pool_size=2, max_overflow=1
        )
        self.database = psycopg_pool.ConnectionPool(f"postgresql://{DATABASE}", min_size=2)
        self.cache = redis.Redis(
            connection_pool=redis.BlockingConnectionPool(2, host="127.0.0.1", port=REDIS_PORT)
        )
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.mount("http://", HTTPAdapter(pool_maxsize=2, pool_block=True))
        for _ in range(2):
            threading.Thread(target=self._work, daemon=True).start()
        threading.Thread(target=self._expect, daemon=True).start()
        threading.Thread(target=threading.Event().wait, daemon=True).start()

    def _work(self) -> None:
        while True:
            function, done = self.jobs.get()
            function()
            done.set()

    def _expect(self) -> None:
        while True:
            with self.changed:
                self.changed.wait()

    def _nap(self) -> None:
        time.sleep(BRIEF_S)

    def answer(self) -> None:
        """Uses all of it, one after the other."""
        with self.lock, self.again, self.again:
            time.sleep(BRIEF_S / 3)
        with self.places:
            time.sleep(BRIEF_S)
        with self.changed:
            self.changed.notify_all()
        done = threading.Event()
        self.jobs.put((self._nap, done))
        done.wait()
        with self.engine.connect() as connection:
            connection.execute(ONE)
        with self.database.connection() as direct:
            direct.execute("select 1")
        self.cache.set("key", "value")
        self.session.get(UPSTREAM).close()


class Tasks:
    """What tasks share."""

    def __init__(self) -> None:
        self.lock, self.places = asyncio.Lock(), asyncio.Semaphore(2)
        self.changed, self.stopping = asyncio.Condition(), asyncio.Event()
        self.jobs: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue(4)
        self.engine = create_async_engine(
            f"postgresql+psycopg://{DATABASE}", pool_size=2, max_overflow=1
        )
        self.cache = async_redis.Redis(
            connection_pool=async_redis.BlockingConnectionPool(2, host="127.0.0.1", port=REDIS_PORT)
        )
        self.client = httpx.AsyncClient(
            limits=httpx.Limits(max_connections=2), trust_env=False, timeout=60
        )
        beside = (self._work(), self._work(), self._expect(), self.stopping.wait())
        self.kept = [asyncio.ensure_future(one) for one in beside]

    async def _work(self) -> None:
        while True:
            future = await self.jobs.get()
            await asyncio.sleep(BRIEF_S)
            if not future.done():
                future.set_result(None)

    async def _expect(self) -> None:
        while True:
            async with self.changed:
                await self.changed.wait()

    async def answer(self) -> None:
        """Uses all of it, one after the other."""
        async with self.lock:
            await asyncio.sleep(BRIEF_S / 3)
        async with self.places:
            await asyncio.sleep(BRIEF_S)
        async with self.changed:
            self.changed.notify_all()
        future = asyncio.get_running_loop().create_future()
        await self.jobs.put(future)
        await future
        async with self.engine.connect() as connection:
            await connection.execute(ONE)
        await self.cache.set("key", "value")
        await self.client.get(UPSTREAM)


def in_a_process(number: int) -> int:
    """A little work for another process."""
    return sum(n * n for n in range(number))


async def answer_all(
    threads: Threads, tasks: Tasks, processes: concurrent.futures.Executor
) -> None:
    """What a request is answered with."""
    loop = asyncio.get_running_loop()
    pieces: list[Awaitable[Any]] = [
        tasks.answer(),
        loop.run_in_executor(None, threads.answer),
        loop.run_in_executor(processes, in_a_process, 1000),
    ]
    await asyncio.gather(*pieces)


async def main() -> None:
    """Serves for ever."""
    threads, tasks = Threads(), Tasks()
    processes = concurrent.futures.ProcessPoolExecutor(2)
    loop = asyncio.get_running_loop()
    loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(4))
    for _ in range(8):  # what is made at the first use is there
        await answer_all(threads, tasks, processes)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            await answer_all(threads, tasks, processes)
            writer.write(b"answer\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await tasks.stopping.wait()


if __name__ == "__main__":
    asyncio.run(main())
