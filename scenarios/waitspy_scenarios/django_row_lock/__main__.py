"""The command: ``python -m waitspy_scenarios.django_row_lock [options]``."""

from __future__ import annotations

import asyncio
import sys

import waitspy_scenarios.django_row_lock as scenario
from waitspy_scenarios.serving.asgi import start_uvicorn
from waitspy_scenarios.serving.databases import POSTGRES, start_postgres
from waitspy_scenarios.serving.load import Load, get
from waitspy_scenarios.serving.needs import Needs
from waitspy_scenarios.serving.stage import Stage, make_parser, run

NEEDS = Needs(modules=("django", "psycopg", "uvicorn"), commands=POSTGRES)

_TABLE = "CREATE TABLE account (id bigint PRIMARY KEY, name text, visits integer DEFAULT 0)"
_ROWS = "INSERT INTO account SELECT n, 'customer ' || n FROM generate_series(1, %s) AS n"
_LOCK = "SELECT * FROM account WHERE id = %s FOR UPDATE"


async def play(stage: Stage) -> None:
    """Uvicorn with Django, all customers, and another session that locks the row of one."""
    from psycopg import AsyncConnection  # noqa: PLC0415  (may be missing)

    database = await start_postgres(stage)
    address = f"host=127.0.0.1 port={database} user=postgres"
    async with await AsyncConnection.connect(address, autocommit=True) as session:
        await session.execute(_TABLE)
        await session.execute(_ROWS, [scenario.ACCOUNTS])
        env = {"ACCOUNTS_PORT": str(database)}
        if stage.options.healthy:
            env["ACCOUNTS_IN_REQUEST"] = "1"
        port = await start_uvicorn(stage, "waitspy_scenarios.django_row_lock.app:application", env)

        async def lock_row() -> None:
            async with session.transaction():
                await session.execute(_LOCK, [scenario.LOCKED])
                await asyncio.sleep(scenario.HELD_S)

        def customer(account: int) -> Load:
            path = f"/accounts/{account}"
            return Load(path, get(port, path), clients=1, gap_s=0.15)

        await stage.load(
            Load("another session's lock", lock_row, clients=1, gap_s=scenario.FREE_S),
            *(customer(account) for account in range(1, scenario.ACCOUNTS + 1)),
        )


if __name__ == "__main__":
    sys.exit(run(play, make_parser(scenario.__doc__), NEEDS))
