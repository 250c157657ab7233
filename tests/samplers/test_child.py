"""A helper process: what it is told to hold, while it runs and afterwards."""

from __future__ import annotations

import signal
import tempfile

from tests.live.running import wait_until
from waitspy.samplers.child import Child


def test_memory_is_that_of_the_child_and_nothing_once_it_has_ended() -> None:
    with tempfile.TemporaryFile() as said:
        child = Child(["sleep", "60"], said, said)
        wait_until(lambda: child.rss_bytes() > 100_000, "it has no memory")  # it only begins
        assert child.rss_bytes() < 50_000_000
        child.signal(signal.SIGKILL)
        wait_until(lambda: child.rss_bytes() == 0, "a zombie has no memory")
        wait_until(lambda: child.poll() is not None, "it did not end")
        assert child.rss_bytes() == 0
