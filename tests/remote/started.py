"""Starts a target that tells its truth on its first line and then can be talked to."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

from tests.live.running import stop_tree
from tests.remote.interpreters import Python


class Started:
    """A running target; ``truth`` is what its first line said."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.truth: dict[str, Any] = self.line()

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self) -> dict[str, Any]:
        """The next line that it says."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"{self.process.args!r} ended with {self.process.wait()}"
        said = json.loads(line)
        assert isinstance(said, dict)
        return said

    def tell(self, text: str) -> None:
        """Writes to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()


@contextlib.contextmanager
def started(python: Python, *arguments: str | os.PathLike[str]) -> Iterator[Started]:
    """A target under that interpreter; it is stopped after, with all that it has started."""
    with subprocess.Popen(
        [python.path, *(os.fspath(argument) for argument in arguments)],
        env=python.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Started(process)
        finally:
            stop_tree(process.pid)
