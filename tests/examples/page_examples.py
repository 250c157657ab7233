"""Analyses as the page draws them, and a reader of the data that the page packs."""

from __future__ import annotations

import gzip
import json
from array import array
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

from tests.examples import profile_examples, report_examples
from waitspy.judge import analysis
from waitspy.model.activities import Activities, ThreadActivity
from waitspy.model.clock import NS
from waitspy.model.judged import Analysis, Blame, Episode, Finding, PendingSeries
from waitspy.model.kinds import KINDS
from waitspy.model.stacks import Frame, Stack
from waitspy.model.wait_frames import merged_stack
from waitspy.model.waits import WaitKind

START_NS, LENGTH_NS = profile_examples.START_NS, profile_examples.LENGTH_NS


def server() -> Analysis:
    """Four workers whose loops are blocked now and then, with findings and pending work."""
    threads = tuple(profile_examples.server_threads())
    blocked = _finding(threads, profile_examples.REPORT, "blocked-loop")
    parked = _finding(threads, profile_examples.INBOX, "parked-loop")
    info = replace(
        report_examples.recording_info(),
        monotonic_start_ns=START_NS,
        end_ns=START_NS + LENGTH_NS,
        duration_s=LENGTH_NS / NS,
    )
    report = replace(
        report_examples.starving(),
        recording=info,
        workers=report_examples.workers(*profile_examples.PIDS),
        findings=(blocked, parked),
    )
    return _with_profile(Analysis(report, threads, tuple(_pending(threads))))


def barely_starving_polls() -> Analysis:
    """The same server, with a few milliseconds in which its loops' polls kept work waiting."""
    judged = server()
    threads = []
    for thread in judged.threads:
        mine = thread.activities
        rows = [
            replace(
                a,
                starved_ns=(a.end_ns - a.start_ns) // 500,
                victim_ns=(a.end_ns - a.start_ns) // 500,
            )
            if a.wait.kind is WaitKind.LOOP_POLL
            else a
            for a in mine
        ]
        activities = Activities.of(rows, mine.stacks, mine.waits)
        threads.append(replace(thread, activities=activities))
    return _with_profile(replace(judged, threads=tuple(threads)))


def _finding(threads: tuple[ThreadActivity, ...], stack: Stack, kind: str) -> Finding:
    """The starving spans of that stack as episodes, blamed on its deepest frame."""
    episodes = tuple(
        Episode(t.pid, t.tid, a.start_ns / NS, a.end_ns / NS, ("epoll",), 7, 0)
        for t in threads
        for a in t.activities
        if a.stack == stack and a.starved_ns
    )
    deepest = [
        frame for frame in stack if frame.file.startswith("/srv/app/") and "lib" not in frame.file
    ][-1]
    return replace(
        report_examples.blocked_loop(),
        kind=KINDS[kind],
        blames=(Blame(deepest.function, deepest.file, deepest.line, 1.0, "time.sleep(backoff)"),),
        stack=stack,
        pids=tuple(sorted({e.pid for e in episodes})),
        threads=tuple(sorted({e.tid for e in episodes})),
        episodes=episodes,
        occurrences=len(episodes),
        starved_s=sum(e.length_s for e in episodes),
        longest_s=max(e.length_s for e in episodes),
    )


def _pending(threads: tuple[ThreadActivity, ...]) -> list[PendingSeries]:
    found = []
    for thread in threads:
        points = [
            point
            for a in thread.activities
            if a.starved_ns
            for point in ((a.start_ns, a.victim_ns // a.starved_ns), (a.end_ns, 0))
        ]
        if points:
            found.append(PendingSeries(thread.pid, thread.tid, "loop", "unread", tuple(points)))
    return found


def hostile() -> Analysis:
    """Every text that comes from a target attacks, in report, threads and pending work."""
    threads = profile_examples.hostile().threads
    texts = "".join(profile_examples.HOSTILE)
    report = report_examples.hostile(texts)
    pids = {record.worker.pid for record in report.workers}
    moved = tuple(replace(thread, pid=min(pids)) for thread in threads)
    info = replace(
        report.recording,
        monotonic_start_ns=START_NS,
        end_ns=START_NS + LENGTH_NS,
        duration_s=LENGTH_NS / NS,
    )
    findings = tuple(
        replace(
            finding,
            episodes=(
                Episode(min(pids), 10, START_NS / NS + 0.01, START_NS / NS + 0.09, (texts,)),
            ),
        )
        for finding in report.findings
    )
    pending = PendingSeries(min(pids), 10, texts, "overdue", ((START_NS, 3), (START_NS + NS, 0)))
    return _with_profile(
        Analysis(replace(report, recording=info, findings=findings), moved, (pending,))
    )


def _with_profile(judged: Analysis) -> Analysis:
    return replace(judged, profile=analysis.profile(judged))


@dataclass(frozen=True)
class Unpacked:
    """The header and the columns, as the page's script reads them."""

    header: dict[str, Any]
    columns: dict[str, array[Any]]

    def text(self, number: int) -> str:
        return str(self.header["strings"][number])

    def stack(self, what: int) -> Stack:
        """The frames of a stack with its wait frame, without lines, as merged stacks have them."""
        c = self.columns
        node = c["what_node"][what]
        frames: list[Frame] = []
        while node >= 0:
            frame = c["node_frame"][node]
            frames.append(Frame(self.text(c["function"][frame]), self.text(c["file"][frame])))
            node = node - c["node_parent"][node] if c["node_parent"][node] else -1
        frames.reverse()
        kind, label, _ = self.header["waits"][c["what_wait"][what]]
        if kind not in {"on-cpu", "unknown"} or not frames:
            frames.append(Frame(self.text(label), ""))
        return tuple(frames)

    def rows(self) -> list[tuple[int, int, int, int]]:
        """Thread, start, end (in units) and what of every activity."""
        c = self.columns
        found, row = [], 0
        for thread, count in enumerate(c["thread_rows"]):
            reached = 0
            for _ in range(count):
                start = reached + c["gap"][row]
                reached = start + c["length"][row]
                found.append((thread, start, reached, c["what"][row]))
                row += 1
        return found

    def sums(self) -> dict[Stack, tuple[float, float, float]]:
        """Seconds, starved seconds and victim-seconds of every merged stack."""
        unit_s = self.header["unit_ns"] / NS
        totals: dict[Stack, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
        rows = self.rows()
        for _, start, end, what in rows:
            totals[self.stack(what)][0] += (end - start) * unit_s
        at = 0
        c = self.columns
        for step, starved, victims in zip(
            c["harm_at"], c["harm_starved"], c["harm_victims"], strict=True
        ):
            at += step
            totals[self.stack(rows[at][3])][1] += starved * unit_s
            totals[self.stack(rows[at][3])][2] += victims * unit_s
        return {stack: (total[0], total[1], total[2]) for stack, total in totals.items()}


def unpack(data: bytes) -> Unpacked:
    raw = gzip.decompress(data)
    end = raw.index(b"\n") + 1
    assert end % 8 == 0
    header = json.loads(raw[:end])
    columns = {}
    for name, (kind, offset, length) in header["columns"].items():
        column = array(kind)
        assert offset % column.itemsize == 0
        column.frombytes(raw[end + offset : end + offset + length * column.itemsize])
        columns[name] = column
    return Unpacked(header, columns)


def merged_sums(analysis: Analysis) -> dict[Stack, tuple[float, float, float]]:
    """What ``Unpacked.sums`` must give, from the activities themselves."""
    totals: dict[Stack, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for thread in analysis.threads:
        for a in thread.activities:
            total = totals[merged_stack(a.stack, a.wait, lines=False)]
            for n, ns in enumerate((a.end_ns - a.start_ns, a.starved_ns, a.victim_ns)):
                total[n] += ns / NS
    return {stack: (total[0], total[1], total[2]) for stack, total in totals.items()}
