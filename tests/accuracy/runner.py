"""Runs one case: starts the target, records it as a user would, and scores the report."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.accuracy import scoring, services, truths
from tests.accuracy.cases import Case
from tests.accuracy.nodes import Node
from tests.accuracy.scoring import Scores
from tests.live.running import stop_tree, target, waitspy
from tests.remote.interpreters import Python
from waitspy.judge import analysis
from waitspy.model.clock import NS
from waitspy.recording import loading
from waitspy.samplers.registry import AUTO

_NEXT_STALL_NS = 3 * NS
_TRIES = 3
_MOST_UNLOOKED = 0.05  # of the time
DID_NOT_RUN = "did not run"
TARGETS = Path(__file__).parent / "targets"


@dataclass(frozen=True, slots=True)
class Setting:
    """On what a case runs: ``load`` says that all cores are busy."""

    runtime: Python | Node
    loop: str = "asyncio"
    load: bool = False
    sampler: str = AUTO

    def __str__(self) -> str:
        sampler = "" if self.sampler == AUTO else f", {self.sampler}"
        return f"{self.runtime}, {self.loop}{sampler}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run gave; ``skipped`` says why it did not run."""

    case: Case
    setting: Setting
    scores: Scores
    wrong: tuple[str, ...] = ()
    skipped: str | None = None


def run(case: Case, setting: Setting, keep: Path | None = None) -> Outcome:
    """Runs a case; its recording and truth stay below ``keep`` where that is given.

    Where the machine should be idle, and waitspy did not get the CPU all the same, it is run again.
    """
    why_not = _why_not(case, setting)
    if why_not is not None:
        return Outcome(case, setting, {}, skipped=why_not)
    for _ in range(_TRIES):
        outcome, unlooked = _run(case, setting, keep)
        if setting.load or unlooked <= _MOST_UNLOOKED:
            return outcome
    return Outcome(case, setting, {}, skipped=f"no CPU for waitspy in {unlooked:.0%} of the time")


def _run(case: Case, setting: Setting, keep: Path | None) -> tuple[Outcome, float]:
    """What one run gave, and in which share of the time nobody looked."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if keep is not None:
            folder = keep / f"{case.name}, {setting}{', busy' if setting.load else ''}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        log = folder / "truth.jsonl"
        options, said = _of_inspector(case)
        argv = [setting.runtime.path, *options, TARGETS / case.script, *case.arguments]
        environment = {
            **setting.runtime.environment,
            **said,
            "TRUTH_LOG": str(log),
            "TRUTH_LOOP": setting.loop,
            "TRUTH_SEED": str(zlib.crc32(case.name.encode())),
            **services.ports(case.services),
        }
        try:
            one = stack.enter_context(target(argv, env=environment))
        except (AssertionError, TimeoutError) as error:
            return Outcome(case, setting, {}, wrong=(f"{DID_NOT_RUN}: {error}",)), 0.0
        if "port" in one.ready:
            stack.enter_context(client(one.ready["port"], *case.client))
        more = ["--sampler", setting.sampler, *(["--inspect"] * case.inspect)]
        done = waitspy("record", one.pid, "-d", case.seconds, "-o", folder / "recording", *more)
        if done.returncode:
            return Outcome(case, setting, {}, wrong=(f"{DID_NOT_RUN}: {done.stderr}",)), 0.0
        _wait_for_the_truth(log, time.monotonic_ns())
        return _judged(case, setting, folder)


def _of_inspector(case: Case) -> tuple[list[str], dict[str, str]]:
    """What a Node.js that is to be inspected is started with: several of them run at a time, so that
    each needs a port of its own.
    """
    return (["--inspect-port=0"], {"TRUTH_INSPECTED": "1"}) if case.inspect else ([], {})


def _wait_for_the_truth(log: Path, recorded_ns: int) -> None:
    """What still waited when the recording ended is logged when it is served: before the next stall.

    Stalls without end have said already what waits for ever.
    """
    deadline_ns = recorded_ns + _NEXT_STALL_NS
    while time.monotonic_ns() < deadline_ns:
        stalls = truths.parse(log.read_text().splitlines()).stalls if log.exists() else ()
        if not stalls or stalls[-1].start_ns > recorded_ns:
            return
        time.sleep(0.02)


def _judged(case: Case, setting: Setting, folder: Path) -> tuple[Outcome, float]:
    recording = loading.load(str(folder / "recording"))
    report = analysis.analyse(recording).report
    truth = truths.parse(
        (folder / "truth.jsonl").read_text().splitlines()
        if (folder / "truth.jsonl").exists()
        else ()
    )
    start_ns = min((w.attached_ns for w in recording.workers), default=0)
    end_ns = recording.info.end_ns
    starved = truths.starved(truth, start_ns, end_ns)
    judged = scoring.judge(report.findings, starved, start_ns)
    wrong = judged.wrong
    if case.harmful and not any(one.sure for one in starved):
        wrong = (*wrong, f"{DID_NOT_RUN} as it should: the target starved nothing")
    unlooked = recording.info.unseen_s / recording.info.duration_s
    return Outcome(case, setting, judged.scores, wrong), unlooked


def _why_not(case: Case, setting: Setting) -> str | None:
    uvloop = setting.loop == "uvloop"
    if uvloop and not case.asyncio:
        return "not a case of uvloop"
    needs = (*case.needs, "uvloop") if uvloop else case.needs
    if case.on_node and not setting.runtime.path:
        return "no node here"
    missing = [name for name in needs if not setting.runtime.has(name)]
    return f"{', '.join(missing)} not installed" if missing else services.missing(case.services)


@contextlib.contextmanager
def client(port: int, *options: object) -> Iterator[None]:
    """Keeps asking on that port while the block runs, as client.py is told to."""
    argv = [sys.executable, TARGETS / "client.py", port, *options]
    process = subprocess.Popen([str(part) for part in argv], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
    finally:
        stop_tree(process.pid)
        process.communicate()


@contextlib.contextmanager
def busy_machine() -> Iterator[None]:
    """Keeps every core busy for as long as the block runs."""
    argv = [sys.executable, "-c", "while True: pass"]
    hogs = [subprocess.Popen(argv) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
