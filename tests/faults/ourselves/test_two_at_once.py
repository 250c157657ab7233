"""Two waitspys look at the same server at the same time.

Both find the stall, lose nothing, and do not see each other; default names of recordings do not collide.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.faults.ourselves.servers import STALLING, is_told_to_sleep, judged, loop
from tests.live.session import finished, session


@pytest.mark.alone
def test_both_find_the_stall(tmp_path: Path) -> None:
    args = ("-d", "1.4", "-o")
    with (
        loop(*STALLING) as pid,
        session(tmp_path, "record", pid, *args, "one") as one,
        session(tmp_path, "record", pid, *args, "other") as other,
    ):
        ends = [finished(one), finished(other)]
    assert [(code, err) for code, _, err in ends] == [(0, ""), (0, "")]
    for name in ("one", "other"):
        report = judged(tmp_path / name)
        is_told_to_sleep(report)
        assert report.losses == ()
        assert [record.worker.pid for record in report.workers] == [pid]


def test_default_names_do_not_collide(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    args = ("record", target.pid, "-d", "0.3")
    with session(tmp_path, *args) as one, session(tmp_path, *args) as other:
        codes = {finished(other)[0], finished(one)[0]}
    assert codes == {0}
    assert len(os.listdir(tmp_path)) == 2
