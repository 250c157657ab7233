"""No thread and no process can be started any more, as at a container's limit (EAGAIN).

waitspy records what needs neither: a stall is found, on its line. That there are no source lines is told as a loss.
"""

from __future__ import annotations

import errno
import sys
from pathlib import Path

from tests.faults.ourselves.handicapped import denied
from tests.faults.ourselves.servers import STALLING, by_itself, loop, recorded
from tests.live.session import run, said_well

WAITSPY = denied("clone", "clone3", "fork", "vfork", number=errno.EAGAIN)


def test_a_stall_is_found_without_its_source(tmp_path: Path) -> None:
    with loop(*STALLING) as pid:
        report, _ = recorded(tmp_path, pid, waitspy=WAITSPY)
    (finding,) = by_itself(report)
    assert (finding.kind.name, finding.verdict) == ("blocked-loop", "starving")
    assert finding.blame is not None
    assert (finding.blame.function, finding.blame.source) == ("sleep", None)
    assert [loss.what for loss in report.losses] == ["source lines"]


def test_a_command_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    args = ("record", "-o", "rec", "--", sys.executable, "-c", "pass")
    code, out, err = run(tmp_path, *args, waitspy=WAITSPY)
    assert (code, out) == (1, "")
    said_well(err, sys.executable, "Resource temporarily unavailable")
    assert not (tmp_path / "rec").exists()
