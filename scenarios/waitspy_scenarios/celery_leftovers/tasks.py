"""The orders: ``celery -A waitspy_scenarios.celery_leftovers.tasks worker``."""

from __future__ import annotations

import asyncio
import functools
import os

from celery import Celery

from waitspy_scenarios.celery_leftovers import PATIENCE_S

_ATTEMPTS = 3

app = Celery("orders", broker=os.environ["ORDERS_BROKER"])
app.conf.broker_connection_retry_on_startup = True

_mails: set[asyncio.Task[None]] = set()  # a task that nobody holds may be collected


@functools.cache
def event_loop() -> asyncio.AbstractEventLoop:
    """This process's own loop: kept, so that connections could survive from task to task."""
    return asyncio.new_event_loop()


@app.task(ignore_result=True)  # type: ignore[untyped-decorator]
def place_order(number: int, *, await_mail: bool) -> None:
    """Synchronous outside, asyncio inside."""
    event_loop().run_until_complete(handle_order(number, await_mail=await_mail))


async def handle_order(number: int, *, await_mail: bool) -> None:
    """Starts the mail that confirms the order, and books the order."""
    mail = asyncio.create_task(send_mail(number), name=f"mail for order {number}")
    _mails.add(mail)
    mail.add_done_callback(_mails.discard)
    await asyncio.sleep(0.05)
    if await_mail:
        await mail


async def send_mail(number: int) -> None:
    """Hands a mail to the mail service until it gives a receipt."""
    for _ in range(_ATTEMPTS):
        try:
            async with asyncio.timeout(PATIENCE_S):
                await deliver(number)
        except TimeoutError:
            continue
        return


async def deliver(number: int) -> None:
    """One attempt: the mail, and the wait for its receipt."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(os.environ["ORDERS_MAIL_PORT"]))
    try:
        writer.write(f"order {number}\n".encode())
        await reader.readline()
    finally:
        writer.close()
