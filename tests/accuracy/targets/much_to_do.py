"""Loops with much to do, none of it long: argv fair|crowded|bursts [VICTIMS]. Python 3.8 syntax.

fair: each answer takes 4 ms of CPU, and the clients are few. crowded: they are so many that each
waits long. bursts: a hundred short things are due at once: callbacks that another thread hands in, or timers, or
tasks.
"""

import asyncio
import sys
import threading
import time

import loop_under_test
import truth


def spend(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:  # culprit
        pass  # culprit


async def answer(reader, writer):
    try:
        while True:
            line = await reader.readline()
            if not line:
                break
            truth.served("io", int(line))
            spend(0.004)
            writer.write(b"answer\n")
            await writer.drain()
    except ConnectionError:
        pass


def called(due_ns):
    truth.served("callback", due_ns)
    spend(0.005)


async def take_turn(due_ns):
    called(due_ns)


def at_once(loop, what, many):
    """Many short things of one kind, all due now; on the loop's own thread."""
    now_s, now_ns = loop.time(), time.monotonic_ns()
    for _ in range(many):
        if what == "timers":
            loop.call_at(now_s, called, now_ns)
        else:
            loop.create_task(take_turn(now_ns))


def hand_in_bursts(loop, what, tid):
    for length_s in truth.lengths(0.3, 1.2):
        time.sleep(loop_under_test.GAP_S)
        done = threading.Event()
        number = truth.begin("overloaded-loop", spend, tid)
        many = int(length_s / 0.005)
        if what == "callbacks":
            for _ in range(many):
                loop.call_soon_threadsafe(called, time.monotonic_ns())
        else:
            loop.call_soon_threadsafe(at_once, loop, what, many)
        # on the way timers take one more turn of the loop
        loop.call_soon_threadsafe(loop.call_later, 0, loop.call_soon, done.set)
        done.wait()
        truth.end(number)


async def main():
    server, port = await loop_under_test.serve_lines(answer)
    if sys.argv[1] == "bursts":
        what = sys.argv[2] if len(sys.argv) > 2 else "callbacks"
        arguments = asyncio.get_running_loop(), what, threading.get_native_id()
        threading.Thread(target=hand_in_bursts, args=arguments, daemon=True).start()
        truth.ready()
    else:
        truth.ready(port=port)
    while sys.argv[1] == "crowded":  # in pieces, as the CPU may be there or not
        number = truth.begin("overloaded-loop", spend)
        await asyncio.sleep(0.5)
        truth.end(number)
    await asyncio.Event().wait()
    return server


loop_under_test.run(main())
