"""A FastAPI app with one endpoint that blocks its loop, and one that does not."""

import asyncio
import time

from fastapi import FastAPI

app = FastAPI()


@app.get("/blocking")
async def blocking():
    time.sleep(0.5)
    return {"ok": True}


@app.get("/awaiting")
async def awaiting():
    await asyncio.sleep(0.5)
    return {"ok": True}


@app.get("/in-a-thread")
def in_a_thread():
    time.sleep(0.5)
    return {"ok": True}
