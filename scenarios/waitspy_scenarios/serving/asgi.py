"""Starts ASGI applications under uvicorn."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from waitspy_scenarios.serving.processes import free_port
from waitspy_scenarios.serving.stage import Stage


async def start_uvicorn(
    stage: Stage, app: str, env: Mapping[str, str] | None = None, *, workers: int = 1
) -> int:
    """The port of that application (``package.module:name``) on asyncio's own loop.

    ``env`` is for the application. Returns once every worker serves.
    """
    port = free_port()
    await stage.start(
        "uvicorn",
        *(sys.executable, "-m", "uvicorn", app, "--port", str(port), "--workers", str(workers)),
        *("--loop", "asyncio", "--http", "h11", "--no-access-log"),
        ready="Application startup complete",
        times=workers,
        env=env,
    )
    return port
