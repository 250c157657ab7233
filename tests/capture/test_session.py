"""A capture of a target that is only said to be there: what it does when the disk fails."""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from tests.examples.build import process
from waitspy.capture import session
from waitspy.capture.session import Capture, Options
from waitspy.judge import analysis
from waitspy.model.processes import Worker
from waitspy.oracles import Watched
from waitspy.recording import loading
from waitspy.recording.folder import Writer
from waitspy.recording.rows import Row, RowType
from waitspy.samplers import SamplerStatus, Sampling, SegmentRow, WhoRan
from waitspy.target.tree import Tree


class _Here(Tree):
    """This very process, for ever."""

    def scan(self) -> tuple[Worker, ...]:
        self.workers = (process(os.getpid()),)
        return self.workers


class _NoStacks:
    """A sampler that samples nothing."""

    immediate: ClassVar[bool] = False
    done = True

    def __init__(self, *_: object, **__: object) -> None:
        self.segments: list[SegmentRow] = []

    def step(self, now_ns: int, rate_hz: float) -> SamplerStatus:
        return SamplerStatus()

    def dump(self, now_ns: int) -> bool:
        return False

    def pause(self, now_ns: int) -> None: ...
    def stop(self, now_ns: int) -> None: ...
    def kill(self) -> None: ...

    def cpu_ns(self) -> int:
        return 0

    def sampling(self) -> Sampling:
        return Sampling()

    def cost_s(self, threads: int) -> float:
        return 0.001

    def look(self, seen: WhoRan, now_ns: int, *, at_once: bool = False) -> bool:
        return False

    def rss_bytes(self) -> int:
        return 0


class _Quiet:
    """An oracle that sees nothing."""

    name: ClassVar[str] = "quiet"
    rows: ClassVar[RowType] = Row

    def attach(self, watched: Watched) -> str:
        return "ok"

    def tick(self, watched: Watched, now_ns: int) -> Iterator[Row]:
        return iter(())

    def detach(self, watched: Watched) -> None: ...


@pytest.fixture
def capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Capture:
    monkeypatch.setattr(session, "make_oracles", lambda *_: (_Quiet(),))
    monkeypatch.setattr(session, "make_sampler", _NoStacks)
    monkeypatch.setattr(session, "precedence", lambda: contextlib.nullcontext(lambda _: None))
    options = Options(target="here", output=str(tmp_path / "rec"), duration_s=0.2)
    return Capture(options, _Here([os.getpid()]))


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("method", ["start_stream", "flush", "save_meta"])
def test_a_disk_that_is_full_at_any_time_ends_the_recording_well(
    method: str, capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Writer, method, full)
        capture.run()
    assert capture.disk_error == "No space left on device"
    assert "No space left" in " ".join(loss.why for loss in capture._losses)


def test_a_full_disk_at_the_first_worker_leaves_a_recording_that_says_so(
    capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Writer, "start_stream", full)
    capture.run()
    report = analysis.analyse(loading.load(capture.path)).report
    assert [loss.why for loss in report.losses] == ["No space left on device"]


def test_a_recording_in_which_nothing_goes_wrong(capture: Capture) -> None:
    capture.run()
    assert capture.disk_error is None
    meta = json.loads((Path(capture.path) / "meta.json").read_text())
    assert (meta["losses"], meta["tick_s"]) == ([], 0.01)
    assert [worker["oracles"] for worker in meta["workers"]] == [{"quiet": "ok"}]


def test_no_look_pays_for_collecting_what_was_there_before(
    capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen: list[int] = []

    def tick(_: _Quiet, watched: Watched, now_ns: int) -> Iterator[Row]:
        frozen.append(gc.get_freeze_count())
        return iter(())

    monkeypatch.setattr(_Quiet, "tick", tick)
    capture.run()
    assert min(frozen) > 10_000
    assert gc.get_freeze_count() == 0


def test_its_memory_is_its_own_and_not_that_of_what_has_started_it() -> None:
    """A child, whose parent is large, of what it has used itself."""
    code = "from waitspy.capture.meta import own_peak_rss_bytes as own; print(own())"
    large = (
        "import os, subprocess, sys; kept = os.urandom(1) * 400_000_000; "
        f"print(subprocess.run([sys.executable, '-c', {code!r}], stdout=-1, text=True).stdout)"
    )
    told = subprocess.run([sys.executable, "-c", large], stdout=-1, text=True, check=True).stdout
    assert 5_000_000 < int(told) < 200_000_000
