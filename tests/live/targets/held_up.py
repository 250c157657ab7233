"""Programs that are kept by what somebody holds, and such that look like it. Python 3.8 syntax.

Usage: held_up.py STORY.
"""

import asyncio
import ctypes
import gc
import inspect
import itertools
import json
import os
import signal
import socket
import sys
import threading
import time

HELD_S, FREE_S = 0.6, 0.4
STORY = sys.argv[1]
PENDING = {}


def ready():
    print(json.dumps({}), flush=True)


def slow_upstream():
    time.sleep(HELD_S)  # root


def refresh(lock):
    while True:
        with lock:
            slow_upstream()
        time.sleep(FREE_S)


def look_up(lock):
    with lock:
        pass


def asks(lock):
    while True:
        look_up(lock)
        time.sleep(0.01)


def thread(function, *args):
    threading.Thread(target=function, args=args, daemon=True).start()


async def beat():
    while True:
        await asyncio.sleep(0.01)


async def lock_and_loop():
    lock = threading.Lock()
    thread(refresh, lock)
    keep(beat())
    ready()
    while True:
        await asyncio.sleep(0.05)
        look_up(lock)


def lock_and_threads():
    lock = threading.Lock()
    thread(refresh, lock)
    for _ in range(3):
        thread(asks, lock)
    ready()
    time.sleep(600)


def first_then_other(one, other, both):
    with one:
        both.wait()
        with other:
            pass


def ring():
    locks, both = [threading.Lock(), threading.Lock()], threading.Barrier(2)
    for one, other in (locks, locks[::-1]):
        thread(first_then_other, one, other, both)
    ready()
    time.sleep(600)


def accept(lock, listener):
    with lock:
        listener.accept()


def leaders():
    """Threads take turns to accept: those that wait for the lock are the next ones, and idle."""
    lock, listener = threading.Lock(), socket.create_server(("127.0.0.1", 0))
    for _ in range(4):
        thread(accept, lock, listener)
    ready()
    time.sleep(600)


KEPT = []


def keep(coroutine):
    KEPT.append(asyncio.ensure_future(coroutine))


async def slow_reply():
    await asyncio.sleep(3)  # root of tasks


async def holds(lock):
    while True:
        async with lock:
            await asyncio.gather(slow_reply(), answer())
        await asyncio.sleep(0.1)


async def wants(lock):
    while True:
        async with lock:
            pass
        await asyncio.sleep(0.1)


async def lock_of_tasks():
    lock = asyncio.Lock()
    keep(holds(lock))
    for _ in range(3):
        keep(wants(lock))
    ready()
    await asyncio.sleep(600)


async def job(limit):
    async with limit:
        await asyncio.sleep(2)


async def batch():
    """A limit on purpose, in front of work that is awaited as a whole; and a queue that is empty."""
    limit = asyncio.Semaphore(3)
    keep(asyncio.Queue().get())
    keep(asyncio.Event().wait())
    ready()
    while True:
        await asyncio.gather(*(job(limit) for _ in range(40)))


async def hands_on(lock):
    while True:
        async with lock:
            await asyncio.sleep(0.005)


async def leads(lock, inbox):
    while True:
        async with lock:
            await asyncio.wait_for(asyncio.gather(inbox.get(), answer()), 600)


async def handed_in_tasks():
    """A lock that tasks hand on all the time, and one whose holder waits for a message."""
    handed, led, inbox = asyncio.Lock(), asyncio.Lock(), asyncio.Queue()
    for _ in range(6):
        keep(hands_on(handed))
    for _ in range(3):
        keep(leads(led, inbox))
    ready()
    await asyncio.sleep(600)


async def held_over_await(lock):
    while True:
        with lock:
            await slow_reply()
        await asyncio.sleep(0.1)


async def await_and_threads():
    """A task keeps a lock of threads while it awaits; its loop is free."""
    lock = threading.Lock()
    keep(held_over_await(lock))
    await asyncio.sleep(0.05)
    thread(asks, lock)
    ready()
    await asyncio.sleep(600)


async def brief_in_tasks():
    """Tasks and threads share a lock that nobody keeps over a wait; results cross in both ways."""
    lock, loop = threading.Lock(), asyncio.get_running_loop()
    thread(asks, lock)
    thread(results, loop, lock)
    ready()
    while True:
        with lock:
            pass
        await loop.run_in_executor(None, look_up, lock)
        await asyncio.sleep(0.01)


async def handed_over(lock):
    await asyncio.sleep(0.2)
    with lock:
        return 1


def results(loop, lock):
    while True:
        asyncio.run_coroutine_threadsafe(handed_over(lock), loop).result()


async def await_and_loop():
    """The loop itself wants what one of its tasks holds."""
    lock = threading.Lock()
    keep(beat())
    keep(held_over_await(lock))
    ready()
    await asyncio.sleep(1.2)
    look_up(lock)


async def answer():
    return 42


async def takes_both(one, other):
    async with one:
        await asyncio.sleep(0.1)
        async with other:
            pass


async def asks_upstream(forgets):
    PENDING[0] = reply = asyncio.get_event_loop().create_future()
    if forgets:
        del PENDING[0]
    await reply


async def consumes(queue, fails):
    while True:
        await queue.get()
        await asyncio.sleep(600 if not fails else 0)
        raise ValueError


async def puts(queue):
    while True:
        await queue.put(0)


async def fills(fails):
    queue = asyncio.Queue(2)
    consumer = asyncio.ensure_future(consumes(queue, fails))
    await puts(queue)
    await consumer


async def serves(*answers):
    """One client asks for each answer, and gets none."""

    async def serve(reader, writer):
        await reader.readline()
        await answers[next(number)]

    number = itertools.count()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    keep(server.serve_forever())
    clients = [socket.create_connection(server.sockets[0].getsockname()) for _ in answers]
    for client in clients:
        client.sendall(b"question\n")
    ready()
    await asyncio.sleep(600)
    return clients


async def nobody_left():
    one, other = asyncio.Lock(), asyncio.Lock()
    keep(takes_both(one, other))
    keep(takes_both(other, one))
    await serves(asks_upstream(True), fills(True))


async def somebody_left():
    """The same with a reply that may come, a consumer that is slow, and locks in one order."""
    one, other = asyncio.Lock(), asyncio.Lock()
    keep(takes_both(one, other))
    keep(takes_both(one, other))
    await serves(asks_upstream(False), fills(False))


def converts():
    time.sleep(600)


async def consumes_in_thread(queue):
    while True:
        await queue.get()
        await asyncio.get_event_loop().run_in_executor(None, converts)


async def slow_consumer():
    queue = asyncio.Queue(2)
    keep(consumes_in_thread(queue))
    await serves(puts(queue), puts(queue))


async def own_result():
    """A loop waits for what only it can do."""
    keep(beat())
    ready()
    await asyncio.sleep(1.2)
    asyncio.run_coroutine_threadsafe(answer(), asyncio.get_running_loop()).result()


async def sends(lock, writer):
    while True:
        async with lock:
            writer.write(bytes(20_000_000))
            await writer.drain()
        await asyncio.sleep(0.1)


async def broadcasts(reads):
    """All who send wait for the one whose peer does not read, if it does not."""
    lock = asyncio.Lock()
    listener = socket.create_server(("127.0.0.1", 0))
    _, writer = await asyncio.open_connection(*listener.getsockname())
    peer, _ = listener.accept()
    KEPT.append(peer)
    if reads:
        thread(drains_all, peer)
    keep(sends(lock, writer))
    await asyncio.sleep(0.05)
    for _ in range(3):
        keep(wants(lock))
    ready()
    await asyncio.sleep(600)


def drains_all(peer):
    while peer.recv(1 << 20):
        pass


async def peer_stalls():
    await broadcasts(reads=False)


async def peer_reads():
    await broadcasts(reads=True)


async def across():
    """A task holds what the thread wants that it awaits; the loop is free."""
    lock, loop = threading.Lock(), asyncio.get_running_loop()
    keep(beat())
    ready()
    await asyncio.sleep(1.2)
    with lock:
        await asyncio.gather(loop.run_in_executor(None, look_up, lock), answer())


async def collects():
    heap = [[n, [n], {"n": [n]}] for n in range(700_000)]
    keep(beat())
    ready()
    while heap:
        await asyncio.sleep(0.5)
        gc.collect()


def forked(lock, wait):
    """A fork that wants what another thread of its parent held at that moment."""
    held = threading.Event()

    def hold():
        with lock:
            held.set()
            slow_upstream()

    thread(hold)
    held.wait()
    if os.fork():
        ready()
        wait_for_end()
    wait(lock)
    os._exit(0)


def forked_lock():
    forked(threading.Lock(), look_up)


def forked_rlock():
    forked(threading.RLock(), look_up)


def forked_patient():
    """It gives up some day."""
    forked(threading.Lock(), lambda lock: lock.acquire(timeout=600))


class Mutex:
    """One of C code: zeros are a new one."""

    def __init__(self):
        self.place = ctypes.create_string_buffer(40)

    def __enter__(self):
        ctypes.CDLL(None).pthread_mutex_lock(self.place)

    def __exit__(self, *error):
        ctypes.CDLL(None).pthread_mutex_unlock(self.place)


def ring_of_mutexes():
    one, other, both = Mutex(), Mutex(), threading.Barrier(2)
    thread(first_then_other, one, other, both)
    thread(first_then_other, other, one, both)
    ready()
    wait_for_end()


def parked():
    """A program that parks its only thread in a lock, until a signal."""
    lock = threading.Lock()
    lock.acquire()
    signal.signal(signal.SIGUSR1, lambda *_: lock.release())
    ready()
    lock.acquire()


def wait_for_end():
    while True:
        time.sleep(1)


def start(story):
    return asyncio.run(story()) if inspect.iscoroutinefunction(story) else story()


start({story.__name__: story for story in (
    lock_and_loop, lock_and_threads, ring, leaders, lock_of_tasks, batch, collects,
    await_and_threads, await_and_loop, own_result, across, brief_in_tasks,
    peer_stalls, peer_reads, handed_in_tasks, nobody_left, somebody_left, slow_consumer,
    forked_lock, forked_rlock, forked_patient, parked, ring_of_mutexes,
)}[STORY])  # fmt: skip
