"""What threads wait for, and who holds it, is what they say themselves."""

from __future__ import annotations

from typing import Any

import pytest

from tests.live.running import TARGETS, futexes, target
from tests.remote.interpreters import Python, found
from waitspy.model.clock import NS
from waitspy.model.wait_for import WaitEdge
from waitspy.remote.reader import Reader

pytestmark = pytest.mark.ptrace


def told(waiting: WaitEdge | None, path: str) -> dict[str, Any] | None:
    if waiting is None:
        return None
    holders = sorted(waiting.holders, key=lambda holder: holder.tid)
    assert all(holder.at is None or holder.at.file == path for holder in holders)
    return {
        "kind": waiting.kind,
        "holders": [holder.tid for holder in holders],
        "lines": [holder.at.line if holder.at else None for holder in holders],
        "how": holders[0].how if holders else None,
    }


@pytest.mark.parametrize("python", found(), ids=str)
def test_who_waits_for_what_and_who_holds_it(python: Python) -> None:
    path = str(TARGETS / "holding_threads.py")
    with target([python.path, path], env=python.environment) as process:
        cases = process.ready["cases"]
        reader = Reader(process.pid)
        tids = [case["waits"] for case in cases.values()]
        seen = {one.tid: one for one in reader.wait_for(tids, futexes(process.pid), NS)}
    for case in cases.values():
        pairs = sorted(zip(case["holders"], case["lines"], strict=True))
        case["holders"], case["lines"] = [p[0] for p in pairs], [p[1] for p in pairs]
    truth = {
        name: {part: case[part] for part in ("kind", "holders", "lines", "how")}
        for name, case in cases.items()
    }
    assert {n: told(seen.get(c["waits"]), path) for n, c in cases.items()} == truth
    assert all(one.whole for one in seen.values())


@pytest.mark.parametrize("python", found(), ids=str)
def test_which_tasks_hold_what_others_wait_for(python: Python) -> None:
    path = str(TARGETS / "holding_tasks.py")
    with target([python.path, path], env=python.environment) as process:
        reader = Reader(process.pid)
        (look,) = reader.tasks_looks(set(), NS)
        assert look.looked == look.pending
        waited = {task.task for task in look.tasks}
        seen = reader.held_by_tasks(look.loop, look.tasks, waited, NS)
        again = reader.held_by_tasks(look.loop, look.tasks, waited, 0)
    assert seen is not None
    assert again == seen, "what stands still is not read again"
    assert all(at.file == path for one in seen for _, at in one.holders)
    told = sorted(
        (one.kind, len(one.waiters), len(one.holders), one.holders[0][1].line if one.holders else 0)
        for one in seen
    )
    assert told == sorted(
        (case["kind"], case["waiters"], case["holders"], case["line"] or 0)
        for case in process.ready["cases"].values()
    )
