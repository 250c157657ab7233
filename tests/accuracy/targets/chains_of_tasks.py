"""Tasks that wait for tasks that wait: argv STORY. Python 3.8 syntax.

hops: the holder of a lock wants a second one, whose holder wants a third one, which is held over a
slow call. two, three: each holds a lock and wants the next one's. replaced: a request waits for a
reply whose entry another one has taken; ended: for room in a queue whose consumer has ended.
consumers, receivers: requests wait for room in a queue, or a stream of AnyIO, while all that take
from it are in a slow call; behind: that call wants a lock that is held over another one; died: who
took from it has ended, and the program has the queue still.
Harmless: ordered: all take two locks in the same order; kept: requests wait for replies that are in
a table; filling: for room in a queue whose consumer takes one after the other; pipeline: a
producer waits for slow consumers, and nobody for that; own: each request has a queue, and a slow
consumer, of its own; parked: tasks wait for what they alone know,
for ever.
"""

import asyncio
import sys
import time

import loop_under_test
import truth
from together import FREE_S, serve_in_tasks

STORY = sys.argv[1]
LATER_S = 1.5
KEPT = []
JOBS = []


def begin(coroutine):
    KEPT.append(asyncio.ensure_future(coroutine))
    return KEPT[-1]


async def wants(lock):
    while True:
        due_ns = time.monotonic_ns()
        async with lock:
            truth.served("task", due_ns, tid=0)
        await asyncio.sleep(0.01)


async def take_both(lock, other, has=None):
    async with lock:
        if has is not None:
            has.set()
        async with other:  # culprit
            pass


async def slow_call(length_s):
    await asyncio.sleep(length_s)  # culprit


async def hops():
    first, second, third = (asyncio.Lock() for _ in range(3))
    for _ in range(3):
        begin(wants(first))
    truth.ready()
    for length_s in truth.lengths(1.6, 3):
        await asyncio.sleep(FREE_S)
        async with third:
            middle = []
            for lock, other in ((second, third), (first, second)):
                has = asyncio.Event()
                middle.append(begin(take_both(lock, other, has)))
                await has.wait()
            number = truth.begin(
                "held-lock", (take_both, slow_call), tid=0, root="slow_call", of_tasks=True
            )
            await slow_call(length_s)
        await asyncio.gather(*middle)
        truth.end(number)


# --- full queues ------------------------------------------------------------------------------


class Consumers:
    """Some that take what requests put, and now and then all are in a slow call for as long."""

    def __init__(self, consume, call, many=2):
        self._call, self._many = call, many
        self._until, self._left = 0.0, 0
        self.busy = asyncio.Event()
        for _ in range(many):
            begin(consume(self))

    async def __call__(self):
        length_s = self._until - time.monotonic()
        if length_s > 0:
            self._left -= 1
            if not self._left:
                self.busy.set()
            await self._call(length_s)

    async def harm_often(self, culprit, root):
        for length_s in truth.lengths(1.6, 3):
            await asyncio.sleep(FREE_S)
            self._left, self._until = self._many, time.monotonic() + length_s
            self.busy.clear()
            await self.busy.wait()
            number = truth.begin("held-lock", culprit, tid=0, root=root, of_tasks=True)
            await asyncio.sleep(self._until - time.monotonic())
            truth.end(number)


async def put_late(put):
    due_ns = time.monotonic_ns()
    await put(1)
    truth.served("task", due_ns, tid=0)


async def slow_consumers(consume, put, call):
    facts, kept = await serve_in_tasks(lambda: put_late(put))
    truth.ready(**facts)
    await Consumers(consume, call).harm_often((slow_call, call), "slow_call")
    return kept


def consuming(jobs):
    async def consume(works):
        while True:
            await jobs.get()
            await works()

    return consume


async def consumers():
    jobs = asyncio.Queue(1)
    await slow_consumers(consuming(jobs), jobs.put, slow_call)


async def receivers():
    import anyio

    send, receive = anyio.create_memory_object_stream(1)

    async def consume(works):
        async for _ in receive:
            await works()

    await slow_consumers(consume, send.send, slow_call)


async def behind():
    jobs, lock, store = asyncio.Queue(1), asyncio.Lock(), asyncio.Queue()

    async def keeper():
        while True:
            length_s, has = await store.get()
            async with lock:
                has.set()
                await slow_call(length_s)

    async def save(length_s):
        has = asyncio.Event()
        if not lock.locked():
            await store.put((length_s, has))
            await has.wait()
        async with lock:  # culprit
            pass

    begin(keeper())
    await slow_consumers(consuming(jobs), jobs.put, save)


async def take_until(jobs, end):
    while True:
        await jobs.get()
        if time.monotonic() >= end:
            wait_for_ever(take_until, "held-lock")
            raise KeyError("no such job")  # culprit


async def died():
    JOBS.append(asyncio.Queue(1))
    facts, kept = await serve_in_tasks(lambda: JOBS[0].put(1))
    begin(take_until(JOBS[0], time.monotonic() + LATER_S))
    truth.ready(**facts)
    await asyncio.Event().wait()
    return kept


# --- for ever ---------------------------------------------------------------------------------


def wait_for_ever(culprit, kind="deadlock"):
    truth.begin(kind, culprit, tid=0, root=culprit.__name__, of_tasks=True)
    truth.waits("task", time.monotonic_ns(), None, tid=0)


async def ring_of(*locks):
    truth.ready()
    await asyncio.sleep(LATER_S)
    for lock, other in zip(locks, (*locks[1:], locks[0])):
        has = asyncio.Event()
        begin(take_next(lock, other, has))
        await has.wait()
    wait_for_ever(take_next)
    await asyncio.Event().wait()


async def take_next(lock, other, has):
    async with lock:
        has.set()
        await asyncio.sleep(0.05)
        async with other:  # culprit
            pass


async def two():
    await ring_of(asyncio.Lock(), asyncio.Lock())


async def three():
    await ring_of(asyncio.Lock(), asyncio.Condition(), asyncio.Lock())


REPLIES = {}


async def replaced_reply():
    REPLIES["number"] = reply = asyncio.get_running_loop().create_future()
    REPLIES["number"] = None
    await reply  # culprit


async def take(jobs):
    await jobs.get()
    raise KeyError("no such job")


async def put_in_vain():
    jobs = asyncio.Queue(1)
    consumer = asyncio.ensure_future(take(jobs))
    for number in range(5):
        await jobs.put(number)  # culprit
    await consumer


async def answer_late(answer):
    """Requests are answered at once until some time, and then never."""
    late = time.monotonic() + LATER_S
    begun = []

    async def ask():
        if time.monotonic() >= late:
            if not begun:
                begun.append(wait_for_ever(answer))
            await answer()

    facts, kept = await serve_in_tasks(ask)
    truth.ready(**facts)
    await asyncio.Event().wait()
    return kept


async def replaced():
    return await answer_late(replaced_reply)


async def ended():
    return await answer_late(put_in_vain)


# --- harmless ---------------------------------------------------------------------------------


async def in_order(lock, other):
    while True:
        async with lock:
            async with other:
                await asyncio.sleep(0.005)


async def ordered():
    lock, other = asyncio.Lock(), asyncio.Lock()
    for _ in range(4):
        begin(in_order(lock, other))
    truth.ready()
    await asyncio.Event().wait()


async def kept_reply():
    number = len(REPLIES)
    REPLIES[number] = asyncio.get_running_loop().create_future()
    await REPLIES[number]


async def answer_by(answer):
    facts, kept = await serve_in_tasks(answer)
    truth.ready(**facts)
    await asyncio.Event().wait()
    return kept


async def kept():
    return await answer_by(kept_reply)


async def take_slowly(jobs, length_s):
    while True:
        await jobs.get()
        await asyncio.sleep(length_s)


async def filling():
    jobs = asyncio.Queue(1)
    begin(take_slowly(jobs, 0.05))

    async def put():
        await jobs.put(1)

    return await answer_by(put)


async def fill(jobs):
    while True:
        await jobs.put(1)


async def pipeline():
    jobs = asyncio.Queue(2)
    begin(fill(jobs))
    for _ in range(2):
        begin(take_slowly(jobs, 1.5))
    truth.ready()
    await asyncio.Event().wait()


async def own():
    async def answer():
        jobs = asyncio.Queue(1)
        consumer = asyncio.ensure_future(take_slowly(jobs, 1.5))
        for _ in range(3):
            await jobs.put(1)
        consumer.cancel()

    return await answer_by(answer)


async def waits_alone():
    await asyncio.get_running_loop().create_future()


async def parked():
    lock, event = asyncio.Lock(), asyncio.Event()
    for each in (waits_alone(), event.wait(), asyncio.Queue().get(), asyncio.Event().wait()):
        begin(each)
    async with lock:
        truth.ready()
        await event.wait()


every = (
    hops, consumers, receivers, behind, died, two, three, replaced, ended,
    ordered, kept, filling, pipeline, own, parked,
)  # fmt: skip
loop_under_test.run({each.__name__: each for each in every}[STORY]())
