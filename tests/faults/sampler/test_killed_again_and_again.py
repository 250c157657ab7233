"""py-spy is killed again and again, each time after a third of a second.

The recording ends in time; all the time without stacks is told as one loss with its cause, whether or not sampling went on at the end; the target works on.
"""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from tests.faults.sampler.fakes import looked_beside
from tests.live.running import wait_until
from tests.live.session import BY_PYSPY, finished, has_stacks, lasting, load, meta, session, spies
from waitspy.model.clock import NS


def killed(folder: Path, pid: int, times: int) -> None:
    """Kills each py-spy of that process a third of a second after it can sample."""
    for n in range(1, times + 1):
        wait_until(lambda n=n: len(meta(folder).get("segments", ())) >= n, "no segment")
        wait_until(lambda: spies(pid), "no py-spy")
        lasting(0.3)
        for spy in spies(pid):
            spy.kill()


def test_what_is_lost_is_told_although_it_went_on(
    tmp_path: Path, target: subprocess.Popen[str]
) -> None:
    with session(tmp_path, *BY_PYSPY, target.pid, "-d", "50", "-o", "rec") as waitspy:
        killed(tmp_path / "rec", target.pid, 2)
        wait_until(lambda: len(meta(tmp_path / "rec")["segments"]) == 3, "it did not go on")
        lasting(0.6)
        waitspy.send_signal(signal.SIGINT)
        code, out, err = finished(waitspy)
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    has_stacks(recording)
    (loss,) = recording.losses
    assert loss.what.endswith(" s of stacks")
    assert (loss.why, loss.remedy) == ("py-spy was killed by SIGKILL", "sampling went on")
    # As much as there is before the one that went on.
    (segment,) = recording.workers[0].segments
    before_s = (segment.start_ns - recording.info.monotonic_start_ns) / NS
    assert 0.7 * before_s < float(loss.what.split()[0]) <= before_s + 0.1
    assert loss.what in out


def test_one_that_is_killed_until_the_end(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    with session(tmp_path, *BY_PYSPY, target.pid, "-d", "1.4", "-o", "rec") as waitspy:
        while waitspy.poll() is None:
            lasting(0.3)
            for spy in spies(target.pid):
                spy.kill()
        code, out, err = finished(waitspy)
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    (loss,) = recording.losses
    assert loss.pid == target.pid
    assert "stacks" in loss.what
    assert "SIGKILL" in loss.why or "not attached yet" in loss.why
    assert loss.why in out
    looked_beside(recording)
