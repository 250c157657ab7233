"""The pipeline: crawlers in a pool of processes, and the stage that stores what they find.

``python -m waitspy_scenarios.process_pool_pipeline.app`` ``blocking|awaiting UPSTREAM_PORT
HEALTH_PORT…``
starts one crawler per health port, and never ends by itself.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import queue
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

_DOWNLOADS = 4  # at a time, per crawler
_QUEUED = 4
_STORING_S = 0.15
_LOOK_AGAIN_S = 0.02
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

pages: Any = None  # the queue to the next stage, in each worker process


def set_up_worker(to_next_stage: Any) -> None:
    """Called once in each process of the pool."""
    global pages  # noqa: PLW0603 - a pool hands a queue over in no other way
    pages = to_next_stage


def run_crawler(upstream: int, health: int, blocking: bool) -> None:
    """One job of the pool: a crawler with a loop of its own."""
    asyncio.run(crawl(upstream, health, blocking))


async def crawl(upstream: int, health: int, blocking: bool) -> None:
    """Downloads pages for ever, and answers how it is."""
    server = await asyncio.start_server(_answer_health, "127.0.0.1", health)
    print(f"crawling, health on {health}", flush=True)
    async with server:
        await asyncio.gather(*(_download_pages(upstream, blocking) for _ in range(_DOWNLOADS)))


async def _download_pages(upstream: int, blocking: bool) -> None:
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", upstream)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        page = await reader.read()
        writer.close()
        if blocking:
            await hand_over(page)
        else:
            await hand_over_awaiting(page)


async def hand_over(page: bytes) -> None:
    """Waits on the loop's thread until the next stage has room."""
    pages.put(page)


async def hand_over_awaiting(page: bytes) -> None:
    """Lets others run until the next stage has room."""
    while True:
        try:
            pages.put_nowait(page)
        except queue.Full:
            await asyncio.sleep(_LOOK_AGAIN_S)
        else:
            return


async def _answer_health(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(_OK)
    writer.close()


def main() -> None:
    """The next stage: stores one page after the other, slowly."""
    mode, upstream, *health = sys.argv[1:]
    context = multiprocessing.get_context("spawn")
    to_next_stage = context.Queue(_QUEUED)
    with ProcessPoolExecutor(len(health), context, set_up_worker, (to_next_stage,)) as pool:
        for port in health:
            pool.submit(run_crawler, int(upstream), int(port), mode == "blocking")
        while True:
            to_next_stage.get()
            time.sleep(_STORING_S)


if __name__ == "__main__":
    main()
