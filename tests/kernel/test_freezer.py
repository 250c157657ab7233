"""waitspy.kernel.freezer: which files tell whether a process is frozen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from waitspy.kernel.freezer import Freezer, FreezerFile, Said, files
from waitspy.model.clock import NS

ONE = b"31 24 0:27 / /sys/fs/cgroup/freezer rw,nosuid shared:9 - cgroup cgroup rw,freezer\n"
CPU = b"32 24 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
TWO = b"33 24 0:29 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw,nsdelegate\n"
CONTAINED = b"41 24 0:27 /docker/ab /sys/fs/cgroup/freezer ro - cgroup cgroup rw,freezer\n"

V1 = ("/sys/fs/cgroup/freezer/docker/ab/freezer.state", b"FR")
V2 = ("/sys/fs/cgroup/unified/docker/ab/cgroup.events", b"frozen 1")
WITHIN = ("/sys/fs/cgroup/freezer/./freezer.state", b"FR")


@pytest.mark.parametrize(
    ("cgroups", "mounts", "found"),
    [
        (b"6:freezer:/docker/ab\n5:cpu:/x\n0::/docker/ab\n", ONE + CPU + TWO, [V1, V2]),
        (b"6:cpu,freezer:/docker/ab\n", ONE, [V1]),
        (b"0::/docker/ab\n", ONE + TWO, [V2]),
        (b"5:cpu:/docker/ab\n", ONE + CPU + TWO, []),
        (b"6:freezer:/docker/ab\n", CONTAINED, [WITHIN]),
        (b"6:freezer:/docker/cd\n", CONTAINED, []),
        (b"6:freezer:/docker/ab:c\n", ONE, [(V1[0].replace("ab", "ab:c"), V1[1])]),
        (b"", ONE + TWO, []),
    ],
)
def test_the_files_that_tell(cgroups: bytes, mounts: bytes, found: list[tuple[str, bytes]]) -> None:
    assert list(files(cgroups, mounts)) == found


def test_who_runs_is_not_frozen_and_who_is_gone_neither() -> None:
    assert not Freezer(os.getpid(), {}).holds(0)
    assert not Freezer(2**22 - 1, {}).holds(0)


def test_processes_of_one_cgroup_ask_it_together_and_every_so_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "freezer.state"
    state.write_text("THAWED")
    monkeypatch.setattr(Freezer, "_found", lambda _: ((str(state), b"FR"),))
    said: dict[FreezerFile, Said] = {}
    one, other = (Freezer(pid, said) for pid in (1, 2))
    ms = NS // 1000
    assert not one.holds(0)
    state.write_text("FROZEN")
    assert not other.holds(20 * ms), "it was asked a moment ago"
    assert one.next_ns == other.next_ns == 50 * ms
    assert other.holds(50 * ms)
    assert one.holds(60 * ms)
    assert one.next_ns == 100 * ms


def test_where_no_cgroup_is_mounted_nothing_is_asked_for_a_while() -> None:
    freezer = Freezer(os.getpid(), {})
    freezer._found = lambda: ()  # type: ignore[method-assign]
    assert not freezer.holds(0)
    assert freezer.next_ns == 5 * NS
