"""A master forks without telling the interpreter, as uWSGI does: the main thread keeps the id of its parent's.

Stacks and kernel states of the child's main thread belong together, and nothing is lost.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.live.running import TARGETS, record, target
from waitspy.recording import loading


def test_the_main_thread_of_an_untold_fork_is_known(tmp_path: Path) -> None:
    with target([sys.executable, TARGETS / "untold_fork.py"]) as fork:
        pid = fork.ready["pid"]
        report = record(pid, tmp_path / "rec", seconds=1.0)
    assert report["losses"] == []
    (worker,) = loading.load(str(tmp_path / "rec")).workers
    shown = {thread.tid for segment in worker.segments for thread in segment.threads}
    assert shown == {pid}
    assert set(worker.states) == {pid}
