"""The application: a page from the database, and a chat that asks a model about a customer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi.responses import PlainTextResponse
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from waitspy_scenarios.held_sessions import POOL_SIZE

THINKS_S = 2.0
SHORT_SESSIONS = "SHORT_SESSIONS" in os.environ

_URL = f"postgresql+psycopg://postgres@127.0.0.1:{os.environ['ACCOUNTS_PORT']}/postgres"
_NAME = text("SELECT 'customer ' || 1")

engine = create_async_engine(_URL, pool_size=POOL_SIZE, max_overflow=0, pool_timeout=60)
make_session = async_sessionmaker(engine)
app = FastAPI(default_response_class=PlainTextResponse)


async def session() -> AsyncIterator[AsyncSession]:
    """A session for the whole request."""
    async with make_session() as opened:
        yield opened


async def ask_model(name: str) -> str:
    """Waits for a language model."""
    await asyncio.sleep(THINKS_S)  # the model's answer comes late
    return f"dear {name}"


@app.get("/chat")
async def chat(opened: Annotated[AsyncSession, Depends(session)]) -> str:
    """Greets a customer in the words of the model."""
    name = str(await opened.scalar(_NAME))
    if SHORT_SESSIONS:
        await opened.close()
    return await ask_model(name)


@app.get("/name")
async def customer_name(opened: Annotated[AsyncSession, Depends(session)]) -> str:
    """What the database says."""
    return str(await opened.scalar(_NAME))
