"""Loops with much to do, none of it long: argv fair|crowded|bursts. Python 3.8 syntax.

fair: each answer takes 4 ms of CPU, and the clients are few. crowded: they are so many that each
waits long. bursts: another thread hands in a hundred short callbacks at once.
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


def hand_in_bursts(loop, tid):
    for length_s in truth.lengths(0.3, 1.2):
        time.sleep(loop_under_test.GAP_S)
        done = threading.Event()
        number = truth.begin("overloaded-loop", spend, tid)
        for _ in range(int(length_s / 0.005)):
            loop.call_soon_threadsafe(called, time.monotonic_ns())
        loop.call_soon_threadsafe(done.set)
        done.wait()
        truth.end(number)


async def main():
    server, port = await loop_under_test.serve_lines(answer)
    if sys.argv[1] == "bursts":
        arguments = asyncio.get_running_loop(), threading.get_native_id()
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
