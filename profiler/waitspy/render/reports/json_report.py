r"""The report as JSON, schema ``waitspy.report/1``, for scripts and for keeping.

The output is ASCII: whatever a terminal, a web page or a log could trip over is a ``\u`` escape.
What is not known is a missing key. Two keys are null instead, because their absence is an answer:
``exit`` of a process that was still there at the end, and ``blame`` of a finding for which nothing
can be blamed. Times are rounded to microseconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any, ClassVar, TextIO, get_args

from waitspy.model.children import ChildHeld, ChildHow
from waitspy.model.clock import NS
from waitspy.model.judged import (
    Analysis,
    Blame,
    Episode,
    Finding,
    Lending,
    LentTo,
    Link,
    OwedRequests,
    Place,
    PlaceWait,
    Report,
    Spot,
    Unaccepted,
    Victim,
    VictimKind,
    WhatWaits,
    WorkerTime,
)
from waitspy.model.kinds import KINDS, VERDICTS
from waitspy.model.processes import Role
from waitspy.model.recorded import Cost, Loss, RecordingInfo, WorkerRecord
from waitspy.model.stacks import Frame
from waitspy.model.task_waits import TaskHeld
from waitspy.model.unsent import Unsent
from waitspy.model.wait_for import Held, How
from waitspy.model.waits import WaitKind
from waitspy.render.escape import json_text

SCHEMA_ID = "waitspy.report/1"
_DIGITS = 6  # of a second: clocks are read within a microsecond at best


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) that every report of this version satisfies.

    The file lacks what the model lists: kinds of findings and the verdicts that each can have,
    kinds of waits, of places and of victims, roles.
    """
    text = resources.files("waitspy.render").joinpath("report.schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    finding = loaded["$defs"]["finding"]
    for part, key, values in (
        ("finding", "kind", KINDS),
        ("finding", "verdict", VERDICTS),
        ("wait", "kind", WaitKind),
        ("victim", "kind", get_args(VictimKind)),
        ("place", "wait", get_args(PlaceWait)),
        ("link", "how", (*get_args(How), *get_args(ChildHow))),
        (
            "held",
            "kind",
            dict.fromkeys((*get_args(Held), *get_args(TaskHeld), *get_args(ChildHeld))),
        ),
        ("worker", "role", get_args(Role)),
    ):
        loaded["$defs"][part]["properties"][key] = {"enum": [str(value) for value in values]}
    finding["allOf"] = [
        {
            "if": {"properties": {"kind": {"const": kind.name}}, "required": ["kind"]},
            "then": {"properties": {"verdict": {"enum": list(kind.verdicts)}}},
        }
        for kind in KINDS.values()
    ]
    return loaded


class JsonRenderer:
    """The JSON report; ``indent`` spaces per level, None writes it on one line."""

    name: ClassVar[str] = "json"
    extension: ClassVar[str] = "json"
    binary: ClassVar[bool] = False

    def __init__(self, *, indent: int | None = 2) -> None:
        self._indent = indent

    def render(self, analysis: Analysis, stream: TextIO) -> None:
        """Write the report and a line feed; ValueError if a number of it is not finite."""
        # as a whole: a number that is not finite must not leave half a file behind
        text = json.dumps(report_object(analysis.report), indent=self._indent, allow_nan=False)
        stream.write(f"{text}\n")


def report_object(report: Report) -> dict[str, Any]:
    """The report as values that ``json`` can write; findings stay in the order they have."""
    return {
        "schema": SCHEMA_ID,
        "recording": _recording(report.recording),
        "workers": [_worker(record) for record in report.workers],
        "losses": [_loss(loss) for loss in report.losses],
        "findings": [_finding(finding) for finding in report.findings],
        "waiting": _waiting(report.waiting),
        "cost": _cost(report.cost),
    }


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is None, with numbers rounded and text made valid Unicode."""
    return {key: _value(value) for key, value in values.items() if value is not None}


def _value(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, _DIGITS)
    return json_text(value) if isinstance(value, str) else value


def _recording(info: RecordingInfo) -> dict[str, Any]:
    return _known(
        {
            "started_at": info.started_at,
            "monotonic_start_s": info.monotonic_start_ns / NS,
            "duration_s": info.duration_s,
            "rate_hz": info.rate_hz,
            "target": info.target,
            "host": info.host,
            "redacted": info.redacted or None,
        }
    )


def _worker(record: WorkerRecord) -> dict[str, Any]:
    worker = record.worker
    known = {
        "pid": worker.pid,
        "ppid": worker.ppid,
        "role": worker.role,
        "command": worker.command,
        "python": worker.python,
        "node": worker.node,
        "framework": worker.framework,
        "threads": worker.threads,
        "rate_hz": record.rate_hz,
        "samples": record.samples,
        "missed_samples": record.missed_samples,
        "watched_from_s": record.attached_ns / NS if record.watched else None,
    }
    oracles = {json_text(name): json_text(status) for name, status in record.oracles.items()}
    return {**_known(known), "oracles": oracles, "exit": _value(record.exit)}


def _loss(loss: Loss) -> dict[str, Any]:
    return _known({"pid": loss.pid, "what": loss.what, "why": loss.why, "remedy": loss.remedy})


def _finding(finding: Finding) -> dict[str, Any]:
    blames = [_blame(blame) for blame in finding.blames]
    wait = finding.wait
    return {
        "kind": finding.kind.name,
        "verdict": finding.verdict,
        **_known({"detail": finding.detail}),
        "wait": _known({"kind": str(wait.kind), "call": wait.call, "syscall": wait.syscall}),
        "blame": blames[0] if blames else None,
        **({"blames": blames} if len(blames) > 1 else {}),
        **({"chain": [_link(link, finding) for link in finding.chain]} if finding.chain else {}),
        **({} if finding.lending is None else {"lending": _lending(finding.lending)}),
        "stack": [_frame(frame) for frame in finding.stack],
        "pids": list(finding.pids),
        "threads": list(finding.threads),
        "episodes": [_episode(episode) for episode in finding.episodes],
        "occurrences": finding.occurrences,
        "starved_s": _value(finding.starved_s),
        "longest_s": _value(finding.longest_s),
        "victim_s": _value(finding.victim_s),
        "share": _value(finding.share),
        "victims": [_victim(victim) for victim in finding.victims],
        "remedy": json_text(finding.remedy),
    }


def _blame(blame: Blame) -> dict[str, Any]:
    return _known(
        {
            "function": blame.function,
            "file": blame.file,
            "line": blame.line,
            "source": blame.source,
            "share": blame.share,
            "hint": blame.hint or None,
            "begins": blame.begins or None,
        }
    )


def _lending(lending: Lending) -> dict[str, Any]:
    return {
        **_known({"pool": lending.pool, "limit": lending.limit, "lent": lending.lent}),
        "waiting": {"kind": lending.who, "count": lending.waiting},
        "to": [_lent_to(one) for one in lending.to],
    }


def _lent_to(one: LentTo) -> dict[str, Any]:
    wait = {"kind": str(one.wait.kind), "call": one.wait.call, "syscall": one.wait.syscall}
    return {
        "what": one.what,
        "count": one.count,
        **({} if one.at is None else _spot(one.at)),
        "how": one.how,
        "wait": _known(wait),
    }


def _link(link: Link, finding: Finding) -> dict[str, Any]:
    at = {} if link.at is None else _spot(link.at)
    wait = link.wait
    following = (*finding.chain, finding.chain[0])[finding.chain.index(link) + 1]
    held = None if link.waits_for is None else _known({"kind": link.waits_for})
    if held is not None and following.taken is not None:
        held["taken"] = _spot(following.taken)
    return {
        "who": _known(
            {
                "pid": link.pid,
                "tid": link.tid,
                "name": link.thread or None,
                "task": link.task,
                "program": link.program,
                "count": None if link.task is None and link.count == 1 else link.count,
            }
        ),
        **at,
        "wait": _known({"kind": str(wait.kind), "call": wait.call, "syscall": wait.syscall}),
        **_known({"since_s": link.since_s, "how": link.how}),
        **({} if held is None else {"waits_for": held}),
        **_known({"unsent": _unsent(link.unsent)}),
    }


def _unsent(unsent: Unsent | None) -> dict[str, Any] | None:
    if unsent is None:
        return None
    return _known(
        {
            "peer": unsent.peer,
            "bytes": unsent.size,
            "connections": unsent.connections,
            "reads": None if not unsent.refused else False,
        }
    )


def _spot(spot: Spot) -> dict[str, Any]:
    return _known(
        {"function": spot.function, "file": spot.file, "line": spot.line, "source": spot.source}
    )


def _frame(frame: Frame) -> dict[str, Any]:
    return _known({"function": frame.function, "file": frame.file, "line": frame.line})


def _episode(episode: Episode) -> dict[str, Any]:
    known = {
        "pid": episode.pid,
        "tid": episode.tid,
        "start_s": episode.start_s,
        "end_s": episode.end_s,
        "pending_max": episode.pending_max,
        "served": episode.served,
    }
    return {**_known(known), "evidence": [json_text(name) for name in episode.evidence]}


def _victim(victim: Victim) -> dict[str, Any]:
    return _known(
        {
            "kind": victim.kind,
            "name": victim.name,
            "where": victim.where,
            "count": victim.count,
            "waited_s": victim.waited_s,
        }
    )


def _waiting(waiting: WhatWaits) -> dict[str, Any]:
    found: dict[str, Any] = {"requests": [_owed(owed) for owed in waiting.requests]}
    if waiting.places is not None:
        found["places"] = [_place(place) for place in waiting.places]
    if waiting.tasks is not None:
        found["tasks"] = {"pending": waiting.tasks.pending, "looked": waiting.tasks.looked}
    if waiting.unaccepted:
        found["unaccepted"] = [_unaccepted(one) for one in waiting.unaccepted]
    if waiting.unread:
        found["unread"] = [
            _known({"socket": one.socket, "longest_s": one.longest_s, "dropped": one.dropped})
            for one in waiting.unread
        ]
    if waiting.messages:
        found["messages"] = [
            {"peer": one.peer, "longest_s": one.longest_s, "reader": _place(one.reader)}
            for one in waiting.messages
        ]
    if waiting.unseen:
        found["unseen"] = list(waiting.unseen)
    if waiting.workers:
        found["workers"] = [_worker_time(one) for one in waiting.workers]
    return found


def _place(place: Place) -> dict[str, Any]:
    known = {
        "what": place.what,
        "function": place.function,
        "file": place.file,
        "line": place.line,
        "source": place.source,
        "awaits": place.awaits,
        "wait": place.wait,
        "count": place.count,
        "longest_s": place.longest_s,
        "sure": None if place.longest_s is None else place.sure,
        "unsent": _unsent(place.unsent),
    }
    return {**_known(known), "pids": list(place.pids)}


def _worker_time(one: WorkerTime) -> dict[str, Any]:
    return _known({"pid": one.pid, "cpu_share": one.cpu_share, "gil_share": one.gil_share})


def _unaccepted(one: Unaccepted) -> dict[str, Any]:
    known = {
        "listener": one.listener,
        "most": one.most,
        "longest_s": one.longest_s,
        "waited_s": one.waited_s,
    }
    return _known(known)


def _owed(owed: OwedRequests) -> dict[str, Any]:
    known = {
        "port": owed.port,
        "count": owed.count,
        "oldest_s": owed.oldest_s,
        "most": owed.most,
        "longest_s": owed.longest_s,
    }
    return _known(known)


def _cost(cost: Cost) -> dict[str, Any]:
    return _known(
        {"cpu_s": cost.cpu_s, "cpu_share": cost.cpu_share, "peak_rss_mb": cost.peak_rss_mb}
    )
