"""Blocking calls: argv CALL[,CALL...] on-loop|in-threads|unseen [VICTIMS]. Python 3.8 syntax."""

import asyncio
import concurrent.futures
import contextlib
import fcntl
import functools
import http.server
import os
import queue
import select
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
import urllib.request

import loop_under_test

FOLDER = tempfile.mkdtemp()


def sleep(length_s):
    time.sleep(length_s)  # culprit


def lock(length_s):
    taken = threading.Lock()
    taken.acquire()
    taken.acquire(timeout=length_s)  # culprit


def rlock(length_s):
    taken, held = threading.RLock(), threading.Event()
    threading.Thread(target=hold, args=(taken, held, length_s)).start()
    held.wait()
    with taken:  # culprit
        pass


def hold(taken, held, length_s):
    with taken:
        held.set()
        time.sleep(length_s)


def condition(length_s):
    changed = threading.Condition()
    with changed:
        changed.wait(length_s)  # culprit


def event(length_s):
    happened = threading.Event()
    threading.Timer(length_s, happened.set).start()
    happened.wait()  # culprit


def queue_get(length_s):
    inbox = queue.Queue()
    threading.Timer(length_s, inbox.put, (1,)).start()
    inbox.get()  # culprit


def simple_queue_get(length_s):
    inbox = queue.SimpleQueue()
    threading.Timer(length_s, inbox.put, (1,)).start()
    inbox.get()  # culprit


@functools.lru_cache(None)
def pool():
    return concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix="helpers")


def future_result(length_s):
    pool().submit(time.sleep, length_s).result()  # culprit


def futures_wait(length_s):
    jobs = [pool().submit(time.sleep, length_s), pool().submit(time.sleep, length_s / 2)]
    concurrent.futures.wait(jobs)  # culprit


def thread_join(length_s):
    thread = threading.Thread(target=time.sleep, args=(length_s,))
    thread.start()
    thread.join()  # culprit


@functools.lru_cache(None)
def other_loop():
    loop = loop_under_test.new_loop()
    threading.Thread(target=loop.run_forever, daemon=True, name="other loop").start()
    return loop


def ask_other_loop(length_s):
    job = asyncio.run_coroutine_threadsafe(asyncio.sleep(length_s), other_loop())
    job.result()  # culprit


def subprocess_run(length_s):
    subprocess.run(["sleep", str(length_s)])  # culprit


def recv(length_s):
    ours, theirs = socket.socketpair()
    threading.Timer(length_s, theirs.send, (b"x",)).start()
    with ours, theirs:
        ours.recv(1)  # culprit


def connect(length_s):
    """To a server whose queue is full, so that the kernel drops what comes."""
    with socket.socket() as full, socket.socket() as first:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first.connect(full.getsockname())
        with contextlib.suppress(OSError):
            socket.create_connection(full.getsockname(), timeout=length_s)  # culprit


def accept(length_s):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = listener.getsockname()
        threading.Timer(length_s, lambda: socket.create_connection(address).close()).start()
        listener.accept()[0].close()  # culprit


def select_call(length_s):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        select.select([ours], [], [], length_s)  # culprit


def poll_call(length_s):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        poller = select.poll()
        poller.register(ours, select.POLLIN)
        poller.poll(length_s * 1000)  # culprit


class Slow(http.server.BaseHTTPRequestHandler):
    """Answers after as many seconds as the path says."""

    def do_GET(self):
        time.sleep(float(self.path[1:]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@functools.lru_cache(None)
def slow_server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True, name="slow server").start()
    return "http://127.0.0.1:%d" % server.server_address[1]


def requests_get(length_s):
    import requests

    requests.get("%s/%f" % (slow_server(), length_s))  # culprit


def urllib_open(length_s):
    urllib.request.urlopen("%s/%f" % (slow_server(), length_s)).read()  # culprit


def sqlite_busy(length_s):
    path, held = os.path.join(FOLDER, "db"), threading.Event()
    threading.Thread(target=hold_database, args=(path, held, length_s)).start()
    held.wait()
    connection = sqlite3.connect(path, timeout=20, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")  # culprit
    connection.close()


def hold_database(path, held, length_s):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    held.set()
    time.sleep(length_s)
    connection.close()


def file_fsync(length_s):
    """As a careful writer of a journal does it: line by line."""
    end = time.monotonic() + length_s
    with open(os.path.join(FOLDER, "journal"), "wb", buffering=0) as file:
        while time.monotonic() < end:
            file.write(b"x")  # culprit
            os.fsync(file.fileno())  # culprit


def file_lock(length_s):
    path = os.path.join(FOLDER, "lock")
    with open(path, "w") as theirs, open(path, "w") as ours:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        threading.Timer(length_s, fcntl.flock, (theirs, fcntl.LOCK_UN)).start()
        fcntl.flock(ours, fcntl.LOCK_EX)  # culprit


@functools.lru_cache(None)
def stdout_pipe():
    """Replaces our output by a pipe that nobody reads, and gives its other end."""
    reader, writer = os.pipe()
    os.dup2(writer, 1)
    return reader


def full_stdout(length_s):
    """Whoever should read our output does so late."""
    threading.Timer(length_s, drain, (stdout_pipe(), 100_001)).start()
    print("x" * 100_000, flush=True)  # culprit


def drain(fd, size):
    while size > 0:
        size -= len(os.read(fd, size))


def polling(length_s):
    done = []
    threading.Timer(length_s, done.append, (1,)).start()
    while not done:  # culprit
        time.sleep(0.01)  # culprit


def deep_stack(length_s, depth=400):
    if depth:
        deep_stack(length_s, depth - 1)
    else:
        time.sleep(length_s)  # culprit


CALLS = (
    sleep, lock, rlock, condition, event, queue_get, simple_queue_get, future_result, futures_wait,
    thread_join, ask_other_loop, subprocess_run, recv, connect, accept, select_call, poll_call,
    requests_get, urllib_open, sqlite_busy, file_fsync, file_lock, full_stdout, polling,
    deep_stack,
)  # fmt: skip

if __name__ == "__main__":
    calls = {call.__name__.replace("_", "-"): call for call in CALLS}
    loop_under_test.run_harm(calls, "blocked-loop")
