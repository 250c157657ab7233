"""A loop with many tasks that is blocked for ever: argv TASKS LATE. For measuring what a look at it costs.

With LATE, one more task sleeps, and should have gone on long ago.
"""

import asyncio
import json
import sys
import threading


async def wait_for(event: asyncio.Event) -> None:
    await event.wait()


async def main() -> None:
    event = asyncio.Event()
    tasks = [asyncio.create_task(wait_for(event)) for _ in range(int(sys.argv[1]))]
    if sys.argv[2] == "late":
        tasks.append(asyncio.create_task(asyncio.sleep(0.15)))
    await asyncio.sleep(0.1)
    print(json.dumps({"tasks": len(tasks)}), flush=True)
    threading.Event().wait()  # for ever


asyncio.run(main())
