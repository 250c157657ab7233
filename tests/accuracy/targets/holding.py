"""What somebody holds and others want: argv STORY. Python 3.8 syntax.

threads: a lock held over a slow call, which other threads want. semaphore: the same with both places
of a semaphore. leaders: threads take turns to accept, so that the others wait for their lock, idle.
handed: a lock that many want, and nobody keeps. tasks: a lock of asyncio held over a slow call.
batch: tasks behind a semaphore that limits them on purpose. stopping: tasks and threads that wait for
a signal, an empty queue or the end.
"""

import asyncio
import inspect
import queue
import socket
import sys
import threading
import time

import truth
from together import FREE_S, start, want

STORY = sys.argv[1]


def slow_call(length_s):
    time.sleep(length_s)  # culprit


def hold(lock, length_s, others=()):
    with lock:
        number = truth.begin("held-lock", slow_call, tid=0)
        slow_call(length_s)
    for other in others:
        other.join()
    truth.end(number)


def threads():
    lock = threading.Lock() if STORY == "threads" else threading.Semaphore(2)
    for _ in range(3):
        start(want, lock)
    truth.ready()
    for length_s in truth.lengths(0.2):
        time.sleep(FREE_S)
        other = [start(keep, lock, length_s)] if STORY == "semaphore" else []
        hold(lock, length_s, other)


def keep(lock, length_s):
    with lock:
        slow_call(length_s)


def accept(lock, listener):
    with lock:
        listener.accept()


def leaders():
    lock, listener = threading.Lock(), socket.create_server(("127.0.0.1", 0))
    for _ in range(4):
        start(accept, lock, listener)
    truth.ready()
    threading.Event().wait()


def handed_on(lock):
    while True:
        with lock:
            time.sleep(0.005)


def handed():
    lock = threading.Lock()
    for _ in range(4):
        start(handed_on, lock)
    truth.ready()
    threading.Event().wait()


async def slow_reply(length_s):
    await asyncio.sleep(length_s)  # culprit


async def wants(lock):
    while True:
        due_ns = time.monotonic_ns()
        async with lock:
            truth.served("task", due_ns, tid=0)
        await asyncio.sleep(0.01)


async def tasks():
    lock = asyncio.Lock()
    kept = [asyncio.ensure_future(wants(lock)) for _ in range(3)]
    truth.ready()
    for length_s in truth.lengths(1.5, 3):
        await asyncio.sleep(FREE_S)
        async with lock:
            number = truth.begin("held-lock", slow_reply, tid=0, of_tasks=True)
            await slow_reply(length_s)
        truth.end(number)
    return kept


async def job(limit):
    async with limit:
        await asyncio.sleep(1.5)


async def batch():
    limit = asyncio.Semaphore(3)
    truth.ready()
    while True:
        await asyncio.gather(*[job(limit) for _ in range(40)])


async def waits_for(stopped):
    await stopped.wait()


async def stopping():
    stopped = asyncio.Event()
    kept = [asyncio.ensure_future(waits_for(stopped)) for _ in range(10)]
    kept.append(asyncio.ensure_future(asyncio.Queue().get()))
    for wait in (threading.Event().wait, queue.Queue().get, start(time.sleep, 600).join):
        start(wait)
    truth.ready()
    await stopped.wait()
    return kept


if __name__ == "__main__":
    story = {
        "threads": threads, "semaphore": threads, "leaders": leaders, "handed": handed,
        "tasks": tasks, "batch": batch, "stopping": stopping,
    }[STORY]  # fmt: skip
    asyncio.run(story()) if inspect.iscoroutinefunction(story) else story()
