"""A lock of tasks that one of them holds, and others want: argv STORY LOCK [CALL]. Python 3.8 syntax.

held: over a slow CALL. requests: all places of a semaphore are held, which requests need.
Harmless: handed: many want it, and each keeps it for a moment; batch: a limit on purpose in front
of jobs that are awaited as a whole; leaders, patient: whoever has it waits for a message (patient:
in a task of its own, or with a timeout), the others are next; unwanted: it is held over slow calls
while nobody wants it; signals: tasks wait for a condition that comes now and then; rotating:
requests are at the limit of a semaphore all the time, and each has its place for a moment; ends:
tasks wait for an empty queue, and for the end.
"""

import asyncio
import sys
import time

import loop_under_test
import truth
from together import FREE_S, harm_tasks_often, serve_in_tasks

STORY, LOCK, CALL = [*sys.argv[1:], "sleep"][:3]
PLACES = 2


def anyio_lock():
    import anyio

    return anyio.Lock()


def anyio_limiter():
    import anyio

    return anyio.CapacityLimiter(PLACES)


LOCKS = {
    "lock": asyncio.Lock, "condition": asyncio.Condition,
    "semaphore": lambda: asyncio.Semaphore(PLACES), "anyio-lock": anyio_lock,
    "anyio-limiter": anyio_limiter,
}  # fmt: skip


async def by_sleep(length_s):
    await asyncio.sleep(length_s)  # culprit


async def by_stream(length_s):
    reader = asyncio.StreamReader()
    asyncio.get_running_loop().call_later(length_s, reader.feed_data, b"reply\n")
    await reader.readline()  # culprit


async def by_program(length_s):
    program = await asyncio.create_subprocess_exec("sleep", str(length_s))
    await program.wait()  # culprit


async def by_thread(length_s):
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, time.sleep, length_s)  # culprit


async def by_task(length_s):
    await asyncio.ensure_future(asyncio.sleep(length_s))  # culprit


async def by_gather(length_s):
    await asyncio.gather(asyncio.sleep(length_s), asyncio.sleep(0))  # culprit


CALLS = {
    "sleep": by_sleep, "stream": by_stream, "program": by_program, "thread": by_thread,
    "task": by_task, "gather": by_gather,
}  # fmt: skip
call = CALLS[CALL]


async def wants(lock):
    while True:
        due_ns = time.monotonic_ns()
        async with lock:
            truth.served("task", due_ns, tid=0)
        await asyncio.sleep(0.01)


async def held():
    lock = LOCKS[LOCK]()
    kept = [asyncio.ensure_future(wants(lock)) for _ in range(3)]
    truth.ready()
    for length_s in truth.lengths(1.6, 3):
        await asyncio.sleep(FREE_S)
        async with lock:
            number = truth.begin("held-lock", call, tid=0, root=call.__name__, of_tasks=True)
            await call(length_s)
        truth.end(number)
    return kept


async def requests():
    limit = LOCKS[LOCK]()

    async def answer():
        due_ns = time.monotonic_ns()
        async with limit:
            truth.served("task", due_ns, tid=0)

    async def keep(all_hold, length_s):
        async with limit:
            await all_hold()
            await call(length_s)

    facts, kept = await serve_in_tasks(answer)
    truth.ready(**facts)
    await harm_tasks_often("held-lock", call, keep, PLACES, root=call.__name__)
    return kept


# --- harmless ---------------------------------------------------------------------------------


async def rotating():
    limit = LOCKS[LOCK]()

    async def answer():
        async with limit:
            await asyncio.sleep(0.01)

    facts, kept = await serve_in_tasks(answer)
    truth.ready(**facts)
    await asyncio.Event().wait()
    return kept


async def handed_on(lock):
    while True:
        async with lock:
            await asyncio.sleep(0.005)


async def lead(lock, inbox):
    while True:
        async with lock:
            await inbox.get()


async def lead_patiently(lock, inbox):
    while True:
        async with lock:
            await asyncio.wait_for(asyncio.gather(inbox.get()), 600)


async def occupy(lock):
    for length_s in truth.lengths():
        async with lock:
            await asyncio.sleep(length_s)


async def expect(condition):
    while True:
        async with condition:
            await condition.wait()


async def signal(condition):
    while True:
        await asyncio.sleep(0.4)
        async with condition:
            condition.notify_all()


async def job(limit):
    async with limit:
        await asyncio.sleep(1.5)


async def batch():
    limit = LOCKS[LOCK]()
    truth.ready()
    while True:
        await asyncio.gather(*[job(limit) for _ in range(20)])


async def harmless():
    """The tasks of a story in which nobody is harmed."""
    lock, inbox, end = LOCKS[LOCK](), asyncio.Queue(), asyncio.Event()
    tasks = {
        "handed": [(handed_on, lock)] * 6,
        "leaders": [(lead, lock, inbox)] * 4,
        "patient": [(lead_patiently, lock, inbox)] * 4,
        "unwanted": [(occupy, LOCKS[LOCK]()) for _ in range(3)],
        "signals": [(expect, lock)] * 4 + [(signal, lock)],
        "ends": [(inbox.get,)] * 5 + [(end.wait,)] * 5,
    }
    kept = [asyncio.ensure_future(function(*rest)) for function, *rest in tasks[STORY]]
    truth.ready()
    await asyncio.Event().wait()
    return kept


STORIES = {"held": held, "requests": requests, "batch": batch, "rotating": rotating}
loop_under_test.run(STORIES.get(STORY, harmless)())
