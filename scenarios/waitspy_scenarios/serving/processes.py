"""The server processes of a scenario: started, watched until they are ready, stopped by their pid.

A server gets a session of its own: a Ctrl-C at the terminal is the program's business, and what a
server leaves behind is found in its process group. Should the program be killed, the kernel tells
its servers to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

READY_WITHIN_S = 60.0
GRACE_S = 5.0
_LAST_LINES = 20
_LOOK_S = 0.05
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_ROOT = Path(__file__).resolve().parents[2]


class ServerFailedError(Exception):
    """A server did not get ready, or ended although nobody told it to."""


class Server:
    """A started process; its output is read all the time, its last lines are kept.

    ``ended`` is done when the process has ended, whoever may still hold its output.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, ready: str | None) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._ready = ready
        self._said_ready = 0
        self._last_lines: deque[str] = deque(maxlen=_LAST_LINES)
        self.ended = asyncio.create_task(self._wait())
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls, name: str, argv: Sequence[str], env: Mapping[str, str], ready: str | None = None
    ) -> Self:
        """Starts it with our environment and ``env``; it can import this project's packages."""
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**environment(), "PYTHONUNBUFFERED": "1", **env},
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        return cls(name, process, ready)

    async def until_ready(self, times: int, port: int | None) -> None:
        """Returns when it said its ready text that often, and accepts connections on ``port``.

        Raises:
            ServerFailedError: it ended instead, or took too long.
        """
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                while (self._ready and self._said_ready < times) or not await _accepts(port):
                    if self.ended.done():
                        raise self.failure()
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            raise self.failure() from None

    def failure(self) -> ServerFailedError:
        """An error that says how it is and what it said last."""
        code = self._process.returncode
        how = "did not get ready" if code is None else f"ended with exit code {code}"
        head = f"{self.name} (pid {self.pid}) {how}"
        return ServerFailedError("\n  ".join([head, *self._last_lines]))

    async def stop(self) -> None:
        """Tells it to end, and kills what is left of its process group after a grace."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.ended), GRACE_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await asyncio.gather(self.ended, self._reading)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            text = line.decode(errors="replace").rstrip()
            self._last_lines.append(text)
            if self._ready:  # two processes may write one line together
                self._said_ready += text.count(self._ready)

    async def _wait(self) -> None:
        # process.wait() would also wait for whatever else holds the other end of its output.
        while self._process.returncode is None:  # noqa: ASYNC110 - nothing tells it otherwise
            await asyncio.sleep(_LOOK_S)


async def finish(name: str, *argv: str) -> None:
    """Runs a command to its end.

    Raises:
        ServerFailedError: its exit code is not 0; says what it said last.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd="/",  # another user may not look into ours
    )
    said, _ = await process.communicate()
    if process.returncode != 0:
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        raise ServerFailedError(f"{name} ended with exit code {process.returncode}: {last}")


def environment() -> dict[str, str]:
    """The environment in which children find this package, wherever the program was started."""
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


async def _accepts(port: int | None) -> bool:
    """Whether somebody accepts connections there; True without a port."""
    if port is None:
        return True
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


_libc = ctypes.CDLL(None)  # loaded before the fork


def _end_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
