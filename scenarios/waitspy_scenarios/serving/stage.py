"""Where a scenario plays: its servers, its slow upstream, its load; and the command around it."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from waitspy_scenarios.serving.latencies import format_latencies
from waitspy_scenarios.serving.load import Load, keep_asking
from waitspy_scenarios.serving.needs import Needs
from waitspy_scenarios.serving.processes import Server, ServerFailedError
from waitspy_scenarios.serving.upstream import port_of, start_upstream

DEFAULT_SECONDS = 20.0
_NOTHING = Needs()

_T = TypeVar("_T")


class Stage:
    """What a scenario uses; leaving the context stops everything that it started, last first.

    ``options`` are the command's: ``healthy``, ``seconds`` and the scenario's own.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self._servers: list[Server] = []
        self._upstreams: list[asyncio.Server] = []
        self._folders: list[tempfile.TemporaryDirectory[str]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for server in reversed(self._servers):
            await server.stop()
        for upstream in self._upstreams:
            upstream.close()
        for folder in self._folders:
            folder.cleanup()

    async def start(
        self,
        name: str,
        *argv: str,
        ready: str | None = None,
        times: int = 1,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> int:
        """Starts a server and gives its pid once it is ready.

        It is ready when its output held ``ready`` so many ``times``, and when it accepts
        connections on ``port``; either may be left out. A server that listens before its workers
        serve should be waited for by what it says: a connection made too early waits in its
        backlog.

        Raises:
            ServerFailedError: it ended instead, or took too long.
        """
        server = await Server.start(name, argv, env or {}, ready)
        self._servers.append(server)
        await server.until_ready(times, port)
        return server.pid

    def folder(self) -> Path:
        """A new folder, deleted at the end."""
        made = tempfile.TemporaryDirectory(prefix="scenario-", ignore_cleanup_errors=True)
        self._folders.append(made)
        return Path(made.name)

    async def slow_upstream(self, delay_s: float) -> int:
        """The port of an HTTP service that answers every request after ``delay_s``."""
        upstream = await start_upstream(delay_s)
        self._upstreams.append(upstream)
        return port_of(upstream)

    async def load(self, *loads: Load) -> None:
        """Lets the clients ask for ``--seconds``, then prints how long the answers took.

        Raises:
            ServerFailedError: a server ended meanwhile.
        """
        seen = await self.during(keep_asking(loads, self.options.seconds))
        print(format_latencies(seen), flush=True)

    async def during(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Does that while the servers run; gives what it gave.

        Raises:
            ServerFailedError: a server ended meanwhile.
        """
        pids = " ".join(f"{server.name}={server.pid}" for server in self._servers)
        announce(f"pid {os.getpid()}: {pids}; load for {self.options.seconds:g} s")
        working = asyncio.create_task(work)
        ends = {server.ended: server for server in self._servers}
        try:
            await asyncio.wait({working, *ends}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not working.done():
                working.cancel()
        for ended, server in ends.items():
            if ended.done():
                raise server.failure()
        return await working


Play = Callable[[Stage], Awaitable[None]]


def announce(line: str) -> None:
    """Tells the user what goes on."""
    print(line, file=sys.stderr, flush=True)


def make_parser(story: str) -> argparse.ArgumentParser:
    """The options that every scenario on a stage has; a scenario may add its own."""
    parser = argparse.ArgumentParser(
        description=story, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--healthy", action="store_true", help="the same without the harm")
    parser.add_argument(
        "--seconds",
        type=float,
        default=DEFAULT_SECONDS,
        metavar="S",
        help=f"how long the load lasts ({DEFAULT_SECONDS:g})",
    )
    return parser


def run(
    play: Play,
    parser: argparse.ArgumentParser,
    needs: Needs = _NOTHING,
    arguments: Sequence[str] | None = None,
) -> int:
    """Plays it with the options given; the exit code is 0, 1 (failed) or 128 + signal.

    Leaves nothing running, also on SIGINT and SIGTERM.
    """
    options = parser.parse_args(arguments)
    missing = needs.missing()
    if missing is not None:
        announce(f"scenarios: {missing}")
        return 1
    received: list[int] = []
    try:
        asyncio.run(_play(play, options, received))
    except asyncio.CancelledError:
        return 128 + received[0]
    except ServerFailedError as error:
        announce(f"scenarios: {error}")
        return 1
    return 0


async def _play(play: Play, options: argparse.Namespace, received: list[int]) -> None:
    loop = asyncio.get_running_loop()
    async with Stage(options) as stage:
        # A task of its own: a signal must not cancel the stopping of the servers.
        playing = asyncio.ensure_future(play(stage))

        def end(number: int) -> None:
            received.append(number)
            playing.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end, number)
        await playing
