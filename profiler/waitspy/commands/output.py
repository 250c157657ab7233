"""Where data goes: standard output, or a file that appears only once it is whole."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, TextIO

from waitspy.errors import RecordingError

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


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
        silence_stdout()
        if not isinstance(error, BrokenPipeError):
            raise RecordingError(
                f"cannot write to standard output: {error.strerror}",
                "write into a file elsewhere",
            ) from None


@contextmanager
def opened(path: str | None, *, binary: bool = False, follow: bool = True) -> Iterator[Any]:
    """A stream of bytes, or of UTF-8 text with plain line feeds, for data.

    ``path`` None or ``-`` is standard output. A file appears only once it is whole, or not at
    all; devices and pipes are written as they are. Without ``follow``, in a folder of somebody
    else, whatever has that name already is replaced, and not what it leads to.

    Raises:
        RecordingError: it cannot be written.
    """
    if path is None or path == "-":
        with _stdout(binary=binary) as stream:
            yield stream
        return
    try:
        target = os.path.realpath(path) if follow else os.path.abspath(path)
        in_place = follow and os.path.exists(target) and not os.path.isfile(target)
        writing = _in_place(target) if in_place else _at_once(target)
        with writing as file, _as_data(file, binary=binary) as stream:
            yield stream
    except OSError as error:
        raise RecordingError(
            f"cannot write {path}: {error.strerror}", "choose another file with -o"
        ) from None


@contextmanager
def _in_place(target: str) -> Iterator[int]:
    file = os.open(target, os.O_WRONLY | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


@contextmanager
def _at_once(target: str) -> Iterator[int]:
    """A new file, which gets the target's name when it is whole.

    It has no name before that can be guessed. The folder is the one that was opened, whatever is
    put in its place meanwhile.
    """
    folder = os.open(os.path.dirname(target), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        partial = f".waitspy-{secrets.token_hex(8)}.partial"
        file = os.open(partial, _NEW, 0o666, dir_fd=folder)
        try:
            yield file
            os.replace(partial, os.path.basename(target), src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(partial, dir_fd=folder)
            raise
        finally:
            os.close(file)
    finally:
        os.close(folder)


def _as_data(file: int, *, binary: bool) -> IO[Any]:
    if binary:
        return open(file, "wb", closefd=False)
    return open(file, "w", encoding="utf-8", newline="\n", closefd=False)


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
                silence_stdout()
                raise
            finally:
                text.detach()


def silence_stdout() -> None:
    """Lets what is still buffered go nowhere, so that nothing fails again at exit."""
    with contextlib.suppress(OSError):  # a replaced stdout has no descriptor
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
