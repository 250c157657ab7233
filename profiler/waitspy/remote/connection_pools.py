"""Pools of connections of known libraries: who waits for one stands where, how many are lent, and
what leads to them from what a program holds.

All that a library needs are rows: one for its class of pools, and one for each class of objects
that keep a connection as long as they are open. What has given its connection back leads nowhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from waitspy.model.code_origin import base_name
from waitspy.model.connection_pools import PoolUse
from waitspy.model.stacks import Frame
from waitspy.remote.memory import Unreadable
from waitspy.remote.objects import Objects
from waitspy.remote.type_facts import TypeFacts


class PoolClass(NamedTuple):
    """A class whose instances lend connections, and the file of its code.

    Who waits for one stands in a function called like one of ``waits``. ``limit`` and ``lent`` are
    sums of attributes, each a number or the length of a collection, or how long it can become
    (``maxlen``); those in ``idle`` are not lent.
    ``uses`` are its methods in which a thread has a connection, or makes one, each with the
    function that it calls there (empty: any). ``line`` is the way to a deque in which its waiters
    stand, or to a list that is in their order (empty: they stand in none); a dict has several.
    """

    file: str
    name: str
    waits: str
    limit: str
    lent: str
    idle: str = ""
    uses: str = ""
    line: str = ""


OF_TASKS = (
    PoolClass("/asyncpg/pool.py", "Pool", "get", "_maxsize", "_holders",
              line="_queue._getters"),
    PoolClass("/aiohttp/connector.py", "BaseConnector", "_wait_for_available_connection",
              "_limit", "_acquired", "", "connect:_create_connection", "_waiters"),
    PoolClass("/httpcore/_async/connection_pool.py", "AsyncConnectionPool",
              "wait_for_connection", "_max_connections", "_connections", "",
              "handle_async_request:handle_async_request", "_requests"),
    PoolClass("/psycopg_pool/pool_async.py", "AsyncConnectionPool", "wait", "_max_size",
              "_nconns", "_pool", line="_waiting"),
    PoolClass("/redis/asyncio/connection.py", "BlockingConnectionPool", "wait",
              "max_connections", "_in_use_connections", "", "get_connection:ensure_connection",
              "_condition._waiters"),
    PoolClass("/aiomysql/pool.py", "Pool", "wait", "_free.maxlen", "_used",
              line="_cond._waiters"),
    PoolClass("/pymongo/asynchronous/pool.py", "Pool", "_async_cond_wait", "max_pool_size",
              "requests", "", "_get_conn:connect", "size_cond._waiters"),
)  # fmt: skip
"""Pools that tasks wait for, one row a library; files and attributes as of their releases of 2026.
"""

ADAPTED = PoolClass("/sqlalchemy/pool/impl.py", "AsyncAdaptedQueuePool", "",
                    "_pool._queue._maxsize _max_overflow", "_pool._queue._maxsize _overflow",
                    "_pool._queue._queue")  # fmt: skip
"""SQLAlchemy's of tasks: they wait for its queue, in a greenlet; what they have leads to it."""

OF_THREADS = (
    PoolClass("/sqlalchemy/pool/impl.py", "QueuePool", "_do_get", "_pool.maxsize _max_overflow",
              "_pool.maxsize _overflow", "_pool.queue", "_create_connection"),
    PoolClass("/psycopg_pool/pool.py", "ConnectionPool", "_getconn_unchecked getconn",
              "_max_size", "_nconns", "_pool", "_connect"),
    PoolClass("/redis/connection.py", "BlockingConnectionPool", "get_connection",
              "max_connections", "max_connections", "pool.queue", "get_connection:connect"),
    PoolClass("/urllib3/connectionpool.py", "HTTPConnectionPool", "_get_conn", "pool.maxsize",
              "pool.maxsize", "pool.queue", "_make_request _prepare_proxy"),
    PoolClass("/httpcore/_sync/connection_pool.py", "ConnectionPool", "handle_request",
              "_max_connections", "_connections", "", "handle_request:handle_request"),
    PoolClass("/pymongo/synchronous/pool.py", "Pool", "_get_conn", "max_pool_size", "requests",
              "", "_get_conn:connect"),
)  # fmt: skip
"""Pools that threads wait for."""


class _Client(NamedTuple):
    """Methods of a client in which it uses a connection of the pool that is its attribute."""

    file: str
    methods: str
    calls: str
    pool: str


_CLIENTS = (
    _Client(
        "/redis/client.py", "_execute_command execute_command", "call_with_retry", "connection_pool"
    ),
    _Client("/redis/asyncio/client.py", "execute_command", "call_with_retry", "connection_pool"),
)

_POOL_NAMES = frozenset(row.name for row in (*OF_TASKS, *OF_THREADS))


class _Keeps(NamedTuple):
    """By which attributes an object leads to the pool that lent it something.

    It has given that back where the attribute ``open`` is None or missing, or ``closed`` is true.
    """

    attributes: frozenset[str]
    open: str = ""
    closed: str = ""


def _keeps(attributes: str, open_: str = "", closed: str = "") -> _Keeps:
    return _Keeps(frozenset(attributes.split()), open_, closed)


_KEEPS: Mapping[str, _Keeps] = {
    # SQLAlchemy: a session has only those connections that it has not given back
    "AsyncSession": _keeps("sync_session"),
    "Session": _keeps("_transaction"),
    "SessionTransaction": _keeps("_connections _parent"),
    "AsyncConnection": _keeps("sync_connection"),
    "AsyncTransaction": _keeps("connection sync_transaction"),
    "Transaction": _keeps("connection"),
    "_ConnectionFairy": _keeps("_pool", "_connection_record"),
    "AsyncAdaptedQueuePool": _keeps("_pool"),
    "AsyncAdaptedQueue": _keeps("_queue"),
    # SQLAlchemy's, psycopg's and aiohttp's are called alike; a closed one has none of these
    "Connection": _keeps("_dbapi_connection _pool _connector"),
    "BaseConnection": _keeps("_pool"),
    # asyncpg; aiomysql
    "PoolAcquireContext": _keeps("pool"),
    "PoolConnectionProxy": _keeps("_holder"),
    "PoolConnectionHolder": _keeps("_pool"),
    "_PoolAcquireContextManager": _keeps("_pool"),
    # aiohttp; a response that was read has no connection
    "_BaseRequestContextManager": _keeps("_resp"),
    "ClientWebSocketResponse": _keeps("_response"),
    "ClientResponse": _keeps("_connection"),
    # requests and urllib3; httpx and httpcore
    "Response": _keeps("raw stream"),
    "HTTPResponse": _keeps("_pool", "_connection"),
    "BoundSyncStream": _keeps("_stream"),
    "BoundAsyncStream": _keeps("_stream"),
    "ResponseStream": _keeps("_httpcore_stream"),
    "AsyncResponseStream": _keeps("_httpcore_stream"),
    "PoolByteStream": _keeps("_pool", closed="_closed"),
    # pymongo, of 4.20; older ones keep it in a generator
    "_ClientCheckout": _keeps("_pool_checkout"),
    "_PoolCheckout": _keeps("_pool", "_conn"),
    # redis
    "PubSub": _keeps("connection_pool", "connection"),
    "Pipeline": _keeps("connection_pool", "connection"),
    "Redis": _keeps("connection_pool", "connection"),
}
"""Classes of objects that keep a connection, by the names of theirs or of their bases."""

_LIBRARIES = (
    "/sqlalchemy/", "/psycopg/", "/psycopg_pool/", "/redis/", "/urllib3/", "/requests/", "/httpx/",
    "/httpcore/", "/pymongo/", "/asyncpg/", "/aiohttp/", "/aiomysql/",
)  # fmt: skip
"""Where the code of these classes lies."""

_WAITING = "/threading.py", "/queue.py"
_MOST_OF_DEQUE = "maxlen"
_STEPS = 10
_MOST_LINES = 256  # of one pool: others are not told apart
_MOST_ITEMS = 16  # of a collection on that way
_MOST_FRAMES = 8  # from where a thread waits to the pool


class ConnectionPools:
    """Reads pools of connections of one process, and what leads to them.

    Raises:
        Unreadable: from every method, unless it says that it gives None.
        OSError: from every method.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def _names(self, kind: TypeFacts) -> list[str]:
        return [self._objects.type_at(base).name for base in kind.mro]

    # --- who waits for one, and who uses one ----------------------------------------------

    def waited_for(self, stack: Sequence[Frame], firsts: Sequence[int]) -> int | None:
        """The pool for whose connection a thread waits that has this stack, innermost first, with
        the first local of each frame; None: for no such pool.
        """
        if not stack or not is_wait(stack[0]):
            return None
        for frame, first in zip(stack, firsts, strict=True):
            if any(_is(frame, row.file, *row.waits.split()) for row in OF_THREADS):
                return first if self._is_of(first, frame) else None
            if not (frame.rooted.endswith(_WAITING) or self.is_library(frame)):
                return None
        return None

    def uses(self, frame: Frame, inner: Frame | None) -> bool:
        """Whether a thread uses a connection that stands in such a method of a pool, or of its
        client, and calls ``inner`` there.
        """
        called = None if inner is None else base_name(inner.function)
        return any(
            _is(frame, row.file, use.partition(":")[0]) and use.partition(":")[2] in {"", called}
            for row in (*OF_TASKS, *OF_THREADS)
            for use in row.uses.split()
        ) or any(
            _is(frame, client.file, *client.methods.split()) and called == client.calls
            for client in _CLIENTS
        )

    def used(self, frame: Frame, selves: Iterable[int]) -> int | None:
        """The pool whose connection is used there: one of ``selves``, or what that one asks."""
        for one in selves:
            if self._is_of(one, frame):
                return one
            for client in _CLIENTS:
                with contextlib.suppress(Unreadable, KeyError):
                    if frame.rooted.endswith(client.file):
                        return self._objects.attributes(one, {client.pool})[client.pool]
        return None

    def _is_of(self, address: int, frame: Frame) -> bool:
        """Whether it is a pool whose code a frame runs."""
        with contextlib.suppress(Unreadable):
            names = self._objects.bases(address)
            return any(
                row.name in names and frame.rooted.endswith(row.file)
                for row in (*OF_TASKS, *OF_THREADS)
            )
        return False

    # --- what leads to one ----------------------------------------------------------------

    def may_keep(self, kind: TypeFacts | None) -> bool:
        """Whether objects of that type may keep a connection."""
        return kind is not None and kind.heap and not _KEEPS.keys().isdisjoint(self._names(kind))

    def is_library(self, frame: Frame) -> bool:
        """Whether it is code of the classes that keep connections."""
        return any(folder in frame.rooted for folder in _LIBRARIES)

    def behind(self, held: int) -> Iterator[tuple[int, int]]:
        """What an object leads to on the way to the pool that has lent it a connection, the pool
        included; each with what leads there: of the pool, that is the connection.
        """
        left, seen = [held], {held}
        for _ in range(_STEPS):
            found: list[tuple[int, int]] = []
            for address in left:
                with contextlib.suppress(Unreadable):
                    found += [(one, address) for one in self._next(address)]
            found = [one for one in found if one[0] not in seen]
            left = list(dict.fromkeys(address for address, _ in found))
            seen.update(left)
            yield from found

    def lent(self, held: int) -> Iterator[tuple[int, int]]:
        """The pools among these, each with the connection that leads there."""
        for pool, connection in self.behind(held):
            if self.is_pool(pool):
                yield pool, connection

    def is_pool(self, address: int) -> bool:
        """Whether its class is called like one of these pools; who is in its block has none of its
        connections for that.
        """
        with contextlib.suppress(Unreadable):
            return not _POOL_NAMES.isdisjoint(self._objects.bases(address))
        return False

    def is_adapted(self, address: int) -> bool:
        """Whether it is SQLAlchemy's pool of tasks."""
        with contextlib.suppress(Unreadable):
            return ADAPTED.name in self._objects.bases(address)
        return False

    def _next(self, address: int) -> list[int]:
        kind = self._objects.type_of(address)
        if kind.name == "tuple":
            return self._objects.sequence(address, _MOST_ITEMS)
        if kind.name == "dict":
            return [value for _, value in self._objects.dict_items(address, _MOST_ITEMS)]
        rows = [_KEEPS[name] for name in self._names(kind) if name in _KEEPS]
        return [one for row in rows for one in self._kept(address, row)]

    def _kept(self, address: int, row: _Keeps) -> list[int]:
        wanted = row.attributes | ({row.open, row.closed} - {""})
        found = self._objects.attributes(address, wanted)
        if row.open and (row.open not in found or self._is_none(found[row.open])):
            return []
        if row.closed and (row.closed not in found or self._objects.integer(found[row.closed])):
            return []
        return [value for name, value in found.items() if name in row.attributes]

    def _is_none(self, address: int) -> bool:
        return self._objects.type_of(address).name == "NoneType"

    # --- who waits for one ----------------------------------------------------------------

    def lines(self, pool: int) -> list[int]:
        """Where those who wait for a connection stand in line, such as one for each host; empty:
        they stand in none.
        """
        names = self._objects.bases(pool)
        ways = [row.line for row in OF_TASKS if row.name in names and row.line]
        found = next((at for way in ways if (at := self._at(pool, way))), 0)
        if found and "dict" in self._names(self._objects.type_of(found)):
            return [line for _, line in self._objects.dict_items(found, _MOST_LINES)]
        return [found] if found else []

    # --- how many are lent ----------------------------------------------------------------

    def use(self, pool: int, rows: Sequence[PoolClass]) -> PoolUse | None:
        """The class of a pool, its limit, and how many of its connections are lent; None: it
        cannot be read.
        """
        try:
            name, names = self._objects.type_of(pool).name, self._objects.bases(pool)
            for row in rows:
                if row.name in names and (use := self._use(pool, row, name)) is not None:
                    return use
        except Unreadable:
            pass
        return None

    def _use(self, pool: int, row: PoolClass, name: str) -> PoolUse | None:
        limit, lent, idle = (self._sum(pool, part) for part in (row.limit, row.lent, row.idle))
        if limit is None:
            return None
        if lent is not None:
            lent = max(0, lent - (idle or 0))
        known = lent is not None and lent < 1 << 31
        return PoolUse(name, limit if 0 < limit < 1 << 31 else None, lent if known else None)

    def _sum(self, pool: int, paths: str) -> int | None:
        """What these attributes come to; None where one is none, or no number."""
        total = 0
        for path in paths.split():
            address = self._at(pool, path)
            counts = self._longest if path.endswith(_MOST_OF_DEQUE) else self._count
            count = None if address is None else counts(address)
            if count is None:
                return None
            total += count
        return total

    def _at(self, address: int, path: str) -> int | None:
        """Where those attributes lead, one after the other; None: one is missing."""
        for name in path.split("."):
            if name == _MOST_OF_DEQUE:
                break
            found = self._objects.attributes(address, {name}).get(name)
            if found is None:
                return None
            address = found
        return address

    def _longest(self, address: int) -> int | None:
        """How many a deque takes at the most; None: any number, or it is none. That comes after its
        counter (Modules/_collectionsmodule.c, the same from 3.8 to 3.15).
        """
        if self._objects.type_of(address).name != "collections.deque":
            return None
        size = self._objects.memory.word(address + self._objects.layout.deque_state + 8)
        return size if size < 1 << 31 else None

    def _count(self, address: int) -> int | None:
        """How many there are in a collection, or the number itself."""
        lay = self._objects.layout
        kind = self._objects.type_of(address).name
        if kind == "int":
            return self._objects.integer(address)
        if kind in {"list", "tuple", "collections.deque"}:
            size = self._objects.memory.word(address + lay.ob_size)
        elif kind == "set":
            size = self._objects.memory.word(address + lay.set_used)
        elif kind == "dict":
            size = self._objects.memory.word(address + lay.dict_used)
        else:
            return None
        return size if size < 1 << 31 else None


def is_wait(frame: Frame) -> bool:
    """Whether a thread whose innermost frame it is waits for a signal."""
    return _is(frame, "/threading.py", "wait")


def _is(frame: Frame, file: str, *names: str) -> bool:
    return frame.rooted.endswith(file) and base_name(frame.function) in names
