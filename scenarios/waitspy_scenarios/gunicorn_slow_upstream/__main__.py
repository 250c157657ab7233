"""The command: ``python -m waitspy_scenarios.gunicorn_slow_upstream [options]``."""

from __future__ import annotations

import sys

import waitspy_scenarios.gunicorn_slow_upstream as scenario
from waitspy_scenarios.serving.load import Load, get
from waitspy_scenarios.serving.needs import Needs
from waitspy_scenarios.serving.processes import free_port
from waitspy_scenarios.serving.stage import Stage, make_parser, run

NEEDS = Needs(modules=("gunicorn", "requests"))
_APP = "waitspy_scenarios.gunicorn_slow_upstream.app:stock_page"
_HOOKS = "python:waitspy_scenarios.gunicorn_slow_upstream.hooks"
_DELAY_S = 0.5
_DELAY_HEALTHY_S = 0.01
_THREADS = 3


async def play(stage: Stage) -> None:
    """Gunicorn with workers of that class, and many clients of a page that takes long."""
    healthy, worker_class = stage.options.healthy, stage.options.worker_class
    stock = await stage.slow_upstream(_DELAY_HEALTHY_S if healthy else _DELAY_S)
    port = free_port()
    await stage.start(
        "gunicorn",
        *(sys.executable, "-m", "gunicorn", _APP, "--config", _HOOKS),
        *("--bind", f"127.0.0.1:{port}", "--workers", str(scenario.WORKERS)),
        *("--worker-class", worker_class, "--graceful-timeout", "1"),
        *(("--threads", str(_THREADS)) if worker_class == "gthread" else ()),
        ready="worker serves",  # gunicorn listens before: a connection to probe it would wait
        times=scenario.WORKERS,
        env={"STOCK_URL": f"http://127.0.0.1:{stock}/stock"},
    )
    await stage.load(Load("/stock", get(port, "/stock"), clients=16, gap_s=0.2))


if __name__ == "__main__":
    parser = make_parser(scenario.__doc__)
    parser.add_argument(
        "--worker-class", choices=("sync", "gthread"), default="sync", help="gunicorn's (sync)"
    )
    sys.exit(run(play, parser, NEEDS))
