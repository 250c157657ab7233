"""The kernel lacks files that others have: in which call a thread waits, what it has run, the load.

Where it is not known who is blocked, nothing is claimed and the report says why. Where less is missing, a stall is
found as ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.ourselves.handicapped import mounted, needs_mount, quoted
from tests.faults.ourselves.servers import (
    HEALTHY,
    STALLING,
    is_told_to_sleep,
    is_well,
    loop,
    not_seen,
    recorded,
)  # fmt: skip
from waitspy.render.reports.report_format import severity

pytestmark = [pytest.mark.may_skip, needs_mount]

WHY = "this kernel has no /proc/PID/task/TID/syscall"


def without_syscall(pid: int, folder: Path) -> Sequence[str]:
    """waitspy that finds a folder of the target's main thread in which that file is missing."""
    task, shown = f"/proc/{pid}/task/{pid}", quoted(folder / "task")
    lines = [f"mkdir {shown}", f"mount -t tmpfs none {shown}"]
    for name in ("comm", "stat", "status", "schedstat"):
        lines += [f"touch {shown}/{name}", f"mount --bind {task}/{name} {shown}/{name}"]
    return mounted(*lines, f"mount --rbind {shown} {task}")


@pytest.mark.parametrize("mode", [HEALTHY, STALLING], ids=["healthy", "stalling"])
def test_where_nobody_knows_who_is_blocked_nothing_is_claimed(
    tmp_path: Path, mode: tuple[object, ...]
) -> None:
    with loop(*mode) as pid:
        report, out = recorded(tmp_path, pid, waitspy=without_syscall(pid, tmp_path))
    is_well(report)
    assert severity(report) == "unknown"
    assert out.startswith("starvation could not be judged")
    assert not_seen(report, "threads") == WHY
    assert f"thread states (oracle threads): {WHY}" in out


def test_a_stall_is_found_where_calls_are_empty(tmp_path: Path) -> None:
    with loop(*STALLING) as pid:
        waitspy = mounted(f"mount --bind /dev/null /proc/{pid}/task/{pid}/syscall")
        report, out = recorded(tmp_path, pid, waitspy=waitspy)
    is_told_to_sleep(report)
    assert "wait      not known" in out


@pytest.mark.parametrize("name", ["self/schedstat", "loadavg"])
def test_a_stall_is_found_without(tmp_path: Path, name: str) -> None:
    with loop(*STALLING) as pid:
        # As a process it is its own shell's successor, with the same number.
        file = f"/proc/{name}".replace("self", "$$")
        report, _ = recorded(tmp_path, pid, waitspy=mounted(f"mount --bind /dev/null {file}"))
    is_told_to_sleep(report)
    assert report.losses == ()
