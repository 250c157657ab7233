"""A server whose threads want connections that suspended requests keep: they are taken in a
dependency, and given back only once the answer is sent; the first line says the port.
"""

import asyncio
import contextlib
import json
import socket
import threading

from anyio import to_thread
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

engine = create_engine(
    "sqlite://",
    poolclass=QueuePool,
    pool_size=2,
    max_overflow=1,
    connect_args={"check_same_thread": False},
)


@contextlib.contextmanager
def get_db():
    db = Session(engine)
    try:
        yield db
    finally:
        db.close()


@contextlib.asynccontextmanager
async def in_thread(manager):
    """As frameworks enter a dependency that is no coroutine."""
    yield await to_thread.run_sync(manager.__enter__)
    await to_thread.run_sync(manager.__exit__, None, None, None)


def query(db):
    db.execute(text("select 1"))


async def answer(reader, writer):
    await reader.readline()
    async with contextlib.AsyncExitStack() as stack:
        db = await stack.enter_async_context(in_thread(get_db()))
        await to_thread.run_sync(query, db)
        del db
        writer.write(b"slowly\n")
        await reader.readline()  # the client takes its time


async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    def ask():
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"ask\n")
            client.recv(100)
            threading.Event().wait()

    for _ in range(6):
        threading.Thread(target=ask, daemon=True).start()
    await asyncio.sleep(0.3)
    print(json.dumps({}), flush=True)
    await asyncio.sleep(600)


asyncio.run(main())
