"""A process ends while waitspy is attaching to it.

Whatever the moment, it ends with a recording that can be read, or with an error that names the process and leaves
nothing.
"""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import pytest

from tests.live.running import wait_until
from tests.live.session import finished, load, running_target, said_well, session


@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.04, 0.08])
def test_a_process_that_ends_while_it_is_attached(tmp_path: Path, delay_s: float) -> None:
    folder = tmp_path / "rec"
    with (
        running_target() as mine,
        session(tmp_path, "record", mine.pid, "-d", "20", "-o", folder) as waitspy,
    ):
        # waitspy's start takes longer than that: the timer begins when its recording does.
        wait_until(folder.exists, "no folder")
        with contextlib.suppress(subprocess.TimeoutExpired):
            mine.wait(delay_s)
        mine.kill()
        code, _, err = finished(waitspy)
    assert code in {0, 1}
    if code:
        said_well(err, str(mine.pid))
        assert not folder.exists()
    else:
        assert err == ""
        assert load(folder).info.duration_s < 20
