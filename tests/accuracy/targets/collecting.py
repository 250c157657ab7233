"""A loop that is held up by the collection of garbage, or by something like it: argv STORY.

Python 3.8 syntax. asked: the loop's own code asks for it. by-itself: it comes because many objects
were made. thread: another thread collects, and keeps the GIL. Harmless: young: many small
collections; frozen: what there is a lot of is no longer looked at. computes: the same work on the
loop without any collection, which is another kind of harm.
"""

import asyncio
import gc
import sys
import threading
import time

import truth
from loop_under_test import GAP_S, run, start_victims

STORY = sys.argv[1]
CHUNKS, CHUNK = 35, 20_000
HEAP = []


def collect():
    gc.collect()  # culprit


def make_objects():
    gc.enable()
    made = [[] for _ in range(5000)]  # culprit
    gc.disable()
    return made


def compute():
    until = time.monotonic() + 0.3
    while time.monotonic() < until:
        sum(n * n for n in range(1000))  # culprit


HARMS = {"asked": collect, "by-itself": make_objects, "computes": compute}


def fill():
    gc.disable()
    for _ in range(CHUNKS):
        add()


def add():
    HEAP.append([[n, [n], {"n": [n]}] for n in range(CHUNK)])


async def change(some):
    """In small steps: nothing is held up by that."""
    for _ in range(CHUNKS):
        some()
        await asyncio.sleep(0)


async def renew():
    """Makes all that there is new, so that the next collection looks at it."""
    await change(HEAP.pop)
    await change(add)


async def harm_often():
    harm = HARMS[STORY]
    kind = "busy-loop" if STORY == "computes" else "gc-pause"
    facts, kept = await start_victims(["io", "timers"])
    truth.ready(**facts)
    while True:
        await asyncio.sleep(GAP_S)
        if STORY == "by-itself":
            await renew()
        with truth.stall(kind, harm):
            harm()
    return kept


def collect_often(loop_tid):
    while True:
        time.sleep(GAP_S)
        with truth.stall("gc-pause", collect, loop_tid):
            collect()


async def beside_a_thread():
    facts, kept = await start_victims(["io"])
    truth.ready(**facts)
    threading.Thread(target=collect_often, args=(threading.get_native_id(),), daemon=True).start()
    await asyncio.Event().wait()
    return kept


async def harmless():
    if STORY == "frozen":
        fill()
        gc.freeze()
    gc.enable()
    facts, kept = await start_victims(["io", "timers"])
    truth.ready(**facts)
    while True:
        await asyncio.sleep(0.02)
        kept.append([[n] for n in range(2000)])
        del kept[-1]
        if STORY == "frozen":
            gc.collect()


if STORY in HARMS or STORY == "thread":
    fill()
    run(beside_a_thread() if STORY == "thread" else harm_often())
else:
    run(harmless())
