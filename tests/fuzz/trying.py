"""Reports on damaged recordings, each in a process of its own, which may take little of anything."""

from __future__ import annotations

import io
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.mutations import damage
from waitspy.errors import WaitspyError
from waitspy.judge import analysis
from waitspy.recording import loading
from waitspy.render import FLAMEGRAPHS, REPORTS

GOLDEN = Path(__file__).parents[1] / "golden"
RECORDINGS = ("blocked", "healthy", "parked")
"""What seeds stand for, up to the first one of which all golden recordings are meant."""

FIRST_OF_ALL = 100_000
ALL = (*RECORDINGS, "piped", "blocked-delta")

MOST_S = 10
"""Of CPU time: beside other tests a second of that may take several."""

_HANGS_AFTER_S = 60
MOST_BYTES = 500_000_000
_LONGEST_MESSAGE = 2000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one damaged recording; ``failed`` is None where all is as it should be."""

    seed: int
    damage: str
    failed: str | None


def report_on(path: str) -> None:
    """Every report and flamegraph of that recording; raises what goes wrong."""
    judged = analysis.analyse(loading.load(path))
    for report in REPORTS.values():
        report().render(judged, io.StringIO())
    profile = analysis.profile(judged)
    for flamegraph in FLAMEGRAPHS.values():
        renderer = flamegraph("wall")
        stream = io.BytesIO() if renderer.binary else io.StringIO()
        renderer.render(profile, stream)


def attempt(seed: int, original: Path | None = None) -> Outcome:
    """Damages that recording, or a golden one, by that seed and reports on it, in a child."""
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "rec"
        names = RECORDINGS if seed < FIRST_OF_ALL else ALL
        shutil.copytree(original or GOLDEN / names[seed % len(names)], recording)
        said = damage(recording, seed)
        return Outcome(seed, said, _in_a_child(str(recording)))


def _in_a_child(path: str) -> str | None:
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(told)
            os.write(tell, (_failure(path) or "").encode("utf-8", "replace")[:4000])
            code = 0
        finally:
            os._exit(code)
    os.close(tell)
    with open(told, "rb") as stream:
        failed = stream.read().decode("utf-8", "replace")
    _, status, usage = os.wait4(pid, 0)
    if failed:
        return failed
    if status:
        return f"ended with status {status}: more than {MOST_S} s, or killed"
    grown = usage.ru_maxrss * 1024
    return f"{grown / 1e6:.0f} MB" if grown > MOST_BYTES else None


def _failure(path: str) -> str | None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_HANGS_AFTER_S)
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_S, MOST_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (4_000_000_000, 4_000_000_000))
    sys.stdout = sys.stderr = io.StringIO()
    try:
        report_on(path)
    except WaitspyError as error:
        long = len(str(error)) > _LONGEST_MESSAGE
        return f"a message of {len(str(error))} characters" if long else None
    except BaseException:  # noqa: BLE001  (the fault that is looked for)
        return traceback.format_exc()[-3500:]
    return None
