"""Runs the command line: ``python -m waitspy``, and the ``waitspy`` program; on Linux only."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


def main() -> None:
    """Ends quietly with 130 when interrupted before the command line has been imported."""
    if sys.platform != "linux":  # nothing else asks: what follows cannot even be imported there
        sys.exit(
            f"waitspy: it looks into processes by /proc, which {sys.platform} does not have\n"
            "  try: run it on Linux, beside the server"
        )
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    # numpy's threads start as it is imported. With signals blocked, as they inherit it: else one of
    # them would now and then take a Ctrl-C that a recording is about to fetch, and cut it in half.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        with _no_threads_of_numpy():
            from waitspy import cli  # noqa: PLC0415  (only now it is interrupted well)

            cli.load(sys.argv[1:])
    except (ImportError, MemoryError) as error:
        _cannot_start(error)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        cli.main(prog_name="waitspy")
    except MemoryError:
        sys.exit("waitspy: it may not have the memory that this takes\n  try: ulimit -v unlimited")


@contextmanager
def _no_threads_of_numpy() -> Iterator[None]:
    """Nothing here multiplies matrices; where no thread is to be had, OpenBLAS raises SIGINT."""
    name = "OPENBLAS_NUM_THREADS"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def _cannot_start(error: Exception) -> NoReturn:
    """In one line; numpy's errors have twenty."""
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    what = said[-1] if said else type(error).__name__
    sys.exit(
        f"waitspy: it cannot be loaded: {what}\n"
        "  try: ulimit -v unlimited, if its memory is limited; else install it anew"
    )


if __name__ == "__main__":
    main()
