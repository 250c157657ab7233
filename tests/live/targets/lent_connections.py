"""Threads that have connections of pools and such that want one, in many ways; the first line tells
the truth of each. Python 3.8 syntax.

The pools are small ones of our own, in code that says it is a library's file. Says, by pool, its
class, its size, who waits, and who has its connections, how that can be known and the line where
it was taken.
"""

import contextlib
import json
import queue
import sys
import threading
import time

SITE = "/srv/venv/lib/python3/site-packages"


def library(file, source):
    """What that code defines, as if it were in that file."""
    names = {"threading": threading, "queue": queue}
    exec(compile(source, SITE + file, "exec"), names)
    return names


ALCHEMY = """
class Queue:
    def __init__(self, size):
        self.maxsize, self.queue, self.not_empty = size, [], threading.Condition()
    def get(self):
        with self.not_empty:
            while not self.queue:
                self.not_empty.wait(600)
            return self.queue.pop()
"""
IMPL = """
class QueuePool:
    def __init__(self, queue, more):
        self._pool, self._overflow, self._max_overflow = queue, -queue.maxsize, more
    def _do_get(self):
        if self._overflow >= self._max_overflow:
            return self._pool.get()
        self._overflow += 1
        return self._create_connection()
    def _create_connection(self):
        return object()

class _ConnectionFairy:
    __slots__ = ("_pool", "_connection_record")
    def __init__(self, pool):
        self._pool, self._connection_record = pool, pool._do_get()
    def use(self, function):
        function()
    def close(self):
        with self._pool._pool.not_empty:
            self._pool._pool.queue.append(self._connection_record)
        self._connection_record = None

class Connection:
    def __init__(self, pool):
        self._dbapi_connection = _ConnectionFairy(pool)
    def close(self):
        self._dbapi_connection.close()
    def __enter__(self):
        return self
    def __exit__(self, *args):
        self.close()
"""
URLLIB = """
class HTTPConnectionPool:
    def __init__(self, size):
        self.pool = queue.LifoQueue(size)
        for _ in range(size):
            self.pool.put(None)
    def urlopen(self, function):
        self._get_conn()
        self._make_request(function)
    def _get_conn(self):
        return self.pool.get(True, 600)
    def _make_request(self, function):
        function()

class HTTPResponse:
    def __init__(self, pool):
        self._pool, self._connection = pool, [pool._get_conn()]
    def release(self):
        self._connection = None
        self._pool.pool.put(None)
"""
Queue = library("/sqlalchemy/util/queue.py", ALCHEMY)["Queue"]
IMPL_NAMES = library("/sqlalchemy/pool/impl.py", IMPL)
URLLIB_NAMES = library("/urllib3/connectionpool.py", URLLIB)
Connection, Fairy = IMPL_NAMES["Connection"], IMPL_NAMES["_ConnectionFairy"]
POOLS = {}


class Case:
    def __init__(self, name, limit):
        self.told = {"class": name, "limit": limit, "waits": [], "holders": []}
        POOLS[name] = self.told

    def holds(self, how, line=None):
        self.told["holders"].append([threading.get_native_id(), how, line])

    def has(self, function):
        count = len(self.told["holders"])
        start(function)
        until(lambda: len(self.told["holders"]) > count)

    def wants(self, function):
        def wait():
            self.told["waits"].append(threading.get_native_id())
            function()

        count = len(self.told["waits"])
        start(wait)
        until(lambda: len(self.told["waits"]) > count)


def here():
    """The line after the one that asks."""
    return sys._getframe(1).f_lineno + 1


def start(function):
    threading.Thread(target=function, daemon=True).start()


def until(true):
    while not true():
        time.sleep(0.001)


def forever():
    time.sleep(600)


def of_a_database():
    case = Case("QueuePool", 6)
    pool = IMPL_NAMES["QueuePool"](Queue(4), 2)
    had = []

    def block():
        line = here()
        with Connection(pool):
            case.holds("with", line)
            forever()

    def function_of_blocks():
        @contextlib.contextmanager
        def scope():
            connection = Connection(pool)
            yield connection
            connection.close()

        line = here()
        with scope():
            case.holds("with", line)
            forever()

    def variable():
        connection = Connection(pool)
        case.holds("reach")
        forever()
        connection.close()

    def inner_function():
        connection = Connection(pool)
        case.holds("reach")
        use = lambda: (forever(), connection)  # noqa: E731
        use()

    def method():
        case.holds("frame")
        Fairy(pool).use(forever)

    def closed():
        connection, other = Connection(pool), Fairy(pool)
        connection.close()
        other.close()
        with Connection(pool):
            pass
        had.append(connection)
        forever()

    start(closed)
    until(lambda: had)
    for each in (block, function_of_blocks, variable, inner_function, method):
        case.has(each)
    KEPT.append(Connection(pool))  # nobody is known to have it
    for _ in range(2):
        case.wants(lambda: Connection(pool))


def of_http():
    case, pool = Case("HTTPConnectionPool", 2), URLLIB_NAMES["HTTPConnectionPool"](2)
    ended = []

    def request():
        case.holds("frame")
        pool.urlopen(forever)

    def response():
        read = URLLIB_NAMES["HTTPResponse"](pool)
        read.release()
        unread = URLLIB_NAMES["HTTPResponse"](pool)
        case.holds("reach")
        forever()
        unread.release()

    def read():
        got = URLLIB_NAMES["HTTPResponse"](pool)
        got.release()
        ended.append(got)
        forever()

    start(read)
    until(lambda: ended)
    case.has(request)
    case.has(response)
    case.wants(lambda: pool.urlopen(forever))


KEPT = []
of_a_database()
of_http()
time.sleep(0.3)  # for those that only begin to wait
print(json.dumps({"pools": POOLS}), flush=True)
time.sleep(600)
