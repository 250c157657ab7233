"""The storefront: ``python -m waitspy_scenarios.tornado_upstream.server PORT UPSTREAM_PORT``."""

from __future__ import annotations

import asyncio
import sys
import urllib.request

from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler

UPSTREAM = "upstream"


class Price(RequestHandler):
    """Asks on the loop's thread: nothing else of this process runs meanwhile."""

    async def get(self) -> None:
        """Answers with what the price service says."""
        with urllib.request.urlopen(self.settings[UPSTREAM]) as answer:  # noqa: ASYNC210, S310
            self.write(answer.read())


class PriceAwaited(RequestHandler):
    """Asks the same with Tornado's own client, and lets others run meanwhile."""

    async def get(self) -> None:
        """Answers with what the price service says."""
        answer = await AsyncHTTPClient().fetch(self.settings[UPSTREAM])
        self.write(answer.body)


class Home(RequestHandler):
    """Needs nothing from anybody."""

    def get(self) -> None:
        """Answers at once."""
        self.write("welcome")


async def serve(port: int, upstream_port: int) -> None:
    """Serves until the process is told to end."""
    routes = [("/price/sync", Price), ("/price/async", PriceAwaited), ("/", Home)]
    app = Application(routes)
    app.settings[UPSTREAM] = f"http://127.0.0.1:{upstream_port}/"
    await AsyncHTTPClient().fetch(app.settings[UPSTREAM])  # its first use loads half of Tornado
    app.listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
