"""Threads that take from one queue, and are no executor's: argv STORY.

Python 3.8 syntax. Slow jobs keep all of them at times, while quick ones wait. events: callers wait
for an event of each job; futures: tasks wait for a future of each, in a SimpleQueue; clients:
connections are in the queue; waitress: its threads; twisted: those of its reactor. Harmless: roomy,
waitress-roomy: the same with threads to spare; idle: nothing is in the queue; batch: whoever fills
it waits for all of it; nobody: nobody waits for what is in it, and it is done soon.
"""

import asyncio
import http.client
import queue
import socket
import sys
import threading
import time

import truth
from together import FREE_S, NEVER, start

STORY = sys.argv[1]
THREADS = 2
ROOM = 4 * THREADS if STORY.endswith("roomy") else THREADS


def slow_job(length_s):
    time.sleep(length_s)  # culprit


def quick_job(due_ns):
    truth.served("work-item", due_ns, tid=0)


def ask_often(submit):
    """Waits for one quick job after the other."""
    while True:
        submit(quick_job, time.monotonic_ns())
        time.sleep(0.02)


def fill(submit):
    """Slow jobs in all threads at the same time, and then time for the others."""
    for _ in range(3):
        start(ask_often, submit)
    truth.ready()
    for length_s in truth.lengths(0.3):
        time.sleep(FREE_S)
        number = truth.begin("exhausted-pool", slow_job, tid=0)
        slow = [start(submit, slow_job, length_s) for _ in range(THREADS)]
        for one in slow:
            one.join()
        truth.end(number)


class Job:
    def __init__(self, function, argument):
        self.function, self.argument, self.done = function, argument, threading.Event()


def work(jobs):
    while True:
        job = jobs.get()
        job.function(job.argument)
        job.done.set()
        jobs.task_done()


def make_queue(kind=queue.Queue):
    jobs = kind()
    for _ in range(ROOM):
        start(work, jobs)
    return jobs


def events():
    jobs = make_queue()

    def submit(function, argument):
        job = Job(function, argument)
        jobs.put(job)
        job.done.wait()

    fill(submit)


def settle(jobs):
    while True:
        future, function, argument = jobs.get()
        function(argument)
        future.get_loop().call_soon_threadsafe(future.set_result, None)


async def futures():
    jobs, loop = queue.SimpleQueue(), asyncio.get_running_loop()
    for _ in range(ROOM):
        start(settle, jobs)

    async def submit(function, argument):
        future = loop.create_future()
        jobs.put((future, function, argument))
        await future

    async def ask():
        while True:
            await submit(quick_job, time.monotonic_ns())
            await asyncio.sleep(0.02)

    kept = [asyncio.ensure_future(ask()) for _ in range(3)]
    truth.ready()
    for length_s in truth.lengths(0.3):
        await asyncio.sleep(FREE_S)
        number = truth.begin("exhausted-pool", slow_job, tid=0)
        await asyncio.gather(*[submit(slow_job, length_s) for _ in range(THREADS)])
        truth.end(number)
    return kept


def answer(connections):
    while True:
        connection, _ = connections.get()
        with connection:
            what, argument = connection.recv(100).split()
            if what == b"slow":
                slow_job(float(argument))
            else:
                quick_job(int(argument))
            connection.sendall(b"done")


def clients():
    connections = queue.Queue()
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    for _ in range(ROOM):
        start(answer, connections)

    def accept():
        while True:
            connections.put(listener.accept())

    def submit(function, argument):
        with socket.create_connection(listener.getsockname()) as connection:
            what = "slow" if function is slow_job else "quick"
            connection.sendall(("%s %s" % (what, argument)).encode())
            connection.recv(100)

    start(accept)
    fill(submit)


def application(environ, start_response):
    _, what, argument = environ["PATH_INFO"].split("/")
    if what == "slow":
        slow_job(float(argument))
    else:
        quick_job(int(argument))
    start_response("200 OK", [("Content-Length", "4")])
    return [b"done"]


def waitress():
    from waitress import create_server

    server = create_server(application, host="127.0.0.1", port=0, threads=ROOM)
    start(server.run)

    def submit(function, argument):
        client = http.client.HTTPConnection("127.0.0.1", server.effective_port)
        what = "slow" if function is slow_job else "quick"
        client.request("GET", "/%s/%s" % (what, argument))
        client.getresponse().read()
        client.close()

    fill(submit)


def twisted():
    from twisted.internet import reactor, threads

    reactor.suggestThreadPoolSize(ROOM)

    def submit(function, argument):
        done = threading.Event()

        def defer():
            threads.deferToThread(function, argument).addBoth(lambda _: done.set())

        reactor.callFromThread(defer)
        done.wait()

    reactor.callWhenRunning(start, fill, submit)
    reactor.run()


# --- harmless ---------------------------------------------------------------------------------


def idle():
    kept = [make_queue(), make_queue(queue.LifoQueue)]
    truth.ready()
    NEVER.wait()
    return kept


def batch():
    jobs = make_queue()
    truth.ready()
    while True:
        for _ in range(8):
            jobs.put(Job(slow_job, 0.25))
        jobs.join()


def nobody():
    jobs = make_queue()
    truth.ready()
    while True:
        for _ in range(4):
            jobs.put(Job(slow_job, 0.25))
        time.sleep(0.8)


STORIES = {
    "events": events, "roomy": events, "clients": clients, "waitress": waitress,
    "waitress-roomy": waitress, "twisted": twisted, "idle": idle, "batch": batch, "nobody": nobody,
}  # fmt: skip
asyncio.run(futures()) if STORY == "futures" else STORIES[STORY]()
