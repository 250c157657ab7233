"""A waitspy that runs beside the test: watched, interrupted, killed, and looked after."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from tests.live.running import ROOT, TARGETS, WAITSPY, stop_tree, wait_until
from tests.live.started import started
from waitspy.kernel import procfs
from waitspy.model.clock import NS
from waitspy.model.recorded import Recording
from waitspy.recording import loading

ALTERNATING = (sys.executable, str(TARGETS / "alternating.py"))
BY_PYSPY = ("record", "--sampler", "py-spy")
AS_NOBODY = (
    sys.executable,
    "-c",
    # Only once everything is imported: this Python may lie in a folder of root's.
    """import os, sys
from waitspy.cli import load, main
load(sys.argv[1:])
os.setgroups([]); os.setgid(65534); os.setuid(65534)
main(prog_name="waitspy")""",
)
"""waitspy as a user without rights."""


@contextlib.contextmanager
def running_target() -> Iterator[subprocess.Popen[str]]:
    """A Python that takes turns and prints a count."""
    with started(ALTERNATING) as (process, _):
        yield process


def environment(**more: str) -> dict[str, str]:
    """What waitspy runs in: any Python finds it, installed there or not."""
    return {**os.environ, "PYTHONPATH": f"{ROOT}/profiler:{ROOT}/scenarios", **more}


@contextlib.contextmanager
def session(
    cwd: Path,
    *args: object,
    waitspy: Sequence[str] = WAITSPY,
    env: Mapping[str, str] | None = None,
    **more: Any,
) -> Iterator[subprocess.Popen[str]]:
    """A started waitspy, its outputs in pipes; whatever it leaves behind is ended."""
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    process = subprocess.Popen(
        [*waitspy, *(str(arg) for arg in args)],
        cwd=cwd,
        env=environment() if env is None else env,
        text=True,
        **options,
    )
    try:
        yield process
    finally:
        stop_tree(process.pid)
        process.communicate()


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code and what was said, at the end."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out or "", err or ""


def run(cwd: Path, *args: object, **more: Any) -> tuple[int, str, str]:
    """Runs waitspy in that folder to its end."""
    with session(cwd, *args, **more) as process:
        return finished(process)


def record_by_shell(
    cwd: Path, target: subprocess.Popen[str], line: str, **more: str
) -> subprocess.CompletedProcess[str]:
    """Records for a moment, in a shell line where "$@" is waitspy."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line, "sh", *WAITSPY, "record", str(target.pid),
         "-d", "0.6", "-o", "rec"],
        cwd=cwd, env=environment(**more), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def meta(folder: Path) -> dict[str, Any]:
    """What meta.json says now; {} before there is one."""
    try:
        value = json.loads((folder / "meta.json").read_text("utf-8"))
    except FileNotFoundError:
        return {}
    assert isinstance(value, dict)
    return value


def flushed_s(folder: Path) -> float:
    """Until when the recording on disk is complete, from its start."""
    told = meta(folder)
    if "flushed_ns" not in told:
        return 0.0
    return float(told["flushed_ns"] - told["clock"]["monotonic_ns"]) / NS


def sampled(folder: Path) -> None:
    """Waits until stacks are on disk, or py-spy would write a trace if it were told to end now."""
    wait_until(lambda: meta(folder).get("segments"), "no segment")
    pid = meta(folder)["segments"][0]["pid"]
    wait_until(
        lambda: (
            any(row.get("samples") for row in meta(folder)["segments"])
            or any(_catches_sigint(spy.pid) for spy in spies(pid))
        ),
        "no stacks",
    )


def _catches_sigint(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8")
    except OSError:
        return False
    (caught,) = (line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGINT - 1) & 1)


def spies(pid: int) -> list[psutil.Process]:
    """The py-spy processes that look at that process."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            argv = process.cmdline()
            if process.name() == "py-spy" and str(pid) in argv:
                found.append(process)
    return found


@contextlib.contextmanager
def kept_from_running(processes: list[psutil.Process]) -> Iterator[None]:
    """Stops them, and again whenever somebody lets them go on."""
    over = threading.Event()

    def stop() -> None:
        while not over.is_set():
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGSTOP)

    stopper = threading.Thread(target=stop)
    stopper.start()
    try:
        yield
    finally:
        over.set()
        stopper.join()


@contextlib.contextmanager
def nothing_left_behind() -> Iterator[None]:
    """Afterwards this process has no other children than before, nor have those."""
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    yield
    after = [p for p in psutil.Process().children(recursive=True) if p.pid not in before]
    assert not after


def no_spy_is_left(pid: int) -> None:
    wait_until(lambda: not spies(pid), f"py-spy still looks at {pid}: {spies(pid)}")


def is_left_alone(pid: int) -> None:
    """No thread of that process is stopped, and nobody traces one."""
    for tid in procfs.threads(pid):
        status = Path(f"/proc/{pid}/task/{tid}/status").read_text("utf-8")
        rows = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert rows["State"][0] in "SRD", rows["State"]
        assert rows["TracerPid"] == "0"


def still_works(process: subprocess.Popen[str]) -> None:
    """The target is not stopped, nobody traces it, and it goes on with its count."""
    is_left_alone(process.pid)
    assert process.stdout is not None
    assert os.read(process.stdout.fileno(), 1 << 20)  # what it has said until now
    process.stdout.readline()  # perhaps the rest of a line
    assert process.stdout.readline().strip().isdigit()


def load(folder: Path) -> Recording:
    return loading.load(str(folder))


def lasting(seconds: float) -> None:
    """Lets a recording have some content; nothing is waited for."""
    time.sleep(seconds)


def has_stacks(recording: Recording) -> None:
    """Both stacks of the target that takes turns were seen."""
    functions = {
        frame.function
        for worker in recording.workers
        for segment in worker.segments
        for thread in segment.threads
        for interval in thread.intervals
        for frame in interval.stack
    }
    assert {"count", "take_turns"} <= functions


def stack_seconds(recording: Recording) -> float:
    """Seconds of stacks, over all threads, as the segments hold them."""
    return sum(
        (i.end_ns - i.start_ns) / 1e9
        for worker in recording.workers
        for segment in worker.segments
        for thread in segment.threads
        for i in thread.intervals
    )


def said_well(err: str, *parts: str) -> None:
    """One line of what, one line of what to do with its list, if any; nothing else."""
    lines = err.splitlines()
    assert len(lines) >= 2, err
    assert all(line.startswith("    ") for line in lines[2:]), err
    assert lines[0].startswith("waitspy: ")
    assert lines[1].startswith("  try: ")
    for part in parts:
        assert part in err, err


def losses(recording: Recording) -> Sequence[str]:
    return [
        f"{loss.what} of pid {loss.pid}: {loss.why}; {loss.remedy}" for loss in recording.losses
    ]
