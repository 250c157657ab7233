"""Starts target processes for tests, waits until they say that they are ready, and ends them."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence

import psutil

ENDS_WITHIN_S = 20


@contextlib.contextmanager
def started(
    argv: Sequence[str],
    *,
    ready: str = "ready",
    times: int = 1,
    env: Mapping[str, str] | None = None,
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and the last line read, once ``times`` lines with ``ready`` in them appeared.

    Standard error goes to the same pipe. Afterwards the process and everything that it still
    has below it is ended.
    """
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
    )
    try:
        yield process, wait_for(process, ready, times)
    finally:
        below: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended by itself
            below = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        try:
            process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for one in below:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def wait_for(process: subprocess.Popen[str], ready: str, times: int = 1) -> str:
    """Reads lines until ``times`` of them had ``ready`` in them; the last one."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        times -= line.count(ready)  # processes may mix their lines
        if times <= 0:
            return line.strip()
    raise AssertionError(f"ended without saying {ready!r}: {''.join(said)}")


def tell(process: subprocess.Popen[str], line: str) -> None:
    """Writes a line to the standard input of the process."""
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
