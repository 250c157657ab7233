"""A loop whose thread leaves it to wait elsewhere, while work of the loop is under way.

argv: HOW harmful|idle [VICTIMS]. HOW is what it waits for: queue, condition, pipe, join, sleep, or ``stop``:
a loop that is ended by loop.stop() and run again later. ``thread-…`` does that in a thread of its
own, beside a main thread that waits; ``child-…`` in a process of its own. Idle: nothing of the loop
is under way meanwhile. Python 3.8 syntax.
"""

import asyncio
import os
import queue
import sys
import threading
import time

import loop_under_test
import truth

PLACE, _, HOW = sys.argv[1].rpartition("-")
HARMFUL = sys.argv[2] == "harmful"
VICTIMS = sys.argv[3].split(",") if len(sys.argv) > 3 else ["io", "timers"]
JOB_S = 0.3


def wait_for_message(length_s):
    inbox = queue.Queue()
    threading.Timer(length_s, inbox.put, (1,)).start()
    inbox.get()  # culprit


def wait_for_change(length_s):
    changed = threading.Condition()
    with changed:
        changed.wait(length_s)  # culprit


def read_command(length_s):
    reader, writer = os.pipe()
    threading.Timer(length_s, os.write, (writer, b"go")).start()
    os.read(reader, 10)  # culprit
    os.close(reader)
    os.close(writer)


def join_helper(length_s):
    helper = threading.Thread(target=time.sleep, args=(length_s,))
    helper.start()
    helper.join()  # culprit


def rest(length_s):
    time.sleep(length_s)  # culprit


WAITS = {
    "queue": wait_for_message, "condition": wait_for_change, "pipe": read_command,
    "join": join_helper, "sleep": rest, "stop": wait_for_message,
}  # fmt: skip


def work():
    """Jobs on the loop, one after the other, and between them the wait for the next one."""
    wait = WAITS[HOW]
    loop = loop_under_test.new_loop()
    asyncio.set_event_loop(loop)
    facts, kept = loop.run_until_complete(start()) if HARMFUL else ({}, [])
    truth.ready(**facts)
    for length_s in truth.lengths():
        if HOW == "stop":
            loop.call_later(JOB_S, loop.stop)
            loop.run_forever()
        else:
            loop.run_until_complete(asyncio.sleep(JOB_S))
        if HARMFUL:
            loop_under_test.wake_tasks()
            with truth.stall("parked-loop", wait):
                wait(length_s)
        else:
            wait(length_s)
    return kept


async def start():
    return await loop_under_test.start_victims(VICTIMS)


if PLACE == "thread":
    worker = threading.Thread(target=work, name="worker")
    worker.start()
    worker.join()
elif PLACE == "child" and os.fork():
    os.wait()
else:
    work()
