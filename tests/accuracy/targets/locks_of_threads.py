"""A lock of threads that somebody holds, and others want: argv STORY LOCK [CALL]. Python 3.8 syntax.

held: over a slow CALL. two: its holder waits for a second one, which is held over a slow call.
requests: all places of a semaphore are held, which requests need. Harmless: handed: many want it,
and each keeps it for a moment; batch: a limit on purpose in front of jobs that are awaited as a
whole; leaders: whoever has it waits for a message, the others are next; unwanted: it is held over
slow calls while nobody wants it; parties: threads meet at a barrier; signals: threads wait for a
condition that comes now and then; brief: it is held for less than counts.
"""

import concurrent.futures
import itertools
import logging
import queue
import socket
import subprocess
import sys
import threading
import time

import truth
from together import FREE_S, NEVER, harm_often, serve_in_threads, start, want

STORY, LOCK, CALL = [*sys.argv[1:], "sleep"][:3]
POOL = concurrent.futures.ThreadPoolExecutor(2)


class ByHand:
    """An RLock that is taken without a ``with`` block."""

    def __init__(self):
        self.lock = threading.RLock()

    def __enter__(self):
        self.lock.acquire()

    def __exit__(self, *_):
        self.lock.release()


class Logged(logging.Handler):
    """What is held while a handler of logging is slow: its own lock."""

    def emit(self, record):
        if record.args:
            call(*record.args)


class Logging:
    """Who wants to log, enters."""

    def __init__(self):
        self.log = logging.getLogger("target")
        self.log.addHandler(Logged())
        self.log.propagate = False

    def __enter__(self):
        self.log.warning("quick")

    def __exit__(self, *_):
        pass


LOCKS = {
    "lock": threading.Lock, "rlock": threading.RLock, "condition": threading.Condition,
    "semaphore": lambda: threading.BoundedSemaphore(2), "rlock-by-hand": ByHand,
    "logging": Logging,
}  # fmt: skip


def background(length_s):
    time.sleep(length_s)


def by_sleep(length_s):
    time.sleep(length_s)  # culprit


def by_socket(length_s):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        threading.Timer(length_s, theirs.send, (b"reply",)).start()
        ours.recv(10)  # culprit


def by_join(length_s):
    start(background, length_s).join()  # culprit


def by_future(length_s):
    POOL.submit(background, length_s).result()  # culprit


def by_program(length_s):
    subprocess.run(["sleep", str(length_s)], check=True)  # culprit


def by_computing(length_s):
    until = time.monotonic() + length_s
    while time.monotonic() < until:
        pow(7, 100_000)  # culprit


CALLS = {
    "sleep": by_sleep, "socket": by_socket, "join": by_join, "future": by_future,
    "program": by_program, "computing": by_computing,
}  # fmt: skip
call = CALLS[CALL]
ROOT = "background" if CALL in {"join", "future"} else call.__name__


def hold(lock, length_s):
    if LOCK == "logging":
        lock.log.warning("slow %s", length_s)
    else:
        with lock:
            call(length_s)


def held():
    lock = LOCKS[LOCK]()
    for _ in range(3):
        start(want, lock)
    truth.ready()
    for length_s in truth.lengths(0.2):
        time.sleep(FREE_S)
        number = truth.begin("held-lock", call, tid=0, root=ROOT)
        hold(lock, length_s)
        truth.end(number)


def take_both(lock, other):
    with lock:
        with other:  # culprit
            pass


def two():
    lock, other = LOCKS[LOCK](), threading.Lock()
    for _ in range(3):
        start(want, lock)
    truth.ready()
    for length_s in truth.lengths(0.3):
        time.sleep(FREE_S)
        number = truth.begin("held-lock", (take_both, call), tid=0, root=ROOT)
        with other:
            middle = start(take_both, lock, other)
            call(length_s)
        middle.join()
        truth.end(number)


def requests():
    limit = LOCKS[LOCK]()

    def answer():
        due_ns = time.monotonic_ns()
        with limit:
            truth.served("thread", due_ns, tid=0)

    def keep(all_hold, length_s):
        with limit:
            all_hold()
            call(length_s)

    truth.ready(**serve_in_threads(answer))
    harm_often("held-lock", call, keep, 2, root=ROOT)


# --- harmless ---------------------------------------------------------------------------------


def handed_on(lock):
    while True:
        with lock:
            time.sleep(0.005)


def brief(lock):
    for length_s in itertools.cycle([0.05, 0.07, 0.085]):
        with lock:
            time.sleep(length_s)
        time.sleep(0.05)


def lead(lock, inbox):
    while True:
        with lock:
            inbox.get()


def occupy(lock):
    for length_s in truth.lengths():
        with lock:
            time.sleep(length_s)


def meet(barrier, length_s):
    while True:
        barrier.wait()
        time.sleep(length_s)


def expect(condition):
    while True:
        with condition:
            condition.wait()


def signal(condition):
    while True:
        time.sleep(0.4)
        with condition:
            condition.notify_all()


def job(limit):
    with limit:
        time.sleep(0.6)


def batch():
    limit = LOCKS[LOCK]()
    truth.ready()
    while True:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(job, [limit] * 12))


def harmless():
    """The threads of a story in which nobody is harmed."""
    lock, inbox = LOCKS[LOCK](), queue.Queue()
    threads = {
        "handed": [(handed_on, lock)] * 6,
        "leaders": [(lead, lock, inbox)] * 4,
        "unwanted": [(occupy, LOCKS[LOCK]()) for _ in range(3)],
        "signals": [(expect, lock)] * 4 + [(signal, lock)],
        "brief": [(brief, lock), (want, lock)],
    }
    barrier = threading.Barrier(3)
    threads["parties"] = [(meet, barrier, length_s) for length_s in (0.1, 0.2, 0.9)]
    for one in threads[STORY]:
        start(*one)
    truth.ready()
    NEVER.wait()


{"held": held, "two": two, "requests": requests, "batch": batch}.get(STORY, harmless)()
