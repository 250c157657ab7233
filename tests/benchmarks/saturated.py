"""What a server that has all it can take loses while it is recorded: requests a second.

One uvicorn and clients that ask without a pause, on all cores that there are. Seconds with and
without a recording take turns on the same server, so that what else the machine does falls on both;
each pair gives one ratio, and the median of them is told.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.live.running import WAITSPY, target, wait_until
from tests.live.session import environment, meta

_PAIRS = 9
_SECONDS = 5.0
_CLIENTS = (1, 16)
_HERE = Path(__file__).parent


def main() -> None:
    """One line for each number of clients."""
    print(f"{'clients':>7} {'requests/s':>11} {'recorded':>9} {'loss':>7}   of single pairs")
    for clients in _CLIENTS:
        alone, recorded = zip(*_pairs(clients), strict=True)
        losses = sorted(1 - with_ / without for without, with_ in zip(alone, recorded, strict=True))
        print(
            f"{clients:7} {statistics.median(alone):11.0f} {statistics.median(recorded):9.0f}"
            f" {statistics.median(losses):7.1%}   {losses[0]:.1%} to {losses[-1]:.1%}"
        )


def _pairs(clients: int) -> Iterator[tuple[float, float]]:
    """Requests a second without and with a recording, in turns."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with (
        target([sys.executable, _HERE / "busy_server.py", port]) as server,
        _asking(port, clients) as asking,
    ):
        time.sleep(1.0)
        for _ in range(_PAIRS):
            without = _rate(asking)
            with _recording(server.pid):
                yield without, _rate(asking)


@contextlib.contextmanager
def _asking(port: int, clients: int) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(_HERE / "hungry_clients.py"), str(port), str(clients)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "{}\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def _recording(pid: int) -> Iterator[None]:
    """A recording that has begun, and goes on for longer than is measured."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [*WAITSPY, "record", str(pid), "-d", str(_SECONDS + 30), "-o", f"{folder}/rec"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
            start_new_session=True,
        )
        try:
            wait_until(lambda: meta(Path(folder) / "rec").get("segments"), "nothing is sampled")
            yield
        finally:
            process.terminate()
            process.wait()


def _rate(asking: subprocess.Popen[str]) -> float:
    """Answers a second over the time of one measurement."""
    before, began_s = _answered(asking), time.monotonic()
    time.sleep(_SECONDS)
    return (_answered(asking) - before) / (time.monotonic() - began_s)


def _answered(asking: subprocess.Popen[str]) -> int:
    assert asking.stdin is not None
    assert asking.stdout is not None
    print(file=asking.stdin, flush=True)
    return int(asking.stdout.readline())


if __name__ == "__main__":
    main()
