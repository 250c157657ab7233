"""The shop, as gunicorn runs it: ``gunicorn -k aiohttp.GunicornWebWorker ….app:make_app``."""

from __future__ import annotations

import os

import redis
import redis.asyncio
from aiohttp import web

CARTS = web.AppKey("CARTS", redis.Redis)
CARTS_ASYNC = web.AppKey("CARTS_ASYNC", redis.asyncio.Redis)

routes = web.RouteTableDef()


@routes.get("/carts/sync/{customer}")
async def show_cart(request: web.Request) -> web.Response:
    """Asks Redis on the loop's thread: nothing else of this worker runs until it answers."""
    items = request.app[CARTS].hgetall(f"cart:{request.match_info['customer']}")
    return web.json_response({"items": len(items)})


@routes.get("/carts/async/{customer}")
async def show_cart_awaited(request: web.Request) -> web.Response:
    """Asks the same, and lets others run meanwhile."""
    items = await request.app[CARTS_ASYNC].hgetall(f"cart:{request.match_info['customer']}")
    return web.json_response({"items": len(items)})


@routes.get("/healthz")
async def healthz(_request: web.Request) -> web.Response:
    """What a load balancer asks."""
    return web.Response(text="ok")


async def make_app() -> web.Application:
    """What each of gunicorn's workers serves."""
    port = int(os.environ["SHOP_REDIS_PORT"])
    app = web.Application()
    app[CARTS] = redis.Redis(host="127.0.0.1", port=port)
    app[CARTS_ASYNC] = redis.asyncio.Redis(host="127.0.0.1", port=port)
    app.add_routes(routes)
    print("shop: ready")  # the worker serves right after
    return app
