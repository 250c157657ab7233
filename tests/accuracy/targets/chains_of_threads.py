"""Threads whose chains of waits go through queues, C code and asgiref: argv STORY. Python 3.8 syntax.

consumer: who holds a lock waits for room in a queue, whose consumer is slow. mutex: a lock of C code
is held over a slow call; mutexes: each of two threads has one, and wants the other's. asgiref: a
lock is held over ``async_to_sync`` of a slow coroutine; alone: a thread waits for a coroutine that
awaits a call which that thread alone may make. taken: a lock is held over a slow call by who has
called its ``acquire``.
Harmless: filling: threads wait for room in queues all the time, and hold nothing; handed: a lock of
C code goes from hand to hand; serves: a thread makes the calls of the coroutine that it waits for;
passed: a lock that is taken by ``acquire`` goes from hand to hand.
"""

import asyncio
import ctypes
import queue
import sys
import threading
import time

import truth
from together import FREE_S, NEVER, harm, start

STORY = sys.argv[1]
LATER_S = 1.5


class Mutex:
    """A ``pthread_mutex_t``; ctypes gives the GIL away in its calls."""

    def __init__(self):
        self.libc = ctypes.CDLL(None)
        self.mutex = ctypes.create_string_buffer(64)
        self.libc.pthread_mutex_init(self.mutex, None)

    def __enter__(self):
        self.libc.pthread_mutex_lock(self.mutex)

    def __exit__(self, *_):
        self.libc.pthread_mutex_unlock(self.mutex)


def wait_for_ever(culprit):
    truth.begin("deadlock", culprit, tid=0, root=culprit.__name__)
    truth.waits("thread", time.monotonic_ns(), None, tid=0)


# --- queues -----------------------------------------------------------------------------------


class Consumer:
    def __init__(self):
        self.queue = queue.Queue(1)
        start(self.run)

    def run(self):
        while True:
            self.handle(self.queue.get())

    def handle(self, length_s):
        time.sleep(length_s)


def consumer():
    taker = Consumer()

    def fill(length_s):
        for each_s in (length_s, 0, 0):
            taker.queue.put(each_s)  # culprit

    harm(threading.Lock(), fill, fill, "handle")


def fill_on(taker):
    while True:
        taker.queue.put(0.6)


def filling():
    takers = [Consumer() for _ in range(3)]
    for taker in takers * 2:
        start(fill_on, taker)
    truth.ready()
    NEVER.wait()


# --- C code -----------------------------------------------------------------------------------


def slow_call(length_s):
    time.sleep(length_s)  # culprit


def mutex():
    harm(Mutex(), slow_call, slow_call, "slow_call")


def take_both(mine, other, both):
    with mine:
        both.wait()
        other.libc.pthread_mutex_lock(other.mutex)  # culprit


def mutexes():
    truth.ready()
    time.sleep(LATER_S)
    one, other = Mutex(), Mutex()
    both = threading.Barrier(2, lambda: wait_for_ever(take_both))
    start(take_both, one, other, both)
    start(take_both, other, one, both)
    NEVER.wait()


def take(lock, call, argument):
    lock.acquire()
    try:
        call(argument)
    finally:
        lock.release()


def served(due_ns):
    truth.served("thread", due_ns, tid=0)


def want_by_hand(lock):
    while True:
        take(lock, served, time.monotonic_ns())
        time.sleep(0.01)


def logged(length_s):
    number = truth.begin("held-lock", slow_call, tid=0, root="slow_call")
    slow_call(length_s)
    truth.end(number)


def taken():
    lock = threading.Lock()
    for _ in range(3):
        start(want_by_hand, lock)
    truth.ready()
    for length_s in truth.lengths(0.3):
        time.sleep(FREE_S)
        take(lock, logged, length_s)


def pass_on(lock):
    while True:
        take(lock, time.sleep, 0.005)


def passed():
    lock = threading.Lock()
    for _ in range(6):
        start(pass_on, lock)
    truth.ready()
    NEVER.wait()


def hand_on(lock):
    while True:
        with lock:
            time.sleep(0.005)


def handed():
    lock = Mutex()
    for _ in range(6):
        start(hand_on, lock)
    truth.ready()
    NEVER.wait()


# --- asgiref ----------------------------------------------------------------------------------


async def fetch(length_s):
    await asyncio.sleep(length_s)


def asgiref():
    from asgiref.sync import async_to_sync

    def view(length_s):
        async_to_sync(fetch)(length_s)  # culprit

    harm(threading.Lock(), view, view, "fetch")


async def call_view():
    from asgiref.sync import sync_to_async

    await sync_to_async(time.sleep)(0)


def wait_for_call(loop):
    truth.begin("deadlock", (wait_for_call, call_view), tid=0, root="wait_for_call|call_view")
    truth.waits("thread", time.monotonic_ns(), None, tid=0)
    asyncio.run_coroutine_threadsafe(call_view(), loop).result()  # culprit


def alone():
    from asgiref.sync import ThreadSensitiveContext, sync_to_async

    async def serve():
        truth.ready()
        await asyncio.sleep(LATER_S)
        async with ThreadSensitiveContext():
            await sync_to_async(wait_for_call)(asyncio.get_running_loop())

    asyncio.run(serve())


def serves():
    from asgiref.sync import async_to_sync, sync_to_async

    async def work():
        while True:
            await asyncio.sleep(0.3)
            await sync_to_async(time.sleep)(0.3)

    for _ in range(2):
        start(async_to_sync(work))
    truth.ready()
    NEVER.wait()


every = (consumer, taken, passed, filling, mutex, mutexes, handed, asgiref, alone, serves)
{each.__name__: each for each in every}[STORY]()
