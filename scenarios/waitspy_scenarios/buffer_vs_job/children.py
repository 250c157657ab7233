"""The processes and threads that the program starts, and their end.

No child outlives the program: each one ends when its channel closes, which the kernel does even
when the program is killed.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from types import TracebackType
from typing import Protocol, Self

from waitspy_scenarios.buffer_vs_job import channel
from waitspy_scenarios.buffer_vs_job.channel import Message
from waitspy_scenarios.buffer_vs_job.plugin import PluginSettings
from waitspy_scenarios.buffer_vs_job.settings import Park
from waitspy_scenarios.buffer_vs_job.worker import STOP, Worker
from waitspy_scenarios.serving.processes import environment

GRACE_S = 2.0


class ChildFailedError(Exception):
    """A child ended although nobody told it to; the message says which and how."""


class WorkerHandle(Protocol):
    """The program's side of a worker."""

    def send(self, message: Message) -> None:
        """Give it a message."""

    def messages(self) -> AsyncIterator[Message]:
        """What it says, without end; raises ChildFailedError when it ends by itself."""

    def close(self) -> None:
        """Tell it to end."""


class Child:
    """A started process and the program's end of its channel."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], end: socket.socket) -> None:
        self.name = name
        self.process = process
        self._end = end
        self._writer: asyncio.StreamWriter | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def start(self, message: Message) -> None:
        """Send the first message; the channel's buffer is empty, so this does not block."""
        # The process may be gone already; messages() will say so.
        with suppress(ConnectionError):
            self._end.sendall(channel.encode(message))

    def send(self, message: Message) -> None:
        """Send a message; messages() must be running."""
        if self._writer is None:
            raise RuntimeError(f"nobody listens to {self.name} yet")
        self._writer.write(channel.encode(message))

    async def messages(self) -> AsyncIterator[Message]:
        """What it says, without end; raises ChildFailedError when it ends."""
        reader, self._writer = await asyncio.open_connection(sock=self._end, limit=1 << 24)
        with suppress(ConnectionError):
            while line := await reader.readline():
                yield json.loads(line)
        raise ChildFailedError(f"{self.name} (pid {self.pid}) {await self._how_it_ended()}")

    def close(self) -> None:
        """Close the channel from within the loop, which ends the process."""
        if self._writer is not None:
            self._writer.close()

    def hang_up(self) -> None:
        """The same when no loop runs any more."""
        with suppress(OSError):  # closed already
            self._end.shutdown(socket.SHUT_RDWR)
        self._end.close()

    async def _how_it_ended(self) -> str:
        try:
            status = await asyncio.to_thread(self.process.wait, GRACE_S)
        except subprocess.TimeoutExpired:
            return "closed its channel"
        if status < 0:
            return f"was killed by {signal.Signals(-status).name}"
        return f"ended with exit code {status}"


class Children:
    """All processes of a run; leaving the context ends them."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def spawn(self, module: str, name: str) -> Child:
        """Start ``python -m module name`` with a channel; the argv tells what it is."""
        ours, theirs = socket.socketpair()
        with theirs, _interrupts_held():
            process = subprocess.Popen(
                [sys.executable, "-m", module, name, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=environment(),
            )
        child = Child(name, process, ours)
        self._children.append(child)
        return child

    def close(self) -> None:
        """Close all channels from within the loop."""
        for child in self._children:
            child.close()

    def stop(self) -> None:
        """End all processes and wait for them; those that do not end in time are killed."""
        try:
            for child in self._children:
                child.hang_up()
            deadline_s = time.monotonic() + GRACE_S
            for child in self._children:
                with suppress(subprocess.TimeoutExpired):
                    child.process.wait(max(0.0, deadline_s - time.monotonic()))
        finally:
            for child in self._children:
                child.process.kill()
                child.process.wait()


class WorkerThread:
    """A worker on a thread of this process."""

    def __init__(self, name: str, park: Park, settings: PluginSettings) -> None:
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._said: asyncio.Queue[Message | BaseException] = asyncio.Queue()
        self._worker = Worker(park, settings, self._say)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def send(self, message: Message) -> None:
        """Give it a message."""
        self._worker.deliver(message)

    async def messages(self) -> AsyncIterator[Message]:
        """What it says, without end; raises ChildFailedError when it fails."""
        while True:
            said = await self._said.get()
            if isinstance(said, BaseException):
                raise ChildFailedError(f"thread {self._name} failed: {said!r}") from said
            yield said

    def close(self) -> None:
        """Tell it to end."""
        self._worker.deliver(STOP)

    def join(self) -> None:
        """Wait until it has ended."""
        self._thread.join(GRACE_S)

    def _run(self) -> None:
        self._say({"type": "ready"})
        try:
            self._worker.run()
        except Exception as error:  # noqa: BLE001 - whatever it is, the program must not wait on
            self._say(error)

    def _say(self, said: Message | BaseException) -> None:
        # The program's loop may be closed while the last words are spoken.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._said.put_nowait, said)


def worker_start(park: Park, settings: PluginSettings) -> Message:
    """The first message to a worker process."""
    return {"park": str(park), "plugin": asdict(settings)}


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """What is started in here never sees SIGINT: Ctrl-C is the program's business, and it ends
    its children in order.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
