"""The command: ``python -m waitspy_scenarios.gunicorn_recycled_workers [options]``."""

from __future__ import annotations

import sys
from dataclasses import replace

import waitspy_scenarios.gunicorn_recycled_workers as scenario
from waitspy_scenarios.fastapi_sync_call.traffic import APP, NEEDS, start_rates, traffic
from waitspy_scenarios.serving.processes import free_port
from waitspy_scenarios.serving.stage import Stage, make_parser, run

_MORE_NEEDS = ("gunicorn", "httptools", "uvicorn_worker", "uvloop")
_MAX_REQUESTS = 25  # a worker lives for some seconds
_MAX_REQUESTS_HEALTHY = 80  # they are answered faster


async def play(stage: Stage) -> None:
    """Gunicorn with uvicorn's workers, and the clients of the application."""
    healthy = stage.options.healthy
    env = await start_rates(stage)
    most = _MAX_REQUESTS_HEALTHY if healthy else _MAX_REQUESTS
    port = free_port()
    await stage.start(
        "gunicorn",
        *(sys.executable, "-m", "gunicorn", APP, "--bind", f"127.0.0.1:{port}"),
        *("--worker-class", "uvicorn_worker.UvicornWorker", "--workers", str(scenario.WORKERS)),
        *("--max-requests", str(most), "--max-requests-jitter", str(most // 3)),
        *("--graceful-timeout", "2"),
        ready="Application startup complete",
        times=scenario.WORKERS,
        env=env,
    )
    await stage.load(*traffic(port, healthy=healthy))


if __name__ == "__main__":
    needs = replace(NEEDS, modules=NEEDS.modules + _MORE_NEEDS)
    sys.exit(run(play, make_parser(scenario.__doc__), needs))
