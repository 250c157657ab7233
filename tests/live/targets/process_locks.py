"""Processes that wait for locks which others of them have: argv CASE. Runs on Python 3.8 and newer."""

import fcntl
import json
import multiprocessing
import os
import sys
import tempfile
import time

KEPT = []  # locks that are no more here are no more for a process that only begins, either


def holding(held, ready):
    """Is in a block of each, for ever."""
    if not held:
        ready.release()
        time.sleep(1000)
    else:
        with held[0]:
            holding(held[1:], ready)


def wanting(lock):
    with lock:
        pass


def getting(queue):
    queue.get()


def filling(queue):
    while True:
        queue.put(None)


def signalled(event):
    event.wait()


def taking(lock, hold_s, pause_s):
    """Takes it again and again."""
    while True:
        with lock:
            time.sleep(hold_s)
        time.sleep(pause_s)


def taking_file(path, hold_s, pause_s):
    """The same with a lock on a file."""
    while True:
        with open(path, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            time.sleep(hold_s)
        time.sleep(pause_s)


def crossing(first, second, ready, go):
    with first:
        ready.release()
        go.acquire()
        with second:
            pass


def known(context):
    """One process is in the blocks of three kinds of locks, and each is waited for by another."""
    locks = [context.Lock(), context.RLock(), context.Semaphore(1)]
    ready = context.Semaphore(0)
    holder = started(context, holding, locks, ready)
    ready.acquire()
    waiting = [started(context, wanting, lock) for lock in locks]
    empty, full = context.Queue(), context.Queue(1)
    signals = {
        "queue": [started(context, getting, empty) for _ in range(2)],  # one reads
        "full-queue": [started(context, filling, full)],
        "condition": [started(context, signalled, context.Event())],
    }
    return {
        "holder": holder.pid,
        "waiting": [one.pid for one in waiting],
        "signals": {kind: [one.pid for one in some] for kind, some in signals.items()},
    }


def pair(context, hold_s):
    lock = context.Lock()
    started(context, taking, lock, hold_s, 0.02)
    started(context, taking, lock, 0.005, 0.02)
    return {}


def of_a_file(context, *times):
    """One for each hold_s and pause_s: from the next on they come while the first one has it."""
    path = tempfile.mkstemp()[1]
    for hold_s, pause_s in times:
        started(context, taking_file, path, hold_s, pause_s)
        time.sleep(0.3)
    return {}


def two_wait(context):
    """A process is in the block of a lock that two others want."""
    lock, ready = context.Lock(), context.Semaphore(0)
    holder = started(context, holding, [lock], ready)
    ready.acquire()
    waiting = [started(context, wanting, lock) for _ in range(2)]
    return {"holder": holder.pid, "waiting": [one.pid for one in waiting]}


def ring(context):
    first, second, ready, go = (
        context.Lock(),
        context.Lock(),
        context.Semaphore(0),
        context.Semaphore(0),
    )
    started(context, crossing, first, second, ready, go)
    started(context, crossing, second, first, ready, go)
    for _ in range(2):
        ready.acquire()
    for _ in range(2):
        go.release()
    return {}


def started(context, function, *arguments):
    process = context.Process(target=function, args=arguments, daemon=True)
    process.start()
    KEPT.append(arguments)
    return process


if __name__ == "__main__":
    fork, default = multiprocessing.get_context("fork"), multiprocessing.get_context()
    truth = {
        "known": lambda: known(fork),
        "held": lambda: pair(default, 0.5),
        "quick": lambda: pair(default, 0.005),
        "file": lambda: of_a_file(fork, (0.5, 0.02), (0.005, 0.02)),
        "standby": lambda: of_a_file(fork, (1000, 0), (1000, 0)),
        "ring": lambda: ring(fork),
        "two wait": lambda: two_wait(fork),
    }[sys.argv[1]]()
    print(json.dumps({"tid": os.getpid(), **truth}), flush=True)
    time.sleep(1000)
