"""Reads a file of a recording, which somebody else may have made, or damaged.

A pipe would be waited for, a device never ends, a file that is mostly a hole is larger than any
memory, and a link, be it of a folder, leads to what is not the recording's: only what a recording
can have written is read.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC

MOST_BYTES = 256 << 20
"""Of one stream: an hour of a server with hundreds of busy threads has less."""

TRACE_BYTES = 64 << 20
"""Of one segment of a sampler, which is ended long before; read, it takes eight times as much."""

META_BYTES = 64 << 20
"""Of ``meta.json`` and ``sources.json``."""


def read_bytes(recording: str, *name: str, most: int | None = None) -> bytes:
    """The whole file of that name, given as its folders below the recording and its own.

    Raises:
        OSError: it is not there, or it is none that a recording can have.
    """
    most = MOST_BYTES if most is None else most
    descriptor = _opened(recording, name)
    try:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        if info.st_size > most:
            raise OSError(errno.EFBIG, f"it has more than {most >> 20} MB")
        if info.st_size and os.lseek(descriptor, 0, os.SEEK_HOLE) < info.st_size:
            raise OSError(errno.EINVAL, "parts of it were never written")
        os.lseek(descriptor, 0, os.SEEK_SET)
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)


def _opened(recording: str, name: Sequence[str]) -> int:
    folder = os.open(recording, _FOLDER)
    try:
        for part in name[:-1]:
            above, folder = folder, os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            os.close(above)
        return os.open(name[-1], _READ, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a link") from None
        raise
    finally:
        os.close(folder)


def read_text(recording: str, name: str, *, errors: str = "strict") -> str:
    """A whole file of text, of which there is little.

    Raises:
        OSError: see ``read_bytes``.
        UnicodeDecodeError: it is not UTF-8, and errors are not to be replaced.
    """
    return read_bytes(recording, name, most=META_BYTES).decode("utf-8", errors)
