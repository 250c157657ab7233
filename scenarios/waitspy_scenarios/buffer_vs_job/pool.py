"""The pool: which worker gets a message, and when it has been handled."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count

from waitspy_scenarios.buffer_vs_job.channel import Message
from waitspy_scenarios.buffer_vs_job.children import WorkerHandle
from waitspy_scenarios.buffer_vs_job.settings import TASKS_PER_WORKER


def choose_worker(usage: Sequence[int], limit: int = TASKS_PER_WORKER) -> int | None:
    """The first idle worker, else the least busy one below the limit, else None (it must wait)."""
    least = min(usage)
    return usage.index(least) if least < limit else None


class Pool:
    """Hands messages to workers; ``on_message`` gets what workers say beyond "done"."""

    def __init__(
        self, workers: Sequence[WorkerHandle], on_message: Callable[[Message], None]
    ) -> None:
        self._workers = workers
        self._on_message = on_message
        self._usage = [0] * len(workers)
        self._queue: deque[Message] = deque()
        self._handled: dict[int, tuple[int, asyncio.Future[None]]] = {}
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._ids = count()
        self._ready = 0
        self.ready = asyncio.Event()

    def __len__(self) -> int:
        return len(self._workers)

    async def run(self, message: Message) -> None:
        """Have the message handled by some worker; ends when it has been."""
        identified = {**message, "id": next(self._ids)}
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[identified["id"]] = done
        self._queue.append(identified)
        self._dispatch()
        await done

    def wake_idle(self, message: Message) -> None:
        """Send the message to every worker that is handling none."""
        for index, usage in enumerate(self._usage):
            if usage == 0:
                done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._send(index, {**message, "id": next(self._ids)}, done)

    async def listen(self, index: int) -> None:
        """Take what one worker says, without end; raises ChildFailedError."""
        async for message in self._workers[index].messages():
            if message["type"] == "done":
                self._done(message["id"])
            elif message["type"] == "ready":
                self._ready += 1
                if self._ready == len(self._workers):
                    self.ready.set()
            else:
                self._on_message(message)

    def close(self) -> None:
        """Tell all workers to end."""
        for worker in self._workers:
            worker.close()

    def _dispatch(self) -> None:
        while self._queue and (index := choose_worker(self._usage)) is not None:
            message = self._queue.popleft()
            self._send(index, message, self._waiting.pop(message["id"]))

    def _send(self, index: int, message: Message, done: asyncio.Future[None]) -> None:
        self._usage[index] += 1
        self._handled[message["id"]] = index, done
        self._workers[index].send(message)

    def _done(self, message_id: int) -> None:
        index, done = self._handled.pop(message_id)
        self._usage[index] -= 1
        if not done.done():
            done.set_result(None)
        self._dispatch()
