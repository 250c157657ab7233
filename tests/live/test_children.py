"""Programs that a server has started and whose output it does not read; and what only looks so."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests import pythons
from tests.live.running import (
    TARGETS,
    Target,
    record,
    said,
    starved_by_itself,
    target,
    wait_until,
)  # fmt: skip
from tests.remote.interpreters import Python, found
from waitspy.model.clock import NS
from waitspy.remote.children import ChildHolders, ChildLook
from waitspy.remote.memory import Unreadable
from waitspy.remote.reader import Reader

pytestmark = pytest.mark.ptrace

EVERY = pythons.newest_always()
READ = [pytest.param(one, id=str(one), marks=pythons.marks(one.version)) for one in found()]
PIPED = TARGETS / "piped_children.py"
LINES = {
    "task_reads_the_other_pipe": ("await child.stdout.read()", "task", "output"),
    "task_gathers": ("await asyncio.gather(child.stdout.read(), child.wait())", "task", None),
    "task_waits": ("await child.wait()", "task", "exit"),
    "thread_waits": ("child.wait()", "thread", "exit"),
    "thread_reads_the_other_pipe": ("child.stdout.read()", "thread", "output"),
    "thread_writes": ("child.stdin.write(bytes(1000000))", "thread", "input"),
    "task_writes": ("await child.stdin.drain()", "task", "input"),
    "thread_waits_for_what_is_below": ("child.wait()", "thread", "exit"),
}


def recorded(python: str, story: str, folder: Path, seconds: float) -> dict[str, Any]:
    with target([python, PIPED, story]) as program:
        return record(program.pid, folder, seconds=seconds)


def looked(program: Target, names: set[str]) -> tuple[ChildLook, ChildHolders]:
    """A look once tasks wait for these children, and who has any of them at hand."""
    pids = {program.ready[name] for name in names}
    reader = Reader(program.pid)
    looks: list[ChildLook] = []

    def all_wait() -> bool:
        with contextlib.suppress(Unreadable):
            looks.append(reader.child_waits((), NS))
        return bool(looks) and {one.pid for one in looks[-1].tasks} >= pids

    wait_until(all_wait, f"{names} do not wait")
    return looks[-1], reader.child_holders(looks[-1], set(program.ready.values()), deep=False)


@pytest.mark.parametrize("python", READ)
def test_which_task_waits_for_which_process(python: Python) -> None:
    with target([python.path, PIPED, "harmful"], env=python.environment) as program:
        look, holders = looked(program, {"task", "gathers", "waits", "task filters"})
        reads = {one.pid for one in look.tasks if one.fd is not None and not one.writes}
        writes = {one.pid for one in look.tasks if one.fd is not None and one.writes}
    many = Counter(one.pid for one in look.tasks)
    assert many == {
        program.ready["task"]: 1,
        program.ready["gathers"]: 3,
        program.ready["waits"]: 1,
        program.ready["task filters"]: 1,
    }
    assert writes == {program.ready["task filters"]}
    assert reads == {program.ready["task"], program.ready["gathers"]}
    assert {pid for _, pid in holders.threads} == {
        program.ready[name] for name in ("thread", "thread reads", "below", "filter")
    }


@pytest.mark.parametrize("python", [found()[0], found()[-1]], ids=str)
def test_who_has_a_process_at_hand_and_does_not_wait_for_it(python: Python) -> None:
    with target([python.path, PIPED, "harmless"], env=python.environment) as program:
        ready = program.ready
        in_threads = [ready[name] for name in ("slow thread", "busy thread", "read later")]

        def all_at_hand() -> bool:  # of those that run, a look may miss some
            look, holders = looked(program, {"slow task", "busy task"})
            waiting = {one.task.task for one in look.tasks}
            others = {pid for task, pid in holders.tasks if task not in waiting}
            assert ready["slow object"] not in others
            threads = Counter(pid for _, pid in holders.threads)
            assert all(threads[pid] <= 2 for pid in in_threads)
            seen = {ready["slow task"], ready["busy task"]} <= others
            return seen and all(threads[pid] == 2 for pid in in_threads)

        wait_until(all_at_hand, "who has them at hand is not found")


@pytest.mark.parametrize("python", EVERY)
def test_who_waits_for_a_process_that_waits_for_its_pipe(python: str, tmp_path: Path) -> None:
    report = recorded(python, "harmful", tmp_path / "rec", 4)
    found = {f["blame"]["function"]: f for f in starved_by_itself(report)}
    assert found.keys() == LINES.keys(), said(report)
    for name, (line, who, awaits) in LINES.items():
        finding = found[name]
        assert (finding["kind"], finding["blame"]["source"]) == ("deadlock", line)
        assert {victim["kind"] for victim in finding["victims"]} == {who}
        assert finding["starved_s"] > 2, name
        assert "is blocked in write to a pipe that this server holds as fd" in finding["detail"]
        assert "communicate()" in finding["remedy"]
        waiter, *_, blocked = finding["chain"]
        assert awaits in {None, waiter["waits_for"]["kind"]}, name
        assert blocked["who"]["program"] in {"head", "sh", "cat"}
        assert blocked["waits_for"]["kind"] == "reader"
    below = found["thread_waits_for_what_is_below"]["chain"]
    assert [link["who"].get("program") for link in below] == [None, "sh", "head"]


@pytest.mark.parametrize("python", EVERY)
def test_who_is_read_from_or_waited_for_by_nobody_is_well(python: str, tmp_path: Path) -> None:
    report = recorded(python, "harmless", tmp_path / "rec", 4)
    assert starved_by_itself(report) == [], said(report)


def test_a_loop_that_waits_so_is_told_once(tmp_path: Path) -> None:
    report = recorded(sys.executable, "loop_waits", tmp_path / "rec", 4)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "deadlock", said(report)
    assert "communicate()" in finding["remedy"]
    assert "children" in finding["episodes"][0]["evidence"]
    assert [link["who"].get("program") for link in finding["chain"]] == [None, "head"]
