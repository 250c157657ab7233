"""PostgreSQL, Redis, a slow HTTP service and more for the targets that need them: each is started once.

What a target gets is an environment variable for each, such as ``REDIS_PORT``.
"""

from __future__ import annotations

import argparse
import asyncio
import atexit
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from typing import TypeVar

from tests.accuracy.fake_databases import start_mongo, start_mysql
from waitspy_scenarios.serving.databases import POSTGRES, REDIS, start_postgres, start_redis
from waitspy_scenarios.serving.needs import Needs
from waitspy_scenarios.serving.stage import Stage

_T = TypeVar("_T")
_REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_BEGINNING = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok"


async def _start_upstream(_: Stage) -> int:
    """The port of a service that answers ``/SECONDS`` after so long, and ``/chunk`` never wholly."""
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, backlog=512)
    _KEPT.append(server)
    return int(server.sockets[0].getsockname()[1])


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            path = (await reader.readuntil(b"\r\n\r\n")).split()[1].strip(b"/")
            if path == b"chunk":
                writer.write(_BEGINNING)
            else:
                await asyncio.sleep(float(path))
                writer.write(_REPLY)
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass  # the target has closed it
    finally:
        writer.close()


_KEPT: list[asyncio.Server] = []
_SERVICES: Mapping[str, tuple[Callable[[Stage], Awaitable[int]], Mapping[str, str]]] = {
    "POSTGRES_PORT": (start_postgres, POSTGRES),
    "REDIS_PORT": (start_redis, REDIS),
    "UPSTREAM_PORT": (_start_upstream, {}),
    "MYSQL_PORT": (start_mysql, {}),
    "MONGO_PORT": (start_mongo, {}),
}
"""How each is started, and the commands that this takes, by its variable."""


class _Services:
    """Starts what is asked for, each once; all of it is stopped when the program ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ports: dict[str, Future[int]] = {}
        self._loop = asyncio.new_event_loop()
        self._stage = Stage(argparse.Namespace())
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def ports(self, names: Sequence[str]) -> dict[str, str]:
        """The ports of these services, once they are there."""
        with self._lock:
            if names and not self._ports:
                self._thread.start()
                atexit.register(self._stop)
            for name in names:
                if name not in self._ports:
                    self._ports[name] = self._do(self._start(name))
        return {name: str(self._ports[name].result()) for name in names}

    async def _start(self, name: str) -> int:
        return await _SERVICES[name][0](self._stage)

    def _stop(self) -> None:
        self._do(self._stage.__aexit__(None, None, None)).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _do(self, what: Coroutine[None, None, _T]) -> Future[_T]:
        return asyncio.run_coroutine_threadsafe(what, self._loop)


ports = _Services().ports


def missing(names: Sequence[str]) -> str | None:
    """Why these services cannot be started here; None when they can."""
    commands = {name: package for one in names for name, package in _SERVICES[one][1].items()}
    return Needs(commands=commands).missing()
