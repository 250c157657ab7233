"""The command: ``python -m waitspy_scenarios.celery_leftovers [options]``."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import os
import signal
import sys

import waitspy_scenarios.celery_leftovers as scenario
from waitspy_scenarios.celery_leftovers.mail_service import MailService
from waitspy_scenarios.serving.databases import REDIS, start_redis
from waitspy_scenarios.serving.load import Load
from waitspy_scenarios.serving.needs import Needs
from waitspy_scenarios.serving.stage import Stage, make_parser, run
from waitspy_scenarios.serving.upstream import port_of

NEEDS = Needs(modules=("celery", "redis"), commands=REDIS)
TASKS = "waitspy_scenarios.celery_leftovers.tasks"


async def play(stage: Stage) -> None:
    """Celery with its worker processes, a mail service, and an order now and then."""
    service = MailService()
    async with await service.listen() as listening:
        os.environ["ORDERS_BROKER"] = f"redis://127.0.0.1:{await start_redis(stage)}/0"
        celery = await stage.start(
            "celery",
            *(
                sys.executable,
                "-m",
                "celery",
                "-A",
                TASKS,
                "worker",
            ),
            *("--pool", "prefork", "--concurrency", str(scenario.WORKERS)),
            *("--without-gossip", "--without-mingle", "--loglevel", "info"),
            ready=" ready.",
            env={"ORDERS_MAIL_PORT": str(port_of(listening))},
        )
        # Needs Celery and the broker's address; not in this loop, which is served meanwhile.
        tasks = await asyncio.to_thread(importlib.import_module, TASKS)
        numbers = itertools.count(1)

        async def order() -> None:
            send = tasks.place_order.delay
            await asyncio.to_thread(send, next(numbers), await_mail=stage.options.healthy)

        clients = 0 if stage.options.idle else 1
        await stage.load(Load("orders", order, clients, gap_s=scenario.ORDER_EVERY_S))
        # Not asked to end: that takes Celery seconds, which are another story.
        os.kill(celery, signal.SIGKILL)
    mails = service.mails.values()
    print(f"{len(mails)} orders were confirmed by {sum(mails)} mails")


if __name__ == "__main__":
    parser = make_parser(scenario.__doc__)
    parser.add_argument("--idle", action="store_true", help="nobody orders anything")
    sys.exit(run(play, parser, NEEDS))
