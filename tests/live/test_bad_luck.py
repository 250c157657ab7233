"""What can happen to a recording: a py-spy that is stopped or killed, full disks.

Each time the recording can be read, says what is missing, and the target works on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.live.running import wait_until
from tests.live.session import (
    finished,
    has_stacks,
    lasting,
    load,
    losses,
    meta,
    no_spy_is_left,
    run,
    running_target,
    said_well,
    sampled,
    session,
    spies,
    stack_seconds,
    still_works,
)

pytestmark = pytest.mark.ptrace


@pytest.fixture
def target() -> Iterator[subprocess.Popen[str]]:
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    with running_target() as process:
        yield process
        no_spy_is_left(process.pid)
        still_works(process)
    assert {p.pid for p in psutil.Process().children(recursive=True)} == before


# --- asked to end ----------------------------------------------------------------------------------


def test_a_stopped_pyspy_goes_on_and_nothing_is_lost(
    tmp_path: Path, target: subprocess.Popen[str]
) -> None:
    with session(tmp_path, "record", target.pid, "-d", "50", "-o", "rec") as waitspy:
        sampled(tmp_path / "rec")
        (spy,) = spies(target.pid)
        spy.suspend()
        wait_until(lambda: len(meta(tmp_path / "rec")["segments"]) >= 2, "no new segment")
        wait_until(lambda: spies(target.pid) and spy not in spies(target.pid), "it goes on")
        lasting(0.5)
        for one in spies(target.pid):
            one.suspend()  # this time at the end
        waitspy.send_signal(signal.SIGINT)
        code, out, err = finished(waitspy)
    assert (code, err) == (0, ""), out
    assert losses(load(tmp_path / "rec")) == []
    has_stacks(load(tmp_path / "rec"))


# --- killed ----------------------------------------------------------------------------------------


def test_a_killed_pyspy_is_replaced(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    with session(tmp_path, "record", target.pid, "-d", "50", "-o", "rec") as waitspy:
        sampled(tmp_path / "rec")
        lasting(1.2)
        (spy,) = spies(target.pid)
        spy.kill()
        wait_until(lambda: len(meta(tmp_path / "rec")["segments"]) == 2, "no new segment")
        sampled(tmp_path / "rec")
        lasting(0.5)
        waitspy.send_signal(signal.SIGINT)
        code, out, err = finished(waitspy)
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    (loss,) = losses(recording)
    assert "SIGKILL" in loss
    assert "sampling went on" in loss
    assert len(recording.workers[0].segments) == 1
    has_stacks(recording)
    assert stack_seconds(recording) > 0.3
    assert "SIGKILL" in out


# --- the disk --------------------------------------------------------------------------------------

needs_mount = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip(f"may not mount: {mounted.stderr}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path) -> None:
    with open(folder / "filler", "wb", buffering=0) as f, contextlib.suppress(OSError):
        while True:
            f.write(bytes(4096))


@pytest.mark.may_skip
@needs_mount
def test_a_disk_that_fills_up_ends_the_recording(
    tmp_path: Path, small_disk: Path, target: subprocess.Popen[str]
) -> None:
    with session(tmp_path, "record", target.pid, "-d", "50", "-o", "disk/rec") as waitspy:
        sampled(small_disk / "rec")
        lasting(0.5)
        fill(small_disk)
        code, out, err = finished(waitspy)
    assert code == 1
    said_well(err, "ended early", "No space left", "free some space")
    assert "disk/rec" in out
    recording = load(small_disk / "rec")
    assert [loss for loss in losses(recording) if "No space left" in loss], losses(recording)
    assert 0.3 < recording.info.duration_s < 40
    assert recording.workers[0].states
    assert run(tmp_path, "report", "disk/rec")[0] == 0


@pytest.mark.may_skip
@needs_mount
def test_a_full_disk_does_not_end_the_command(tmp_path: Path, small_disk: Path) -> None:
    script = "import sys; print('ready', flush=True); print(sys.stdin.readline()); sys.exit(6)"
    args = ("record", "-o", "disk/rec", "--", sys.executable, "-c", script)
    with session(tmp_path, *args, stdin=subprocess.PIPE) as waitspy:
        sampled(small_disk / "rec")
        pid = meta(small_disk / "rec")["workers"][0]["pid"]
        fill(small_disk)
        no_spy_is_left(pid)
        lasting(0.3)  # time in which the command would be ended, if it were
        assert waitspy.stdin is not None
        out, err = waitspy.communicate("still here\n", timeout=60)
    assert "still here" in out
    assert waitspy.returncode == 6
    assert "No space left" in " ".join(out.split())
    assert err == ""


@pytest.mark.may_skip
@needs_mount
def test_a_disk_that_is_full_from_the_start(
    tmp_path: Path, small_disk: Path, target: subprocess.Popen[str]
) -> None:
    fill(small_disk)
    code, out, err = run(tmp_path, "record", target.pid, "-d", "1", "-o", "disk/rec")
    assert (code, out) == (1, "")
    said_well(err, "disk/rec", "No space left")
    assert os.listdir(small_disk) == ["filler"]
