"""The kernel denies pidfd_open(2) and pidfd_getfd(2), with which waitspy sees unread sockets.

It says that I/O could not be watched, and why. A server with an event loop gets no all-clear, whether its loop
stalls or not.
"""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.faults.ourselves.handicapped import denied
from tests.faults.ourselves.servers import HEALTHY, STALLING, is_well, loop, not_seen, recorded
from waitspy.render.reports.report_format import severity

BLIND = "waitspy: --fail-on: nothing was watched that could have starved\n"


@pytest.mark.parametrize(
    ("mode", "calls", "number"),
    [
        pytest.param(HEALTHY, ("pidfd_getfd",), errno.EPERM, id="healthy"),
        pytest.param(STALLING, ("pidfd_getfd",), errno.EPERM, id="stalling"),
        pytest.param(STALLING, ("pidfd_open", "pidfd_getfd"), errno.ENOSYS, id="Linux 5.2"),
    ],
)
def test_a_loop_that_could_not_be_watched_gets_no_all_clear(
    tmp_path: Path, mode: tuple[object, ...], calls: tuple[str, ...], number: int
) -> None:
    with loop(*mode) as pid:
        waitspy = denied(*calls, number=number)
        report, out = recorded(tmp_path, pid, "--fail-on", "any", waitspy=waitspy, err=BLIND)
    is_well(report)
    assert severity(report) == "unknown"
    assert out.startswith("starvation could not be judged: no event loop could be watched")
    assert not_seen(report, "epoll").startswith("pidfd_getfd: ")
    assert "I/O (oracle epoll): pidfd_getfd: " in out
