"""One run: start everything, let both vias' traffic flow side by side, count the inserts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from waitspy_scenarios.buffer_vs_job.channel import Message
from waitspy_scenarios.buffer_vs_job.children import (
    Child,
    ChildFailedError,
    Children,
    WorkerHandle,
    WorkerThread,
    worker_start,
)
from waitspy_scenarios.buffer_vs_job.minihttp import Client
from waitspy_scenarios.buffer_vs_job.plugin import PluginSettings
from waitspy_scenarios.buffer_vs_job.settings import Settings, Via
from waitspy_scenarios.buffer_vs_job.table import Summary, summarise
from waitspy_scenarios.buffer_vs_job.workload import Workload

PACKAGE = "waitspy_scenarios.buffer_vs_job"
LINGER_S = 0.1  # how long a buffer of several rows may hold the first one


class InterruptedRunError(Exception):
    """A signal asked the program to end; ``signum`` is its number."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


class Run:
    """Starts, watches and ends the processes and threads of one run."""

    def __init__(self, settings: Settings, announce: Callable[[str], None]) -> None:
        self._settings = settings
        self._announce = announce
        self._children = Children()
        self._threads: list[WorkerThread] = []
        self._signal: int | None = None

    def measure(self) -> list[Summary]:
        """The summaries per via; leaves nothing running.

        Raises ChildFailedError, or InterruptedRunError on SIGINT and SIGTERM.
        """
        with self._children:
            # Before the loop runs, for starting processes would hold it up.
            endpoint = self._children.spawn(f"{PACKAGE}.endpoint", "endpoint")
            processes: dict[Via, list[Child]] = {
                via: [
                    self._children.spawn(f"{PACKAGE}.worker", f"{via}-{index}")
                    for index in range(self._settings.workers)
                ]
                for via in self._settings.vias
                if self._settings.pool == "process"
            }
            try:
                return asyncio.run(self._measure(endpoint, processes))
            except (asyncio.CancelledError, BaseExceptionGroup) as error:
                if self._signal is not None:
                    raise InterruptedRunError(self._signal) from None
                raise _first(error) from error
            finally:
                for thread in self._threads:
                    thread.close()
                for thread in self._threads:
                    thread.join()

    async def _measure(
        self, endpoint: Child, processes: Mapping[Via, Sequence[Child]]
    ) -> list[Summary]:
        self._catch_signals()
        try:
            async with asyncio.TaskGroup() as group:
                messages = endpoint.messages()
                endpoint.start({"delay_s": self._settings.delay_s})
                port = (await anext(messages))["port"]
                watch = group.create_task(_watch(messages))
                everyone = asyncio.Barrier(len(self._settings.vias))
                runs = {
                    via: group.create_task(
                        Workload(self._settings, via, self._workers(via, port, processes)).run(
                            everyone.wait
                        )
                    )
                    for via in self._settings.vias
                }
                self._announce(self._describe(endpoint, processes))
                exports = {via: await run for via, run in runs.items()}
                inserts = json.loads(await Client(port).fetch("GET", "/inserts"))
                watch.cancel()
        except* ChildFailedError:
            # A signal to the whole process group may reach a child first.
            await asyncio.sleep(0.2)
            raise
        finally:
            self._children.close()
        return [
            summarise(via, self._settings.events, exports[via], inserts)
            for via in self._settings.vias
        ]

    def _workers(
        self, via: Via, port: int, processes: Mapping[Via, Sequence[Child]]
    ) -> Sequence[WorkerHandle]:
        settings = self._settings
        plugin = PluginSettings(
            via=via,
            port=port,
            timeout_s=settings.timeout_s,
            retry_s=settings.retry_s,
            rows=settings.rows,
            linger_s=LINGER_S,
        )
        if settings.pool == "process":
            for child in processes[via]:
                child.start(worker_start(settings.park, plugin))
            return processes[via]
        threads = [
            WorkerThread(f"{via}-{index}", settings.park, plugin)
            for index in range(settings.workers)
        ]
        self._threads += threads
        return threads

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()

        def end(number: int) -> None:
            self._signal = number
            if task is not None:
                task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end, number)

    def _describe(self, endpoint: Child, processes: Mapping[Via, Sequence[Child]]) -> str:
        workers = " ".join(
            f"{child.name}={child.pid}" for children in processes.values() for child in children
        )
        return (
            f"pid {os.getpid()}: {workers or 'workers are threads,'} endpoint={endpoint.pid}; "
            f"takes about {self._settings.expected_s:.0f} s"
        )


async def _watch(messages: AsyncIterator[Message]) -> None:
    async for _ in messages:
        pass


def _first(error: BaseException) -> BaseException:
    """The failure to report: a dead child rather than what its death caused elsewhere."""
    leaves: list[BaseException] = []
    unopened = [error]
    while unopened:
        each = unopened.pop()
        if isinstance(each, BaseExceptionGroup):
            unopened += each.exceptions
        else:
            leaves.append(each)
    return min(leaves, key=lambda leaf: not isinstance(leaf, ChildFailedError))
