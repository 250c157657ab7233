"""The library: a recording in the hands of a program, loaded and judged (``docs/library.md``).

What it gives are the values that every report is made of. It needs nothing but the folder, and
looks into no process.
"""

from __future__ import annotations

import io
import os

from waitspy.errors import RecordingError
from waitspy.judge import analysis, redaction
from waitspy.model.judged import Analysis, Finding, Profile
from waitspy.model.recorded import Loss, RecordingInfo, WorkerRecord
from waitspy.recording import loading
from waitspy.render import REPORTS, verdicts
from waitspy.render.reports.report_format import Severity, severity


class JudgedRecording:
    """A recording and what was found in it; ``waitspy.load`` makes it, and it does not change."""

    def __init__(self, judged: Analysis) -> None:
        self.analysis = judged

    @property
    def info(self) -> RecordingInfo:
        """What was recorded: target, host, beginning, length, rate."""
        return self.analysis.report.recording

    @property
    def workers(self) -> tuple[WorkerRecord, ...]:
        """The processes, also those that could not be recorded, and what was seen of each."""
        return self.analysis.report.workers

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What starved, or could have, the worst first; ``severity`` says what it means if none."""
        return self.analysis.report.findings

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What could not be recorded, why, and what to do about it."""
        return self.analysis.report.losses

    @property
    def severity(self) -> Severity:
        """The worst verdict of all findings; "none", or "unknown" where nothing could be judged."""
        return severity(self.analysis.report)

    @property
    def verdict(self) -> str:
        """The whole in one sentence, the first line of every report."""
        return verdicts.sentence(self.analysis.report, verdicts.name)

    def profile(self, *, lines: bool = False, pid: int | None = None) -> Profile:
        """The stacks of all workers, merged and weighed, or those of worker ``pid``.

        ``lines`` keeps the lines of one function apart.

        Raises:
            RecordingError: there is no such worker.
        """
        pids = sorted({record.worker.pid for record in self.workers})
        if pid is not None and pid not in pids:
            raise RecordingError(
                f"pid {pid} is not in this recording",
                "its workers are " + ", ".join(map(str, pids)) if pids else "it has no workers",
            )
        return analysis.profile(self.analysis, lines=lines, pid=pid)

    def report(self, name: str = "text") -> str:
        """The report in a format of ``waitspy report -f``.

        Raises:
            ValueError: there is no such format.
            AssetsMissing: ``html``, in an installation without the page's script.
        """
        if name not in REPORTS:
            raise ValueError(f"{name!r} is no format of reports: {', '.join(REPORTS)} are")
        text = io.StringIO()
        REPORTS[name]().render(self.analysis, text)
        return text.getvalue()


def load(
    path: str | os.PathLike[str], *, min_stall_s: float | None = None, redact: bool = False
) -> JudgedRecording:
    """The recording in that folder, judged; shorter waits than ``min_stall_s`` are no findings.

    By default that is what it was recorded with. ``redact`` leaves out what is private.

    Raises:
        RecordingError: not a recording, a damaged one, or one of a schema that is not read.
    """
    judged = analysis.analyse(loading.load(os.fspath(path)), min_stall_s)
    return JudgedRecording(redaction.redacted(judged) if redact else judged)
