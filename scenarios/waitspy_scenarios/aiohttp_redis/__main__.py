"""The command: ``python -m waitspy_scenarios.aiohttp_redis [options]``."""

from __future__ import annotations

import sys

import waitspy_scenarios.aiohttp_redis as scenario
from waitspy_scenarios.serving.databases import REDIS, start_redis
from waitspy_scenarios.serving.load import Load, get
from waitspy_scenarios.serving.needs import Needs
from waitspy_scenarios.serving.processes import free_port
from waitspy_scenarios.serving.stage import Stage, make_parser, run

NEEDS = Needs(modules=("aiohttp", "gunicorn", "redis"), commands=REDIS)


async def play(stage: Stage) -> None:
    """Gunicorn with its workers, a Redis that pauses, shoppers, and a check of health."""
    from redis.asyncio import Redis  # noqa: PLC0415  (may be missing)

    redis_port, port = await start_redis(stage), free_port()
    await stage.start(
        "gunicorn",
        *(sys.executable, "-m", "gunicorn", "waitspy_scenarios.aiohttp_redis.app:make_app"),
        *("--worker-class", "aiohttp.GunicornWebWorker", "--workers", str(scenario.WORKERS)),
        *("--bind", f"127.0.0.1:{port}", "--no-control-socket"),
        ready="shop: ready",
        times=scenario.WORKERS,
        env={"SHOP_REDIS_PORT": str(redis_port)},
    )

    async def pause() -> None:
        await redis.client_pause(int(scenario.PAUSE_S * 1000))

    path = f"/carts/{'async' if stage.options.healthy else 'sync'}/7"
    async with Redis(host="127.0.0.1", port=redis_port) as redis:
        await stage.load(
            Load("redis pauses", pause, clients=1, gap_s=scenario.PAUSE_EVERY_S),
            Load(path, get(port, path), clients=4),
            Load("/healthz", get(port, "/healthz"), clients=4, gap_s=0.03),
        )


if __name__ == "__main__":
    sys.exit(run(play, make_parser(scenario.__doc__), NEEDS))
