"""waitspy may have only a small stack (ulimit -s 256).

It records and reports as ever.
"""

from __future__ import annotations

import resource
from pathlib import Path

from tests.faults.ourselves.servers import STALLING, is_told_to_sleep, loop, recorded

_BYTES = 256 << 10


def test_a_stall_is_found(tmp_path: Path) -> None:
    with loop(*STALLING) as pid:
        report, _ = recorded(
            tmp_path, pid,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (_BYTES, _BYTES)),
        )  # fmt: skip
    is_told_to_sleep(report)
    assert report.losses == ()
