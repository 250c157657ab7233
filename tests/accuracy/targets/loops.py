"""Loops in odd places and states: argv STORY. Python 3.8 syntax.

two: two loops in two threads, one of them harmed. busy-main, busy-main-and-harm: a loop in a thread
beside a main thread that computes. nested: a callback runs a loop of its own; reentrant: it runs
the same loop again, which goes on serving. left-behind: a loop that nobody runs any more keeps its
timers. fork, fork-and-harm: a child has inherited the loop. c-callback: the callback itself is a C
function. many-tasks: thousands of tasks. near: stalls just below the threshold. awaiting: tasks
wait for what never comes.
"""

import asyncio
import itertools
import os
import sys
import threading
import time

import loop_under_test
import truth
from loop_under_test import GAP_S, harm_often, run, start_victims


def sleep(length_s):
    time.sleep(length_s)  # culprit


def two():
    async def other():
        _, kept = await start_victims(["timers", "callbacks"])
        await asyncio.Event().wait()
        return kept

    threading.Thread(target=lambda: run(other()), daemon=True).start()
    run(harm_often(sleep, "blocked-loop", ["io"]))


def compute():
    while True:
        sum(n * n for n in range(1000))


def beside_a_busy_main_thread(harm):
    async def serve():
        facts, kept = await start_victims(["io"])
        truth.ready(**facts)
        await asyncio.Event().wait()
        return kept

    main = harm_often(sleep, "blocked-loop", ["io"]) if harm else serve()
    threading.Thread(target=run, args=(main,), daemon=True).start()
    compute()


def run_loop_inside(length_s):
    outer, task = asyncio._get_running_loop(), asyncio.current_task()
    asyncio.tasks._leave_task(outer, task)  # from 3.14 on, no other task of the thread runs else
    asyncio._set_running_loop(None)
    inner = asyncio.new_event_loop()
    try:
        inner.run_until_complete(asyncio.sleep(length_s))  # culprit
    finally:
        inner.close()
        asyncio._set_running_loop(outer)
        asyncio.tasks._enter_task(outer, task)


async def run_again():
    import nest_asyncio

    nest_asyncio.apply()
    facts, kept = await start_victims(["io", "timers"])
    truth.ready(**facts)
    for length_s in truth.lengths():
        asyncio.get_running_loop().run_until_complete(asyncio.sleep(length_s))
        await asyncio.sleep(GAP_S)
    return kept


async def beats(count):
    tasks = [asyncio.ensure_future(loop_under_test.beat()) for _ in range(count)]
    await asyncio.sleep(0.1)
    return tasks


async def serve_healthily():
    facts, kept = await start_victims(["io", "timers", "callbacks"])
    truth.ready(**facts)
    await asyncio.Event().wait()
    return kept


def left_behind():
    forgotten = loop_under_test.new_loop()
    tasks = forgotten.run_until_complete(beats(3))
    run(serve_healthily())
    return tasks


def fork(main):
    async def then_fork():
        await asyncio.sleep(0.05)
        if os.fork() == 0:
            while True:
                time.sleep(1)
        await main

    run(then_fork())


async def call_a_c_function():
    facts, kept = await start_victims(["io", "timers"])
    truth.ready(**facts)
    loop = asyncio.get_running_loop()
    for length_s in truth.lengths():
        await asyncio.sleep(GAP_S)
        number = truth.begin("blocked-loop", "a C callback|sleep")
        done = asyncio.Event()
        loop.call_soon(time.sleep, length_s)
        loop.call_soon(done.set)
        await done.wait()
        truth.end(number)
    return kept


async def among_many_tasks():
    many = int(sys.argv[2]) // 2 if len(sys.argv) > 2 else 1500
    victims = sys.argv[3].split(",") if len(sys.argv) > 3 else ["io", "timers"]
    waiting = [asyncio.ensure_future(asyncio.sleep(600 + n)) for n in range(many)]
    waiting += [asyncio.ensure_future(asyncio.Event().wait()) for _ in range(many)]
    await harm_often(sleep, "blocked-loop", victims)
    return waiting


async def wait_for_what_never_comes():
    loop = asyncio.get_running_loop()
    waiting = [asyncio.ensure_future(asyncio.wait([loop.create_future()])) for _ in range(50)]
    facts, kept = await start_victims(["io"])
    truth.ready(**facts)
    await asyncio.Event().wait()
    return waiting, kept


STORIES = {
    "two": two,
    "busy-main": lambda: beside_a_busy_main_thread(False),
    "busy-main-and-harm": lambda: beside_a_busy_main_thread(True),
    "nested": lambda: run(harm_often(run_loop_inside, "blocked-loop", ["io", "timers"])),
    "reentrant": lambda: run(run_again()),
    "left-behind": left_behind,
    "fork": lambda: fork(serve_healthily()),
    "fork-and-harm": lambda: fork(harm_often(sleep, "blocked-loop", ["io"])),
    "c-callback": lambda: run(call_a_c_function()),
    "many-tasks": lambda: run(among_many_tasks()),
    "near": lambda: run(
        harm_often(sleep, "blocked-loop", ["io", "timers"], itertools.cycle([0.05, 0.07, 0.085]))
    ),
    "awaiting": lambda: run(wait_for_what_never_comes()),
    "healthy": lambda: run(serve_healthily()),
}
STORIES[sys.argv[1]]()
