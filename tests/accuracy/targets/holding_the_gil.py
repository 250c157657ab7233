"""A thread beside the loop that keeps the GIL, or lets go of it: argv keeps|lets-go.

Clients wait for a loop that is otherwise healthy. Python 3.8 syntax.
"""

import asyncio
import hashlib
import sys
import threading
import time

import loop_under_test
import truth


def square(number):
    """One C function that never lets go of the GIL."""
    return number * number  # culprit


def digest(data):
    """One C function that lets go of it."""
    return hashlib.sha256(data).hexdigest()


def numbers():
    """Huge numbers whose squares take from 0.2 to 0.9 seconds."""
    number, found = 7**100_000, []
    while True:
        start = time.perf_counter()
        square(number)
        length_s = time.perf_counter() - start
        if length_s > 0.2:
            found.append(number)
        if length_s > 0.6:
            return found
        number *= 7**200_000 if length_s < 0.1 else 7**600_000


def keep_it(loop_tid):
    found = numbers()
    started.set()
    for n in range(10**6):
        time.sleep(loop_under_test.GAP_S)
        number = truth.begin("gil-bound", square, tid=loop_tid)
        square(found[n * 7 % len(found)])
        truth.end(number)


def let_go_of_it():
    data = b"x" * 200_000_000
    started.set()
    while True:
        digest(data)


started = threading.Event()


async def main():
    if sys.argv[1] == "keeps":
        thread = threading.Thread(target=keep_it, args=(threading.get_native_id(),), daemon=True)
    else:
        thread = threading.Thread(target=let_go_of_it, daemon=True)
    thread.start()
    started.wait()
    facts, kept = await loop_under_test.start_victims(
        sys.argv[2].split(",") if len(sys.argv) > 2 else ["io"]
    )
    truth.ready(**facts)
    await asyncio.Event().wait()
    return kept


loop_under_test.run(main())
