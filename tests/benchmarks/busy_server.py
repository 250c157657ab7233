"""One uvicorn that answers at once, and serves until it is ended: argv PORT."""

import sys
from typing import Any

import uvicorn


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with two bytes."""
    assert scope["type"] == "http"
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


class _Server(uvicorn.Server):
    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        print("{}", flush=True)


config = uvicorn.Config(
    app, port=int(sys.argv[1]), loop="asyncio", http="h11", lifespan="off", log_level="error"
)
_Server(config).run()
