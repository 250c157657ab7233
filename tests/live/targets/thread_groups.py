"""Threads that take from one queue, and are no executor's: argv STORY. Python 3.8 and newer.

The first line says the truth, as JSON: which threads take from which queue, and what is in it.
"""

import asyncio
import concurrent.futures
import itertools
import json
import os
import queue
import socket
import sys
import threading
import time

SLOW_S = 0.4

forever = threading.Event()


class Job:
    def __init__(self):
        self.done = threading.Event()


def slow():
    time.sleep(SLOW_S)


def quick():
    pass


def serve(jobs):
    """Futures with their functions, as a thread that owns a connection takes them."""
    while True:
        *_, future, function = jobs.get()
        function()
        future.get_loop().call_soon_threadsafe(settle, future)


def settle(future):
    if not future.done():
        future.set_result(None)


async def awaited(jobs, workers=2):
    """Tasks wait for what they put into the queue; slow calls keep its threads."""
    loop = asyncio.get_running_loop()
    for _ in range(workers):
        threading.Thread(target=serve, args=(jobs,), daemon=True).start()
    say()

    numbers = itertools.count()

    async def put(function):
        future = loop.create_future()
        jobs.put((0, next(numbers), future, function))
        await future

    async def hold():
        while True:
            await put(slow)

    async def hurry():
        while True:
            await put(quick)
            await asyncio.sleep(0.05)

    await asyncio.gather(*(hold() for _ in range(3)), hurry(), hurry())


class Worker(threading.Thread):
    """Takes jobs from a queue that is its attribute, as many programs have it."""

    def __init__(self, jobs):
        super().__init__(daemon=True)
        self.jobs = jobs
        self.done = 0

    def run(self):
        while True:
            job = self.jobs.get()
            slow()
            self.done += 1
            if job is not None:
                job.done.set()


def events():
    """Callers wait for an event of their job, behind one thread that is slow."""
    jobs = queue.Queue()
    Worker(jobs).start()

    def call():
        while True:
            job = Job()
            jobs.put(job)
            job.done.wait()

    for _ in range(3):
        threading.Thread(target=call, daemon=True).start()
    say()
    forever.wait()


def batch():
    """A program's own work, which it waits for as a whole."""
    jobs = queue.Queue()

    def take():
        while True:
            jobs.get()()
            jobs.task_done()

    for _ in range(2):
        threading.Thread(target=take, daemon=True).start()
    say()
    while True:
        for _ in range(6):
            jobs.put(slow)
        jobs.join()


def nobody(every_s=0.3):
    """What nobody waits for comes a little faster than it is done."""
    jobs = queue.Queue()
    Worker(jobs).start()
    say()
    while True:
        jobs.put(None)
        time.sleep(every_s)


def hangs():
    """The only thread of a queue hangs since before the recording, and nobody waits for it."""
    jobs = queue.Queue()

    def take():
        while True:
            jobs.get().wait()

    threading.Thread(target=take, daemon=True).start()
    for _ in range(5):
        jobs.put(threading.Event())
    say()
    forever.wait()


def idle():
    """Threads that take, and that fill, and nothing is late."""
    jobs, more = queue.Queue(), queue.SimpleQueue()
    for _ in range(3):
        threading.Thread(target=pass_on, args=(jobs, more), daemon=True).start()
    threading.Thread(target=drain, args=(more,), daemon=True).start()
    say()
    while True:
        jobs.put(quick)
        time.sleep(0.01)


def pass_on(jobs, more):
    while True:
        more.put(jobs.get())


def drain(more):
    while True:
        more.get()()


def brisk():
    """There is always something in a queue by priority, and each item is done soon."""
    jobs, numbers = queue.PriorityQueue(), itertools.count()

    def take():
        while True:
            *_, done = jobs.get()
            time.sleep(0.01)
            done.set()

    def call():
        while True:
            done = threading.Event()
            jobs.put((0, next(numbers), done))
            done.wait()

    threading.Thread(target=take, daemon=True).start()
    for _ in range(4):
        threading.Thread(target=call, daemon=True).start()
    say()
    forever.wait()


def known():
    """Groups in known states, for who reads them."""
    simple, plain, never_idle = queue.SimpleQueue(), queue.Queue(), queue.Queue()
    in_and_out, last, asked = queue.Queue(), queue.LifoQueue(), queue.Queue()
    served = queue.Queue()
    pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="own")
    pool.submit(quick).result()
    threads = [
        threading.Thread(target=drain, args=(simple,), daemon=True),
        threading.Thread(target=drain, kwargs={"more": plain}, daemon=True),
        threading.Thread(target=drain, args=(plain,), daemon=True),
        threading.Thread(target=pass_on, args=(in_and_out, plain), daemon=True),
        threading.Thread(target=drain, args=(last,), daemon=True),
        Waits(never_idle),
        Answers(asked, queue.Queue()),
        WorkerThread(served),
    ]
    served.put(forever.wait)
    asked.put((forever.wait, queue.Queue()))
    threading.Thread(target=ask, args=(asked,), daemon=True).start()
    while asked.qsize() < 2:
        time.sleep(0.001)
    never_idle.put(forever.wait)
    for _ in range(3):
        never_idle.put(quick)
    future, job = concurrent.futures.Future(), Job()
    never_idle.put((future, job, socket.socket()))
    for thread in threads:
        thread.start()
    while never_idle.qsize() > 4 or asked.qsize() > 1 or served.qsize():
        time.sleep(0.001)
    tids = [thread.native_id for thread in threads]
    say(
        groups={
            "drain": {"simple": tids[:1], "plain": tids[1:3], "last": tids[4:5]},
            "pass_on": {"in_and_out": tids[3:4]},
            "Waits.run": {"never_idle": tids[5:6]},
            "Answers.run": {"asked": tids[6:7]},
            "WorkerThread.run": {"served": tids[7:]},
        },
        queues={
            "simple": id(simple),
            "plain": id(plain),
            "never_idle": id(never_idle),
            "asked": id(asked),
            "served": id(served),
            "in_and_out": id(in_and_out),
            "last": id(last),
        },
        promises=[id(future), id(job.done)],
        tids=tids,
    )
    sys.stdin.read()
    os._exit(0)


async def replies():
    """Tasks wait for what lies in a queue by way of asyncio's helpers; its only thread hangs."""
    loop, jobs = asyncio.get_running_loop(), queue.Queue()
    jobs.put(forever.wait)
    threading.Thread(target=drain, args=(jobs,), daemon=True).start()
    while jobs.qsize():
        await asyncio.sleep(0.01)

    def put(future):
        jobs.put((future, quick))
        return future

    def of_thread():
        return asyncio.wrap_future(put(concurrent.futures.Future()))

    answers = asyncio.Queue()
    jobs.put((answers, quick))
    own, of_all = [queue.Queue(), queue.SimpleQueue()], queue.Queue()
    for one in own:
        jobs.put((one, of_all))
    tasks = [
        loop.create_task(one)
        for one in (
            answers.get(),
            asyncio.wait_for(of_thread(), 600),
            asyncio.wait_for(asyncio.shield(of_thread()), 600),
            asyncio.wait({of_thread()}),
            asyncio.wait_for(put(loop.create_future()), 600),
            asyncio.wait_for(loop.create_future(), 600),  # for nothing in the queue
        )
    ]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    say(tasks=[id(task) for task in tasks], own=list(map(id, own)), of_all=id(of_all))
    sys.stdin.read()
    os._exit(0)


class Waits(threading.Thread):
    """Has been busy since it was started, and holds its queue in an attribute."""

    def __init__(self, jobs):
        super().__init__(daemon=True)
        self.jobs = jobs

    def run(self):
        while True:
            self.jobs.get()()


class Answers(threading.Thread):
    """Takes from one of two queues, and fills what it is given in an item."""

    def __init__(self, jobs, others):
        super().__init__(daemon=True)
        self.others = others
        self.jobs = jobs

    def run(self):
        while True:
            job, answers = self.jobs.get()
            answers.put(job())


class WorkerThread(threading.Thread):
    """Takes what clients want as one of cheroot's does, which CherryPy runs on."""

    def __init__(self, jobs):
        super().__init__(daemon=True)
        self.server = Things(requests=Things(_queue=jobs, get=jobs.get))

    def run(self):
        self.take_all()

    def take_all(self):
        while True:
            self.server.requests.get()()


class Things:
    def __init__(self, **held):
        self.__dict__.update(held)


def ask(jobs):
    """Fills a queue, and waits at another one for its answer."""
    answers = queue.Queue()
    jobs.put((quick, answers))
    answers.get()


def say(**truth):
    print(json.dumps({"tid": threading.get_native_id(), **truth}), flush=True)


STORIES = {
    "replies": lambda: asyncio.run(replies()),
    "awaited": lambda: asyncio.run(awaited(queue.Queue())),
    "awaited-priority": lambda: asyncio.run(awaited(queue.PriorityQueue())),
    "brisk": brisk,
    "awaited-simple": lambda: asyncio.run(awaited(queue.SimpleQueue(), workers=1)),
    "events": events,
    "batch": batch,
    "nobody": nobody,
    "hangs": hangs,
    "idle": idle,
    "known": known,
}
STORIES[sys.argv[1]]()
