"""The command: ``python -m waitspy_scenarios.forked_log_lock [options]``."""

from __future__ import annotations

import sys

import waitspy_scenarios.forked_log_lock as scenario
from waitspy_scenarios.serving.load import Load, get
from waitspy_scenarios.serving.needs import Needs
from waitspy_scenarios.serving.processes import free_port
from waitspy_scenarios.serving.stage import Stage, make_parser, run

NEEDS = Needs(modules=("fastapi", "gunicorn", "requests", "uvicorn_worker"))
_APP = "waitspy_scenarios.forked_log_lock.app:app"
_DELAY_S = 3.0  # longer than gunicorn takes from the import to its last fork


async def play(stage: Stage) -> None:
    """Gunicorn that imports the application before it forks, and some clients."""
    audit = await stage.slow_upstream(_DELAY_S)
    env = {"AUDIT_URL": f"http://127.0.0.1:{audit}/"}
    if stage.options.healthy:
        env["FORK_SAFE"] = "1"
    port = free_port()
    await stage.start(
        "gunicorn",
        *(sys.executable, "-m", "gunicorn", _APP, "--bind", f"127.0.0.1:{port}", "--preload"),
        *("--worker-class", "uvicorn_worker.UvicornWorker", "--workers", str(scenario.WORKERS)),
        *("--graceful-timeout", "1"),
        ready="Application startup complete",
        times=scenario.WORKERS,
        env=env,
    )
    await stage.load(Load("/order", get(port, "/order"), clients=6, gap_s=0.05))


if __name__ == "__main__":
    sys.exit(run(play, make_parser(scenario.__doc__), NEEDS))
