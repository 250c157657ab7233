"""A worker: one thread, one asyncio loop, one inbox; as a thread or as a process of its own."""

from __future__ import annotations

import asyncio
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from waitspy_scenarios.buffer_vs_job import channel
from waitspy_scenarios.buffer_vs_job.channel import Message
from waitspy_scenarios.buffer_vs_job.plugin import Plugin, PluginSettings
from waitspy_scenarios.buffer_vs_job.settings import Park, parse_park

STOP: Final[Message] = {"type": "stop"}
GRACE_S = 2.0


class Worker:
    """Handles messages one window at a time: wait, run the loop while any is handled, wait again.

    ``deliver`` may be called from any thread, ``run`` from the worker's own. ``reply`` is called
    on the worker's thread. An exception in a message or in what it left behind ends ``run``.
    """

    def __init__(
        self, park: Park, settings: PluginSettings, reply: Callable[[Message], None]
    ) -> None:
        self._park = park
        self._reply = reply
        self._inbox: queue.Queue[Message] = queue.Queue()
        self._loop = asyncio.new_event_loop()
        self._plugin = Plugin(settings, self._leave_behind, reply)
        self._tasks: set[asyncio.Task[None]] = set()
        self._handling = 0
        self._stopping = False
        self._error: BaseException | None = None

    def deliver(self, message: Message) -> None:
        """Put a message where a parked worker waits for it, and tell a running loop about it."""
        self._inbox.put(message)
        try:
            self._loop.call_soon_threadsafe(self._take_waiting)
        except RuntimeError:
            # The loop is closed: the worker has stopped.
            return

    def run(self) -> None:
        """Handle messages until STOP; raises what a message's handling raised."""
        try:
            while not self._stopping:
                if self._park.mode != "off":
                    self._take(self.wait_for_message())
                self._run_loop()
        finally:
            self._close()
        if self._error is not None:
            raise self._error

    def wait_for_message(self) -> Message | None:
        """Park until a message comes; None when the cap on parking ends first.

        While the worker is in here its loop stands still, with everything that earlier messages
        left behind.
        """
        try:
            return self._inbox.get(timeout=self._park.cap_s)
        except queue.Empty:
            return None

    def _run_loop(self) -> None:
        """Run the loop until a message has been handled and none is being handled any more."""
        while not self._stopping:
            self._loop.run_forever()
            if not self._handling:
                # Otherwise one began in the very iteration in which the last one ended.
                return

    def _take_waiting(self) -> None:
        while not self._inbox.empty():
            self._take(self._inbox.get_nowait())

    def _take(self, message: Message | None) -> None:
        if message is None:
            return
        if message is STOP:
            self._stop()
            return
        self._handling += 1
        task = self._start(self._plugin.handle(message))
        task.add_done_callback(lambda _: self._handled(message))

    def _handled(self, message: Message) -> None:
        self._handling -= 1
        if self._stopping:
            return
        self._reply({"type": "done", "id": message["id"]})
        if not self._handling and self._park.mode != "off":
            self._loop.stop()

    def _leave_behind(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._start(coroutine)

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = self._error or error
            self._stop()

    def _stop(self) -> None:
        self._stopping = True
        if self._loop.is_running():
            self._loop.stop()

    def _close(self) -> None:
        self._stopping = True
        self._plugin.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            self._loop.run_until_complete(asyncio.wait(self._tasks))
        self._loop.close()


def main() -> None:
    """Be a worker process until the program that started it closes its end of the channel."""
    connection = channel.from_arguments(sys.argv)
    messages = channel.receive(connection)
    start = next(messages, None)
    if start is None:
        return

    def reply(message: Message) -> None:
        try:
            connection.sendall(channel.encode(message))
        except ConnectionError:
            # The program is gone; the reader has seen it too and stops the worker.
            return

    worker = Worker(parse_park(start["park"]), PluginSettings(**start["plugin"]), reply)

    def read_messages() -> None:
        for message in messages:
            worker.deliver(message)
        worker.deliver(STOP)
        time.sleep(GRACE_S)
        os._exit(1)

    threading.Thread(target=read_messages, name="reader", daemon=True).start()
    reply({"type": "ready"})
    worker.run()


if __name__ == "__main__":
    main()
