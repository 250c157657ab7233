"""The progress line of a recording: on stderr, and only on a terminal."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from waitspy.capture.session import Progress as Known


@contextmanager
def showing_progress(
    duration_s: float | None, *, wanted: bool = True
) -> Iterator[Callable[[Known], None]]:
    """A callback that draws what is known; it does nothing when stderr is no terminal."""
    console = Console(file=_Forgiving(sys.stderr))
    if not wanted or not console.is_terminal:
        yield lambda _: None
        return
    columns = (
        TextColumn("recording"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("{task.fields[said]}"),
    )
    with Progress(
        *columns, console=console, transient=True, auto_refresh=False,
        redirect_stdout=False, redirect_stderr=False,
    ) as bar:  # fmt: skip
        task = bar.add_task("", total=duration_s, said="")
        drawn_s = -1.0

        def show(known: Known) -> None:
            nonlocal drawn_s
            if known.elapsed_s - drawn_s < 0.25:
                return
            drawn_s = known.elapsed_s
            said = ", ".join(
                f"{count} {noun}" + ("" if count == 1 else "s")
                for count, noun in (
                    (known.workers, "worker"), (known.looks, "look"), (known.stalls, "stall"),
                )
            )  # fmt: skip
            bar.update(task, completed=known.elapsed_s, said=said, refresh=True)

        yield show


class _Forgiving(io.StringIO):
    """A stream, except that a terminal that has gone away is no error: the recording goes on."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()
