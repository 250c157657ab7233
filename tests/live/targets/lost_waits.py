"""Tasks that wait for what nobody else can reach, and such that only seem to; the first line tells
the truth: what each function waits for, None where somebody else could give it. Python 3.8 syntax.
"""

import asyncio
import contextlib
import functools
import json
import weakref

TRUTH, KEPT, ROUTES = {}, [], weakref.WeakValueDictionary()


def lost(kind):
    def told(function):
        TRUTH[function.__name__] = kind
        return function

    return told


def begin(coroutine):
    KEPT.append(asyncio.ensure_future(coroutine))


def begin_and_forget(coroutine):
    asyncio.get_event_loop().create_task(coroutine)


class Job:
    def __init__(self):
        self.done = asyncio.Event()
        self.reply = asyncio.get_event_loop().create_future()


class Slots:
    __slots__ = ("reply",)


def future():
    return asyncio.get_event_loop().create_future()


# --- nobody is left ---------------------------------------------------------------------------


@lost("lost-result")
async def replaced_reply(pending, number):
    pending[number] = reply = future()
    if number:
        pending[number] = future()  # another request has the same number
    await reply


@lost("lost-result")
async def reply_of_dropped_job():
    job = Job()
    await job.reply


@lost("lost-result")
async def reply_in_slot():
    job = Slots()
    job.reply = future()
    await job.reply


async def read(reply):
    return await reply


@lost("lost-result")
async def reply_in_arguments():
    reply = future()
    await read(reply)


@lost("lost-signal")
async def signal_of_dropped_job():
    job = Job()
    await job.done.wait()


async def waits_too(event):
    await event.wait()


@lost("lost-signal")
async def signal_for_two():
    event = asyncio.Event()
    begin(also(event))
    await asyncio.sleep(0)
    await event.wait()


@lost("lost-signal")
async def also(event):
    await event.wait()


@lost("lost-lock")
async def lock_of_one_who_ended():
    lock = asyncio.Lock()

    async def takes(lock):
        await lock.acquire()

    await takes(lock)
    async with lock:
        pass


async def takes_some(queue):
    await queue.get()
    raise ValueError("a bad item")


async def fill(queue):
    while True:
        await queue.put(0)


@lost("lost-queue")
async def queue_of_one_who_failed():
    queue = asyncio.Queue(2)
    consumer = asyncio.ensure_future(takes_some(queue))  # it keeps its error
    await fill(queue)
    return consumer


@lost("lost-queue")
async def queue_of_one_who_is_gone():
    queue = asyncio.Queue(2)
    begin_and_forget(takes_some(queue))
    await fill(queue)


@lost("lost-queue")
async def join_of_queue():
    queue = asyncio.Queue()
    queue.put_nowait(0)
    begin_and_forget(takes_some(queue))
    await asyncio.sleep(0)
    await queue.join()


# --- somebody is ------------------------------------------------------------------------------


@lost(None)
async def pending_reply(pending):
    pending[1] = reply = future()
    await reply


@lost(None)
async def weakly_known_reply():
    ROUTES[1] = reply = future()
    await reply


@lost(None)
async def on_purpose():
    await future()


@lost(None)
async def signal_on_purpose():
    await asyncio.Event().wait()


@lost(None)
async def signal_at_shutdown(event):
    await event.wait()


@lost(None)
async def reply_with_timeout():
    reply = future()
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(reply, 600)


@lost(None)
async def signal_with_timeout():
    with contextlib.suppress(asyncio.TimeoutError):
        event = asyncio.Event()
        await asyncio.wait_for(waits_too(event), 600)


@lost(None)
async def timer():
    reply = future()
    asyncio.get_event_loop().call_later(600, reply.set_result, None)
    await reply


@lost(None)
async def called_back():
    reply = future()
    KEPT.append(functools.partial(reply.set_result, None))
    await reply


@lost(None)
async def in_a_closure():
    reply = future()

    def answer():
        reply.set_result(None)

    KEPT.append(answer)
    await reply


@lost(None)
async def job_of_another_task():
    job = Job()
    begin(works_on(job))
    await job.done.wait()


async def works_on(job):
    await asyncio.sleep(600)
    job.done.set()


@lost(None)
async def queue_of_one_who_is_slow():
    queue = asyncio.Queue(2)
    begin(slow(queue))
    await fill(queue)


async def slow(queue):
    await queue.get()
    await asyncio.sleep(600)


@lost(None)
async def idle_consumer(queue):
    await queue.get()


@lost(None)
async def lock_that_is_held(lock):
    async with lock:
        pass


async def holds(lock):
    async with lock:
        await asyncio.sleep(600)


async def main():
    pending, replaced, event, lock = {}, {}, asyncio.Event(), asyncio.Lock()
    KEPT.extend((pending, replaced))
    begin(replaced_reply(replaced, 1))
    begin(pending_reply(pending))
    begin(signal_at_shutdown(event))
    queue = asyncio.Queue()
    begin(idle_consumer(queue))
    begin(holds(lock))
    await asyncio.sleep(0)
    begin(lock_that_is_held(lock))
    for one in (
        reply_of_dropped_job, reply_in_slot, reply_in_arguments, signal_of_dropped_job,
        signal_for_two, lock_of_one_who_ended, queue_of_one_who_failed, queue_of_one_who_is_gone,
        join_of_queue, weakly_known_reply, on_purpose, signal_on_purpose, reply_with_timeout,
        signal_with_timeout, timer, called_back, in_a_closure, job_of_another_task,
        queue_of_one_who_is_slow,
    ):  # fmt: skip
        begin(one())
    await asyncio.sleep(0.1)
    print(json.dumps({"truth": TRUTH}), flush=True)
    await asyncio.sleep(600)
    return event, queue


asyncio.run(main())
