"""A pool of connections of a library that threads share: argv LIBRARY STORY.

held: all its connections are kept over a slow call, which requests need; variable: the same, where
nothing but a variable has them; asked: each is in use for a slow question. nested: each of those
who have one wants another. Harmless: rotating: all are in use all the time, each for a moment;
batch: a limit on purpose in front of jobs that are awaited as a whole; roomy: there is one more
than those that are kept.
"""

import contextlib
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import truth
from together import FREE_S, NEVER, harm_often, serve_in_threads, start

LIBRARY, STORY = sys.argv[1:]
PLACES = 2
ROOM = PLACES + (STORY == "roomy")
JOB_S = 0.6
BRIEF_S = 0.01
UPSTREAM = "http://127.0.0.1:" + os.environ.get("UPSTREAM_PORT", "0")
DATABASE = "postgres@127.0.0.1:" + os.environ.get("POSTGRES_PORT", "0") + "/postgres"


class SQLAlchemy:
    def __init__(self, url="sqlite://", **options):
        from sqlalchemy import create_engine, text
        from sqlalchemy.pool import QueuePool

        self.one = text("select 1")
        self.slow = lambda length_s: text("select pg_sleep(%f)" % length_s)
        self.engine = create_engine(
            url, poolclass=QueuePool, pool_size=ROOM - 1, max_overflow=1, pool_timeout=60, **options
        )

    def borrow(self):
        return self.engine.connect()  # culprit

    def use(self, connection):
        connection.execute(self.one)

    def ask(self, length_s):
        with self.engine.connect() as connection:
            connection.execute(self.slow(length_s))  # culprit


class Session(SQLAlchemy):
    def borrow(self):
        from sqlalchemy.orm import Session

        session = Session(self.engine)
        self.use(session)
        return session


class Psycopg:
    def __init__(self):
        from psycopg_pool import ConnectionPool

        self.pool = ConnectionPool(
            "postgresql://" + DATABASE, min_size=ROOM, max_size=ROOM, timeout=60, open=True
        )
        self.pool.wait()

    def borrow(self):
        return self.pool.connection()

    def use(self, connection):
        connection.execute("select 1")

    def ask(self, length_s):
        with self.pool.connection() as connection:
            connection.execute("select pg_sleep(%f)" % length_s)  # culprit


class Redis:
    def __init__(self):
        import redis

        pool = redis.BlockingConnectionPool(
            host="127.0.0.1", port=int(os.environ["REDIS_PORT"]), max_connections=ROOM, timeout=60
        )
        self.client = redis.Redis(connection_pool=pool)

    def borrow(self):
        pipeline = self.client.pipeline()
        pipeline.watch("key")
        return pipeline

    def use(self, pipeline):
        pipeline.get("key")

    def ask(self, length_s):
        self.client.blpop(["nothing"], timeout=length_s)  # culprit


class Requests:
    def __init__(self):
        import requests
        from requests.adapters import HTTPAdapter

        self.session = requests.Session()
        self.session.trust_env = False
        self.session.mount("http://", HTTPAdapter(pool_maxsize=ROOM, pool_block=True))

    def borrow(self):
        return self.session.get(UPSTREAM + "/0", stream=True)

    def use(self, response):
        response.iter_content(1)

    def ask(self, length_s):
        self.session.get("%s/%f" % (UPSTREAM, length_s))  # culprit


class Httpx:
    def __init__(self):
        import httpx

        limits = httpx.Limits(max_connections=ROOM)
        self.client = httpx.Client(limits=limits, timeout=60, trust_env=False)

    def borrow(self):
        return self.client.stream("GET", UPSTREAM + "/0")

    def use(self, response):
        pass

    def ask(self, length_s):
        self.client.get("%s/%f" % (UPSTREAM, length_s))  # culprit


class Pymongo:
    def __init__(self):
        import pymongo

        self.client = pymongo.MongoClient(
            "127.0.0.1", int(os.environ["MONGO_PORT"]), maxPoolSize=ROOM
        )
        self.client.admin.command("ping")

    def borrow(self):
        return contextlib.nullcontext()

    def use(self, _):
        self.client.admin.command("ping", BRIEF_S)

    def ask(self, length_s):
        self.client.admin.command("ping", length_s)  # culprit


LIBRARIES = {
    "sqlalchemy": lambda: SQLAlchemy(connect_args={"check_same_thread": False}),
    "session": lambda: Session(connect_args={"check_same_thread": False}),
    "sqlalchemy-postgres": lambda: SQLAlchemy("postgresql+psycopg://" + DATABASE),
    "psycopg": Psycopg, "redis": Redis, "requests": Requests, "httpx": Httpx, "pymongo": Pymongo,
}  # fmt: skip


def slow_call(length_s):
    time.sleep(length_s)  # culprit


def keep(all_hold, length_s):
    with library.borrow() as one:
        library.use(one)
        all_hold()
        slow_call(length_s)


def keep_in_variable(all_hold, length_s):
    one = library.borrow()
    try:
        library.use(one)
        all_hold()
        slow_call(length_s)
    finally:
        one.close()


def ask(all_hold, length_s):
    all_hold()
    library.ask(length_s)


def answer():
    due_ns = time.monotonic_ns()
    with library.borrow() as one:
        library.use(one)
        truth.served("thread", due_ns, tid=0)


def harmed():
    hold = {"variable": keep_in_variable, "asked": ask}.get(STORY, keep)
    culprit = library.ask if STORY == "asked" else slow_call
    truth.ready(**serve_in_threads(answer))
    harm_often("exhausted-connections", culprit, hold, PLACES, root=culprit.__name__)


def take_another(all_have):
    with library.borrow() as one:
        library.use(one)
        all_have.wait()
        with library.borrow():  # culprit
            pass


def nested():
    facts = serve_in_threads(answer)
    truth.ready(**facts)
    time.sleep(1.5)
    all_have = threading.Barrier(PLACES + 1)
    for _ in range(PLACES):
        start(take_another, all_have)
    all_have.wait()
    both = (take_another, library.borrow)
    truth.begin("deadlock", both, tid=0, root="take_another|borrow")
    truth.waits("thread", time.monotonic_ns(), None, tid=0)
    NEVER.wait()


# --- harmless ---------------------------------------------------------------------------------


def rotate():
    with library.borrow() as one:
        library.use(one)
        time.sleep(BRIEF_S)


def rotating():
    truth.ready(**serve_in_threads(rotate))
    NEVER.wait()


def job(_):
    with library.borrow() as one:
        library.use(one)
        time.sleep(JOB_S)


def batch():
    truth.ready()
    while True:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(job, range(12)))


def roomy():
    truth.ready(**serve_in_threads(answer))
    for length_s in truth.lengths(0.3):
        time.sleep(FREE_S)
        keepers = [start(keep, lambda: None, length_s) for _ in range(PLACES)]
        for keeper in keepers:
            keeper.join()


library = LIBRARIES[LIBRARY]()
{"nested": nested, "rotating": rotating, "batch": batch, "roomy": roomy}.get(STORY, harmed)()
