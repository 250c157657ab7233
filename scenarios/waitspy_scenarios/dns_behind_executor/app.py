"""The application: stores archives, and finds out where another service is."""

from __future__ import annotations

import asyncio
import socket
import time
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

SLOW_DISK_S = 0.4
OWN_THREADS = 32

app = FastAPI(default_response_class=PlainTextResponse)
own_executor = ThreadPoolExecutor(OWN_THREADS, thread_name_prefix="archives")


def store_archive() -> str:
    """Waits for the disk."""
    time.sleep(SLOW_DISK_S)
    return "stored"


@app.get("/archive/default")
async def archive_in_default_executor() -> str:
    """Takes a thread that lookups need as well."""
    return await asyncio.get_running_loop().run_in_executor(None, store_archive)


@app.get("/archive/own")
async def archive_in_own_executor() -> str:
    """Leaves the default executor alone."""
    return await asyncio.get_running_loop().run_in_executor(own_executor, store_archive)


@app.get("/lookup")
async def look_up() -> str:
    """What every connection to a name begins with."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
    return str(found[0][4][0])
