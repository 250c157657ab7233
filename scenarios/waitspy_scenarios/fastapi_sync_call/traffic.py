"""What surrounds the application, whatever serves it: the slow service, and the clients."""

from __future__ import annotations

from waitspy_scenarios.serving.load import Load, get
from waitspy_scenarios.serving.needs import Needs
from waitspy_scenarios.serving.stage import Stage

APP = "waitspy_scenarios.fastapi_sync_call.app:app"
NEEDS = Needs(modules=("fastapi", "httpx", "requests", "uvicorn"))
_DELAY_S = 0.3


async def start_rates(stage: Stage) -> dict[str, str]:
    """Starts the slow service; the environment in which the application finds it."""
    return {"RATES_URL": f"http://127.0.0.1:{await stage.slow_upstream(_DELAY_S)}/rate"}


def traffic(port: int, *, healthy: bool) -> list[Load]:
    """The endpoint's clients, and a load balancer that asks for the health."""
    path = "/rate/async" if healthy else "/rate/sync"
    return [
        Load(path, get(port, path), clients=6, gap_s=0.1),
        Load("/health", get(port, "/health"), clients=2, gap_s=0.1),
    ]
