"""waitspy.kernel.freezer: which files tell whether a process is frozen."""

from __future__ import annotations

import os

import pytest

from waitspy.kernel.freezer import Freezer, files

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
    assert not Freezer(os.getpid()).holds(0)
    assert not Freezer(2**22 - 1).holds(0)
