"""A server of threads whose requests need a connection of SQLAlchemy's pool, in several ways; the
first line says the port. Its clients never rest.

Usage: connections.py STORY.
"""

import json
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

STORY = sys.argv[1]
HELD_S = 0.5
engine = create_engine(
    "sqlite://",
    poolclass=QueuePool,
    pool_size=2,
    max_overflow=1,
    connect_args={"check_same_thread": False},
)


def ask_model():
    time.sleep(HELD_S)


def query(db):
    db.execute(text("select 1"))


def held():
    """The connection is kept over a slow call."""
    with Session(engine) as db:
        query(db)
        ask_model()


def variable():
    """The same, and only a variable knows of it."""
    db = Session(engine)
    try:
        query(db)
        ask_model()
    finally:
        db.close()


def given_back():
    """It is given back before."""
    db = Session(engine)
    query(db)
    db.close()
    ask_model()


def nested():
    """Each has one, and wants another."""
    with engine.connect():
        both.wait()
        with engine.connect():
            pass


both = threading.Barrier(3)
LEAKED = [engine.connect() for _ in range(3)] if STORY == "leaked" else []


def leaked():
    """Somebody has kept them all."""
    with engine.connect() as connection:
        query(connection)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        STORIES[STORY]()
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args):
        pass


STORIES = {each.__name__: each for each in (held, variable, given_back, nested, leaked)}


def serve():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def ask():
        while True:
            urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/").read()

    for _ in range(3 if STORY == "nested" else 8):
        threading.Thread(target=ask, daemon=True).start()
    print(json.dumps({}), flush=True)
    server.serve_forever()


def batch():
    """A limit on purpose, in front of work that is awaited as a whole."""
    print(json.dumps({}), flush=True)
    while True:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: held(), range(24)))


batch() if STORY == "batch" else serve()
