"""A server is frozen by its cgroup, all the time or again and again, as a paused container is.

That it was late is told as lack of CPU, with nobody to blame; it is never an all-clear.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.target.cgroups import FREEZER_V1, UNIFIED, Controller, grouped, own
from tests.faults.target.served import HEALTHY, recorded, served, untouched, watched
from tests.live.running import said, starving, stop_tree

pytestmark = [pytest.mark.may_skip, pytest.mark.alone]

FROZEN_S, GAP_S = 0.5, 0.4
FREEZER = """
import signal, sys, time
def switch(what):
    with open(sys.argv[1], "w") as file:
        file.write(what)
try:
    while True:
        time.sleep(float(sys.argv[5]))
        switch(sys.argv[2])
        time.sleep(float(sys.argv[4]))
        switch(sys.argv[3])
finally:
    switch(sys.argv[3])
"""


class Freezer(NamedTuple):
    """A cgroup's freezer: who controls it, its switch, and what that says."""

    controller: Controller
    switch: str
    on: str
    off: str


V1 = Freezer(FREEZER_V1, "freezer.state", "FROZEN", "THAWED")
V2 = Freezer(UNIFIED, "cgroup.freeze", "1", "0")


@contextlib.contextmanager
def switch(freezer: Freezer, pid: int) -> Iterator[Path]:
    """Moves the process into a cgroup of its own below ours; the file that freezes that."""
    ours, _ = own({freezer.controller: "cgroup.procs"})  # the root has no switch
    with grouped(ours, pid) as group:
        try:
            yield group / freezer.switch
        finally:
            (group / freezer.switch).write_text(freezer.off)


@contextlib.contextmanager
def frozen_now_and_then(freezer: Freezer, file: Path) -> Iterator[None]:
    argv = (sys.executable, "-c", FREEZER, file, freezer.on, freezer.off, FROZEN_S, GAP_S)
    process = subprocess.Popen([str(one) for one in argv])
    try:
        yield
    finally:
        stop_tree(process.pid)
        process.wait()


VERSIONS = [pytest.param(V1, id="v1"), pytest.param(V2, id="v2")]


@pytest.mark.parametrize("freezer", VERSIONS)
def test_a_frozen_server_had_no_cpu(tmp_path: Path, freezer: Freezer) -> None:
    with served(HEALTHY) as server:
        with switch(freezer, server.pid) as file, frozen_now_and_then(freezer, file):
            told = recorded(tmp_path, server.pid, seconds=1.6)
        untouched(server.pid)
    watched(told, server.pid)
    (finding,) = starving(told)
    assert finding["kind"] == "no-cpu", said(told)
    assert finding["blame"] is None
    assert finding["longest_s"] == pytest.approx(FROZEN_S, abs=0.15), said(told)


@pytest.mark.parametrize("freezer", VERSIONS)
def test_a_server_that_is_frozen_all_the_time_is_no_all_clear(
    tmp_path: Path, freezer: Freezer
) -> None:
    with served(HEALTHY) as server:
        with switch(freezer, server.pid) as file:
            file.write_text(freezer.on)
            told = recorded(tmp_path, server.pid, seconds=0.8)
        untouched(server.pid)
    watched(told, server.pid)
    (finding,) = starving(told)
    assert finding["kind"] == "no-cpu", said(told)
    assert finding["longest_s"] > 0.5
