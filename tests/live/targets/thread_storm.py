"""A program that starts many threads that end at once: argv THREADS_A_SECOND LASTING_S DEPTH.

Each thread sleeps below so many frames, and is named like no other; an asyncio loop starts them.
"""

import asyncio
import sys
import threading
import time


def nap(lasting_s: float, depth: int) -> None:
    if depth > 0:
        nap(lasting_s, depth - 1)
    else:
        time.sleep(lasting_s)


async def main() -> None:
    a_second, lasting_s, depth = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    print("{}", flush=True)
    began_s = time.monotonic()
    started = 0
    while True:
        while started < (time.monotonic() - began_s) * a_second:
            threading.Thread(target=nap, args=(lasting_s, depth), daemon=True).start()
            started += 1
        await asyncio.sleep(0.005)


asyncio.run(main())
