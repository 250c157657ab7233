"""A snapshot reads what the loop has to do, and of its tasks no more than that takes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

import pytest

from waitspy.remote.memory import Torn
from waitspy.remote.reader import Reader
from waitspy.remote.tasks import Tasks, TaskSet
from waitspy.remote.values import LoopSnapshot

pytestmark = pytest.mark.ptrace


def taken(
    sleep_s: float, pending: Callable[..., TaskSet], patched: pytest.MonkeyPatch
) -> LoopSnapshot:
    """A snapshot of a loop of this very process, one of whose tasks sleeps for so long.

    ``pending`` stands in for what reads the tasks.
    """

    async def looked() -> LoopSnapshot:
        task = asyncio.create_task(asyncio.sleep(sleep_s), name="sleeper")
        await asyncio.sleep(0)
        time.sleep(0.01)  # noqa: ASYNC251  (the timer becomes overdue)
        reader = Reader(os.getpid())
        (loop,) = (loop for loop in reader.loops() if loop.running)
        patched.setattr(Tasks, "pending", pending)
        snapshot = reader.snapshot(loop)
        task.cancel()
        return snapshot

    return asyncio.run(looked())


def test_torn_tasks_spoil_no_look_that_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(*_: object) -> TaskSet:
        raise Torn("the set of tasks keeps changing")

    snapshot = taken(3600.0, torn, monkeypatch)
    assert snapshot.whole
    assert snapshot.timers is not None
    assert snapshot.timers.overdue == 0


def test_what_is_torn_among_other_tasks_spoils_no_look(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Tasks.pending

    def torn(*args: object) -> TaskSet:
        found = whole(*args)  # type: ignore[arg-type]
        found.torn += 1
        return found

    snapshot = taken(0.001, torn, monkeypatch)
    assert snapshot.whole
    assert snapshot.timers is not None
    assert [timer.task.name for timer in snapshot.timers.late if timer.task] == ["sleeper"]
