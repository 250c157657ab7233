"""waitspy may open few files (ulimit -n), and the target has many threads.

Nothing is lost but the CPU time that opening them again takes, and what starves is found.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest

from tests.live.running import TARGETS, client, read_report, starved_by_itself, target, waitspy


@pytest.mark.alone
def test_few_descriptors_for_many_threads_lose_nothing(tmp_path: Path) -> None:
    """Three files a thread would be 120 and more; the limit leaves 100 for everything else."""
    argv = [sys.executable, TARGETS / "loop_server.py", "sleep", "0.3", "0.3", "threads"]
    with target(argv) as server, client(server.ready["port"]):
        done = waitspy(
            "record", server.pid, "-d", 2, "-o", tmp_path / "rec",
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (120, 120)),
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    report = read_report(tmp_path / "rec")
    cpu = ("to stay within the CPU budget", "apart instead of")
    assert not [loss for loss in report["losses"] if not any(why in loss["why"] for why in cpu)]
    (finding,) = starved_by_itself(report)
    assert finding["blame"]["function"] == "sleep"
