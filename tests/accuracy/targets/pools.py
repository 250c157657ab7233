"""Pools of threads beside a healthy loop: argv STORY. Python 3.8 syntax.

exhausted, to-thread, limiter: every thread of the loop's own pool, or every token of AnyIO's
limiter, is held by a slow job while quick ones wait. roomy, roomy-limiter: the same jobs with
threads to spare. deadlock: jobs wait for jobs that only the same pool can run. batch: many honest
jobs at once, short ones or, as long-batch, long ones. parked: all threads wait, and nothing is
queued. crowded: at times more requests come than the threads can do, so that each waits, though
none takes long. processes, processes-roomy, processes-batch: the same in processes.
"""

import asyncio
import concurrent.futures
import sys
import threading
import time

import loop_under_test
import truth

STORY = sys.argv[1]
THREADS = 2
GAP_S = 0.02
IN_PROCESSES = STORY.startswith("processes")


def slow_job(length_s):
    time.sleep(length_s)  # culprit


def quick_job(due_ns):
    truth.served("work-item", due_ns, tid=0, anyone=IN_PROCESSES)


def in_default_executor(function, *arguments):
    return asyncio.get_running_loop().run_in_executor(None, function, *arguments)


def to_thread(function, *arguments):
    return asyncio.ensure_future(asyncio.to_thread(function, *arguments))


def in_limiter(function, *arguments):
    import anyio.to_thread

    return asyncio.ensure_future(anyio.to_thread.run_sync(function, *arguments))


async def ask_for_quick_jobs(submit):
    while True:
        submit(quick_job, time.monotonic_ns())
        await asyncio.sleep(GAP_S)


async def fill(submit):
    """Slow jobs in two threads at the same time, and then time for the others."""
    asking = asyncio.ensure_future(ask_for_quick_jobs(submit))
    facts, kept = await loop_under_test.start_victims(["io", "timers"])
    truth.ready(**facts)
    for length_s in truth.lengths(0.2):
        await asyncio.sleep(loop_under_test.GAP_S)
        number = truth.begin("exhausted-pool", slow_job, tid=0, anyone=IN_PROCESSES)
        await asyncio.gather(*[submit(slow_job, length_s) for _ in range(THREADS)])
        truth.end(number)
    return asking, kept


def set_default_executor(threads):
    pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="of-the-loop")
    asyncio.get_running_loop().set_default_executor(pool)


async def exhausted():
    set_default_executor(THREADS)
    await fill(to_thread if STORY == "to-thread" else in_default_executor)


async def processes():
    many = 4 * THREADS if STORY == "processes-roomy" else THREADS
    pool, loop = concurrent.futures.ProcessPoolExecutor(many), asyncio.get_running_loop()

    def submit(function, *arguments):
        return loop.run_in_executor(pool, function, *arguments)

    await asyncio.gather(*[submit(time.sleep, 0.1) for _ in range(many)])
    if STORY != "processes-batch":
        await fill(submit)
    truth.ready()
    while True:
        await asyncio.gather(*[submit(slow_job, 0.25) for _ in range(8)])


async def roomy():
    set_default_executor(4 * THREADS)
    await fill(in_default_executor)


async def limiter():
    import anyio.to_thread

    tokens = THREADS if STORY == "limiter" else 4 * THREADS
    anyio.to_thread.current_default_thread_limiter().total_tokens = tokens
    await fill(in_limiter)


def outer_job(pool, number):
    due_ns = time.monotonic_ns()
    inner = pool.submit(quick_job, due_ns)
    if number == THREADS - 1:
        truth.begin("deadlock", outer_job, tid=0)
    truth.waits("work-item", due_ns, None, tid=0)
    inner.result()  # culprit


def deadlock():
    pool = concurrent.futures.ThreadPoolExecutor(THREADS, thread_name_prefix="recursive")
    truth.ready()
    time.sleep(1.5)
    for number in range(THREADS):
        pool.submit(outer_job, pool, number)
    threading.Event().wait()


def batch():
    job_s, jobs = (0.004, 400) if STORY == "batch" else (0.25, 20)
    pool = concurrent.futures.ThreadPoolExecutor(4, thread_name_prefix="batch")
    truth.ready()
    while True:
        concurrent.futures.wait([pool.submit(time.sleep, job_s) for _ in range(jobs)])
        time.sleep(0.2)


REQUEST_S = 0.02


def request(due_ns):
    truth.served("work-item", due_ns, tid=0)
    time.sleep(REQUEST_S)  # culprit


async def crowded():
    """Twice as many requests as the threads can do, for a while."""
    set_default_executor(THREADS)
    truth.ready()
    for length_s in truth.lengths(0.4, 1.0):
        await asyncio.sleep(loop_under_test.GAP_S)
        number = truth.begin("overloaded-pool", request, tid=0)
        requests = []
        for _ in range(int(length_s * THREADS / REQUEST_S)):
            requests.append(in_default_executor(request, time.monotonic_ns()))
            await asyncio.sleep(REQUEST_S / THREADS / 2)
        await asyncio.wait(requests)
        truth.end(number)


def parked():
    pool = concurrent.futures.ThreadPoolExecutor(4, thread_name_prefix="parked")
    for _ in range(4):
        pool.submit(threading.Event().wait)
    loop_under_test.run(serve())


async def serve():
    facts, kept = await loop_under_test.start_victims(["io"])
    truth.ready(**facts)
    await asyncio.Event().wait()
    return kept


LOOPS = {
    "exhausted": exhausted, "to-thread": exhausted, "roomy": roomy, "limiter": limiter,
    "roomy-limiter": limiter, "crowded": crowded,
    "processes": processes, "processes-roomy": processes, "processes-batch": processes,
}  # fmt: skip
if __name__ == "__main__":  # a process of a pool may import it as well
    if STORY in LOOPS:
        loop_under_test.run(LOOPS[STORY]())
    else:
        {"deadlock": deadlock, "batch": batch, "long-batch": batch, "parked": parked}[STORY]()
