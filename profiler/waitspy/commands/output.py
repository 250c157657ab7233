"""Where data goes: standard output, or a file that appears only once it is whole."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, TextIO

from waitspy.errors import RecordingError


def prepare_streams() -> None:
    """Makes the standard streams safe to print to, whatever waitspy was started with.

    Characters that their encoding lacks are written out instead of failing. Closed descriptors
    are filled, or the first files opened would get their numbers.
    """
    with contextlib.suppress(OSError):
        # Not inherited: a COMMAND finds them closed, as it would without waitspy.
        while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(fd)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  (for the whole run)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def printing() -> Iterator[TextIO]:
    """Standard output, for people; a reader that has gone away ends the writing quietly.

    Raises:
        RecordingError: it cannot be written.
    """
    try:
        yield sys.stdout
        sys.stdout.flush()
    except OSError as error:
        _silence_stdout()
        if not isinstance(error, BrokenPipeError):
            raise RecordingError(
                f"cannot write to standard output: {error.strerror}",
                "write into a file elsewhere",
            ) from None


@contextmanager
def opened(path: str | None, *, binary: bool = False) -> Iterator[Any]:
    """A stream of bytes, or of UTF-8 text with plain line feeds, for data.

    ``path`` None or ``-`` is standard output. A file appears only once it is whole, or not at
    all; devices and pipes are written as they are.

    Raises:
        RecordingError: it cannot be written.
    """
    if path is None or path == "-":
        with _stdout(binary=binary) as stream:
            yield stream
        return
    target = os.path.realpath(path)
    in_place = os.path.exists(target) and not os.path.isfile(target)
    name = target
    if not in_place:
        name = os.path.join(os.path.dirname(target), f".waitspy-{os.getpid()}.partial")
    try:
        with _open(name, binary=binary) as stream:
            yield stream
        if not in_place:
            os.replace(name, target)
    except OSError as error:
        raise RecordingError(
            f"cannot write {path}: {error.strerror}", "choose another file with -o"
        ) from None
    finally:
        if not in_place:
            with contextlib.suppress(OSError):
                os.unlink(name)


def _open(name: str, *, binary: bool) -> IO[Any]:
    if binary:
        return open(name, "wb")
    return open(name, "w", encoding="utf-8", newline="\n")


@contextmanager
def _stdout(*, binary: bool) -> Iterator[IO[Any]]:
    """Data keeps its bytes whatever the terminal's encoding is."""
    with printing() as out:
        out.flush()
        if binary:
            yield out.buffer
            return
        text = io.TextIOWrapper(out.buffer, encoding="utf-8", newline="\n", write_through=True)
        try:
            yield text
        finally:
            try:
                text.flush()
            except OSError:
                _silence_stdout()
                raise
            finally:
                text.detach()


def _silence_stdout() -> None:
    """Lets what is still buffered go nowhere, so that nothing fails again at exit."""
    with contextlib.suppress(OSError):  # a replaced stdout has no descriptor
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
