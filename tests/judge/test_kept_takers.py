"""Who should have taken from a socket wanted the GIL: whoever kept it is blamed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.examples.build import activities, activity, at, stack, with_gil, worker
from waitspy.judge import kept_takers
from waitspy.judge.episode import Starvation
from waitspy.model.activities import Activity
from waitspy.model.kinds import ACCEPT_BACKLOG
from waitspy.model.processes import ThreadKey
from waitspy.model.waits import Wait, WaitKind

TAKES = stack("serve@/app/server.py:20")
HOGS = stack("hog@/app/jobs.py:7")
GIL, SLEEPS, RUNS = Wait(WaitKind.GIL), Wait(WaitKind.SLEEP), Wait(WaitKind.ON_CPU)
DONE = {
    ThreadKey(100, 11): activities(activity(0, 2_000, HOGS, RUNS)),
    ThreadKey(100, 12): activities(activity(0, 2_000, HOGS, RUNS)),
}


def starved(*mine: Activity, pid: int = 100, **more: Sequence[Activity]) -> Starvation:
    held_by = {ThreadKey(pid, 100): mine}
    held_by |= {ThreadKey(int(name[1:]), 100): tuple(own) for name, own in more.items()}
    return Starvation(
        ACCEPT_BACKLOG, "starving", pid, 100, "a socket", at(1_000), at(1_500), held_by, None,
        ("backlog", "threads"), detail="its only worker blocked",
    )  # fmt: skip


def judged(one: Starvation, *rows: tuple[float, int | None, bool]) -> Starvation:
    record = with_gil(worker(100, shown={100: []}), *rows)
    return kept_takers.of_gil(one, [record, worker(101)], DONE)


WANTS = activity(1_000, 1_400, TAKES, GIL), activity(1_400, 1_500, TAKES, SLEEPS)


def test_who_kept_the_gil_is_blamed_for_as_long() -> None:
    one = judged(starved(*WANTS), (900, 11, False), (1_400, 100, False))
    assert one.held_by == {ThreadKey(100, 11): (activity(1_000, 1_400, HOGS, RUNS),)}
    assert one.evidence == ("backlog", "threads", "gil")
    assert one.detail == "its only worker blocked: wanted the GIL"
    assert one.kind is ACCEPT_BACKLOG


def test_who_took_a_turn_only_is_not() -> None:
    one = judged(starved(*WANTS), (900, 11, False), (1_370, 12, False), (1_400, 100, False))
    assert set(one.held_by) == {ThreadKey(100, 11)}


@pytest.mark.parametrize(
    ("one", "rows"),
    [
        (starved(activity(1_000, 1_500, TAKES, SLEEPS)), [(900, 11, False)]),
        (starved(*WANTS), [(900, 100, False)]),
        (starved(*WANTS), [(900, 11, False), (1_100, 100, False)]),
        (starved(*WANTS), []),
        (starved(*WANTS), [(900, 13, False)]),
        (starved(*WANTS, p101=WANTS), [(900, 11, False)]),
    ],
    ids=["another wait", "its own", "too short", "not known", "no stacks", "two processes"],
)
def test_else_nothing_changes(one: Starvation, rows: list[tuple[float, int | None, bool]]) -> None:
    assert judged(one, *rows) is one
