"""Thread pools in known states; the first line says the truth, as JSON. Ends with its stdin.

Runs on Python 3.8 and newer. With ``frameworks``, AnyIO and asgiref take part.
"""

import asyncio
import functools
import gc
import json
import os
import queue
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

forever = threading.Event()


def say(**truth):
    print(json.dumps(truth), flush=True)


def stuck(begun=None):
    if begun is not None:
        begun.release()
    forever.wait()


def queued_job():
    pass


def other_job(number):
    return number


class Service:
    def method_job(self):
        pass


def fill(pool, workers):
    begun = threading.Semaphore(0)
    for _ in range(workers):
        pool.submit(stuck, begun)
    for _ in range(workers):
        begun.acquire()


class OtherQueue(ThreadPoolExecutor):
    """With a queue that is not a SimpleQueue, as many recipes have it."""

    def __init__(self, work_queue, name):
        super().__init__(1, thread_name_prefix=name)
        self._work_queue = work_queue


def tids(pool):
    return sorted(thread.native_id for thread in pool._threads)


async def main():
    loop = asyncio.get_running_loop()
    default = ThreadPoolExecutor(3, thread_name_prefix="of-the-loop")
    loop.set_default_executor(default)
    fill(default, 3)
    futures = [loop.run_in_executor(None, other_job, n) for n in range(5)]
    if hasattr(asyncio, "to_thread"):
        futures.append(loop.create_task(asyncio.to_thread(queued_job)))
        await asyncio.sleep(0)
    own = ThreadPoolExecutor(2, thread_name_prefix="own")
    fill(own, 2)
    own.submit(functools.partial(functools.partial(queued_job)))
    own.submit(Service().method_job)
    own.submit(len, ())
    idle = ThreadPoolExecutor(4, thread_name_prefix="idle")
    idle.submit(int).result()
    ended = ThreadPoolExecutor(1, thread_name_prefix="ended")
    fill(ended, 1)
    ended.shutdown(wait=False)
    dropped = ThreadPoolExecutor(1, thread_name_prefix="dropped")
    fill(dropped, 1)
    dropped.submit(queued_job)
    dropped_tids = tids(dropped)
    del dropped
    gc.collect()
    ordered = OtherQueue(queue.LifoQueue(), "ordered")
    fill(ordered, 1)
    bounded = OtherQueue(queue.Queue(5), "bounded")
    fill(bounded, 1)
    bounded.submit(queued_job)
    clients = ThreadPoolExecutor(1, thread_name_prefix="clients")
    fill(clients, 1)
    clients.submit(other_job, socket.socket())
    truth = {
        "of-the-loop": {"tids": tids(default), "queued": len(futures), "max_workers": 3},
        "own": {"tids": tids(own), "queued": 3, "max_workers": 2},
        "idle": {"tids": tids(idle), "queued": 0, "max_workers": 4},
        "ended": {"tids": tids(ended), "queued": 0, "max_workers": 1},
        "dropped": {"tids": dropped_tids, "queued": 1, "max_workers": None},
        "ordered": {"tids": tids(ordered), "queued": None, "max_workers": 1},
        "clients": {"tids": tids(clients), "queued": 1, "max_workers": 1},
        "bounded": {"tids": tids(bounded), "queued": 1, "max_workers": 1},
    }
    if "frameworks" in sys.argv:
        await frameworks(loop, truth)
    say(pools=truth, tid=threading.get_native_id())
    os.read(0, 1)
    os._exit(0)


async def frameworks(loop, truth):
    import anyio.to_thread
    from asgiref.sync import SyncToAsync, sync_to_async

    begun = threading.Semaphore(0)
    anyio.to_thread.current_default_thread_limiter().total_tokens = 2
    tasks = [
        loop.create_task(anyio.to_thread.run_sync(stuck, begun), name=f"handler-{n}")
        for n in range(5)
    ]
    tasks.append(loop.create_task(limited_by_anyio(anyio)))
    tasks += [loop.create_task(sync_to_async(view)(begun)) for view in (stuck, django_view)]
    for _ in range(3):
        while not begun.acquire(blocking=False):
            await asyncio.sleep(0.01)
    end = time.monotonic() + 0.1
    while time.monotonic() < end:
        pass
    executor = SyncToAsync.single_thread_executor
    truth[executor._thread_name_prefix] = {"tids": tids(executor), "queued": 1, "max_workers": 1}
    loop.kept = tasks


async def limited_by_anyio(anyio):
    with anyio.move_on_after(0.05):
        await asyncio.sleep(3600)


def django_view(begun):
    pass


asyncio.run(main())
