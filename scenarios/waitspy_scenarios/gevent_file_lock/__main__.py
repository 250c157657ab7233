"""The command: ``python -m waitspy_scenarios.gevent_file_lock [options]``."""

from __future__ import annotations

import asyncio
import sys

import waitspy_scenarios.gevent_file_lock as scenario
from waitspy_scenarios.serving.load import Load, get
from waitspy_scenarios.serving.needs import Needs
from waitspy_scenarios.serving.processes import free_port
from waitspy_scenarios.serving.stage import Stage, make_parser, run

NEEDS = Needs(modules=("gevent", "gunicorn"), commands={"flock": "util-linux"})


async def play(stage: Stage) -> None:
    """Gunicorn with a gevent worker, a cron job with a lock, clients that want reports or not."""
    lock = stage.folder() / "cache.lock"
    lock.touch()
    port = free_port()
    await stage.start(
        "gunicorn",
        *(sys.executable, "-m", "gunicorn", "waitspy_scenarios.gevent_file_lock.app:app"),
        *("--worker-class", "gevent", "--bind", f"127.0.0.1:{port}", "--no-control-socket"),
        ready="reports: ready",
        env={"REPORTS_LOCK": str(lock)},
    )

    async def refresh_cache() -> None:
        job = await asyncio.create_subprocess_exec("flock", lock, "sleep", str(scenario.HELD_S))
        await job.wait()

    path = "/report/yield" if stage.options.healthy else "/report/wait"
    await stage.load(
        Load("cron job", refresh_cache, clients=1, gap_s=scenario.FREE_S),
        Load(path, get(port, path), clients=2, gap_s=0.2),
        Load("/", get(port, "/"), clients=4),
    )


if __name__ == "__main__":
    sys.exit(run(play, make_parser(scenario.__doc__), NEEDS))
