"""A loop with many tasks that is blocked for ever: argv TASKS LATE WAITERS. For measuring what a look
at it costs.

With LATE ``late``, one more task sleeps, and should have gone on long ago. So many of them as WAITERS want a
lock that one of the others holds.
"""

import asyncio
import json
import sys
import threading


async def wait_for(event: asyncio.Event) -> None:
    await event.wait()


async def hold(lock: asyncio.Lock, event: asyncio.Event) -> None:
    async with lock:
        await event.wait()


async def main() -> None:
    event, lock = asyncio.Event(), asyncio.Lock()
    many, late, waiters = int(sys.argv[1]), sys.argv[2] == "late", int(sys.argv[3])
    wants = waiters + bool(waiters)
    tasks = [asyncio.create_task(hold(lock, event)) for _ in range(wants)]
    tasks += [asyncio.create_task(wait_for(event)) for _ in range(many - wants)]
    if late:
        tasks.append(asyncio.create_task(asyncio.sleep(0.15)))
    await asyncio.sleep(0.1)
    print(json.dumps({"tasks": len(tasks)}), flush=True)
    threading.Event().wait()  # for ever


asyncio.run(main())
