"""The command: ``python -m waitspy_scenarios.held_sessions [options]``."""

from __future__ import annotations

import sys

import waitspy_scenarios.held_sessions as scenario
from waitspy_scenarios.serving.asgi import start_uvicorn
from waitspy_scenarios.serving.databases import POSTGRES, start_postgres
from waitspy_scenarios.serving.load import Load, get
from waitspy_scenarios.serving.needs import Needs
from waitspy_scenarios.serving.stage import Stage, make_parser, run

NEEDS = Needs(
    modules=("fastapi", "greenlet", "psycopg", "sqlalchemy", "uvicorn"), commands=POSTGRES
)
_APP = "waitspy_scenarios.held_sessions.app:app"


async def play(stage: Stage) -> None:
    """One server, chats that take long, and clients of a page that does not."""
    env = {"ACCOUNTS_PORT": str(await start_postgres(stage))}
    if stage.options.healthy:
        env["SHORT_SESSIONS"] = "1"
    port = await start_uvicorn(stage, _APP, env)
    await stage.load(
        Load("/chat", get(port, "/chat"), clients=scenario.POOL_SIZE, gap_s=0.1),
        Load("/name", get(port, "/name"), clients=6, gap_s=0.1),
    )


if __name__ == "__main__":
    sys.exit(run(play, make_parser(scenario.__doc__), NEEDS))
