"""Reads a file of a recording, which somebody else may have made, or damaged.

A pipe would be waited for, a device never ends, and a file that is mostly a hole is larger than any
memory: only what a recording can have written is read.
"""

from __future__ import annotations

import errno
import os
import stat

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC

MOST_BYTES = 256 << 20
"""Of one stream: an hour of a server with hundreds of busy threads has less."""

TRACE_BYTES = 64 << 20
"""Of one segment of a sampler, which is ended long before; read, it takes eight times as much."""

META_BYTES = 64 << 20
"""Of ``meta.json`` and ``sources.json``."""


def read_bytes(name: str, most: int = MOST_BYTES) -> bytes:
    """The whole file.

    Raises:
        OSError: it is not there, or it is none that a recording can have.
    """
    with open(name, "rb", buffering=0, opener=_opened) as file:
        info = os.fstat(file.fileno())
        if not stat.S_ISREG(info.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        if info.st_size > most:
            raise OSError(errno.EFBIG, f"it has more than {most >> 20} MB")
        if info.st_size and os.lseek(file.fileno(), 0, os.SEEK_HOLE) < info.st_size:
            raise OSError(errno.EINVAL, "parts of it were never written")
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        return file.read(most)


def _opened(name: str, _flags: int) -> int:
    try:
        return os.open(name, _READ)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a link") from None
        raise


def read_text(name: str, *, errors: str = "strict") -> str:
    """A whole file of text, of which there is little.

    Raises:
        OSError: see ``read_bytes``.
        UnicodeDecodeError: it is not UTF-8, and errors are not to be replaced.
    """
    return read_bytes(name, META_BYTES).decode("utf-8", errors)
