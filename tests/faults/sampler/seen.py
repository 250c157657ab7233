"""What a recording of the target that takes turns has to show."""

from __future__ import annotations

import time

from waitspy.model.recorded import Recording


def lasting(seconds: float) -> None:
    """Lets a recording have some content; nothing is waited for."""
    time.sleep(seconds)


def has_stacks(recording: Recording) -> None:
    """Both threads of the target were seen."""
    functions = {
        frame.function
        for worker in recording.workers
        for segment in worker.segments
        for thread in segment.threads
        for interval in thread.intervals
        for frame in interval.stack
    }
    assert {"count", "take_turns"} <= functions
