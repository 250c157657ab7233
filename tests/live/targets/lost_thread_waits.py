"""Threads that wait for what nobody else can reach, and such that only seem to; the first line tells
the truth: what each waits for. From Python 3.11 on.
"""

import concurrent.futures
import contextlib
import json
import queue
import sys
import threading
import time

TRUTH, KEPT = {}, []
IN_PYTHON = sys.version_info >= (3, 12)  # such a call; else one in C has the arguments, too


def waits(kind, *arguments):
    def begin(function):
        told = threading.Event()

        def run(*args):
            TRUTH[threading.get_native_id()] = kind, function.__name__
            told.set()
            with contextlib.suppress(Exception):
                function(*args)

        threading.Thread(target=run, args=arguments, daemon=True).start()
        told.wait()
        return function

    return begin


class Job:
    def __init__(self):
        self.done = threading.Event()
        self.reply = concurrent.futures.Future()


def fails(items):
    items.get()
    raise ValueError("a bad item")


def sleeps(items):
    items.get()
    time.sleep(600)


@waits("lost-result")
def dropped_reply():
    pending = {0: concurrent.futures.Future()}
    reply = pending.pop(0)
    reply.result()


@waits("lost-signal")
def dropped_job():
    job = Job()
    job.done.wait()


def fill(items):
    while True:
        items.put(0)


def thread_of(function, *args):
    threading.Thread(target=function, args=args, daemon=True).start()


threading.excepthook = lambda *_: None


@waits("lost-queue")
def queue_of_thread_that_failed():
    items = queue.Queue(2)
    thread_of(fails, items)
    fill(items)


@waits("lost-queue" if IN_PYTHON else "full-queue", queue.Queue(1))
def queue_from_arguments(items):
    fill(items)


@waits("lost-queue")
def queue_of_work_that_failed():
    items = queue.Queue(2)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        work = pool.submit(fails, items)  # it keeps its error
        fill(items)
        work.result()


# --- somebody is left -------------------------------------------------------------------------


@waits("full-queue")
def queue_of_slow_thread():
    items = queue.Queue(2)
    thread_of(sleeps, items)
    fill(items)


@waits("future")
def pending_reply():
    reply = concurrent.futures.Future()
    KEPT.append(reply)
    reply.result()


@waits("event")
def shared_job():
    job = Job()
    KEPT.append(job)
    job.done.wait()


@waits("event")
def on_purpose():
    threading.Event().wait()


@waits("event")
def in_a_closure():
    done = threading.Event()
    KEPT.append(lambda: done.set())
    done.wait()


@waits("future")
def called_back():
    reply = concurrent.futures.Future()
    KEPT.append(reply.set_result)
    reply.result()


time.sleep(0.2)
print(json.dumps({"truth": TRUTH}), flush=True)
time.sleep(600)
