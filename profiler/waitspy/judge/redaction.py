"""What was judged without what tells of persons, hosts and secrets, for those who share it.

It works on values, so that no format has to care. Kept are numbers, names of functions, threads
and tasks (without addresses, paths and the like in them), and paths inside the program and its
libraries. Of the source only the blamed lines are kept, without their texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from msgspec import structs

from waitspy.judge import analysis
from waitspy.judge.private_text import HIDDEN, Privacy
from waitspy.model.activities import Activities, ThreadActivity
from waitspy.model.code_origin import Origin
from waitspy.model.columns import Int64s, int64s
from waitspy.model.judged import (
    Analysis,
    Blame,
    Finding,
    Lending,
    Link,
    Place,
    RootTime,
    Spot,
    WhatWaits,
)
from waitspy.model.recorded import Loss, SourceLines, WorkerRecord
from waitspy.model.stacks import Frame, Stack, StackTable, placed
from waitspy.model.unsent import Unsent
from waitspy.model.waits import Wait, WaitTable

_PLAIN_TARGET = re.compile(r"(?:localhost)?:?\d+")
_VERSION = re.compile(r"\d+(?:\.\w+)*\+?")


def redacted(judged: Analysis) -> Analysis:
    """The analysis to share; it says of itself that it is redacted."""
    return _Redaction(judged).done()


class _Redaction:
    """One pass over an analysis; every distinct stack is rewritten once."""

    def __init__(self, judged: Analysis) -> None:
        self._judged = judged
        info = judged.report.recording
        plain = _PLAIN_TARGET.fullmatch(info.target) is not None
        commands = [record.worker.command for record in judged.report.workers]
        self._privacy = Privacy(
            set(_files(judged)),
            commands if plain else [*commands, info.target],
            [info.host],
        )
        self._text = self._privacy.text
        self._info = replace(
            info, target=info.target if plain else HIDDEN, host=HIDDEN, redacted=True
        )
        self._stacks: dict[int, tuple[StackTable, Int64s]] = {}
        self._waits: dict[int, tuple[WaitTable, Int64s]] = {}

    def done(self) -> Analysis:
        report = self._judged.report
        findings = tuple(self._finding(one, report.sources) for one in report.findings)
        done = Analysis(
            replace(
                report,
                recording=self._info,
                workers=tuple(self._worker(record) for record in report.workers),
                losses=tuple(self._loss(loss) for loss in report.losses),
                findings=findings,
                sources=_sources(findings),
                waiting=self._waiting(report.waiting),
            ),
            tuple(self._thread(thread) for thread in self._judged.threads),
            tuple(replace(one, name=self._text(one.name)) for one in self._judged.pending),
            roots=tuple(map(self._root, self._judged.roots)),
        )
        return replace(done, profile=analysis.profile(done))

    def _waiting(self, waiting: WhatWaits) -> WhatWaits:
        places, outside = waiting.places, waiting.unaccepted
        return replace(
            waiting,
            places=None if places is None else tuple(self._place(place) for place in places),
            unaccepted=tuple(
                replace(one, listener=self._privacy.listener(one.listener)) for one in outside
            ),
            unseen=tuple(map(self._privacy.listener, waiting.unseen)),
            unread=tuple(
                replace(one, socket=self._privacy.listener(one.socket)) for one in waiting.unread
            ),
            messages=tuple(
                replace(one, peer=self._privacy.listener(one.peer), reader=self._place(one.reader))
                for one in waiting.messages
            ),
        )

    def _place(self, place: Place) -> Place:
        return replace(
            place,
            function=self._text(place.function),
            file=None if place.file is None else self._privacy.path(place.file),
            awaits=self._text(place.awaits),
            unsent=self._unsent(place.unsent),
            source=None if place.source is None else self._privacy.source(place.source),
        )

    def _worker(self, record: WorkerRecord) -> WorkerRecord:
        """What is told of a process; the rows of which it was judged are left out."""
        worker = record.worker
        return WorkerRecord(
            worker=replace(
                worker,
                command=HIDDEN,
                python=_version(worker.python),
                node=_version(worker.node),
                framework=self._maybe(worker.framework),
                why_not=self._maybe(worker.why_not),
                remedy=self._maybe(worker.remedy),
            ),
            attached_ns=record.attached_ns,
            gone_ns=record.gone_ns,
            exit=self._maybe(record.exit),
            rate_hz=record.rate_hz,
            samples=record.samples,
            missed_samples=record.missed_samples,
            oracles={self._text(k): self._text(v) for k, v in record.oracles.items()},
            process=record.process,
            gaps=record.gaps,
            held_up=record.held_up,
        )

    def _loss(self, loss: Loss) -> Loss:
        hide = self._text
        return Loss(hide(loss.what), hide(loss.why), hide(loss.remedy), loss.pid, loss.held_up)

    def _maybe(self, text: str | None) -> str | None:
        return None if text is None else self._text(text)

    # --- findings --------------------------------------------------------------------------------

    def _finding(self, finding: Finding, sources: SourceLines) -> Finding:
        return replace(
            finding,
            wait=self._wait(finding.wait),
            blames=tuple(self._blame(blame, sources) for blame in finding.blames),
            stack=self._stack(finding.stack),
            episodes=tuple(
                replace(one, evidence=tuple(map(self._text, one.evidence)))
                for one in finding.episodes
            ),
            victims=tuple(
                replace(
                    one,
                    name=self._text(one.name),
                    where=None if one.where is None else self._privacy.place(one.where),
                )
                for one in finding.victims
            ),
            remedy=self._text(finding.remedy),
            detail=self._maybe(finding.detail),
            chain=tuple(map(self._link, finding.chain)),
            lending=None if finding.lending is None else self._lending(finding.lending),
        )

    def _lending(self, lending: Lending) -> Lending:
        to = (
            replace(
                one, at=None if one.at is None else self._spot(one.at), wait=self._wait(one.wait)
            )
            for one in lending.to
        )
        return replace(lending, pool=self._text(lending.pool), to=tuple(to))

    def _link(self, link: Link) -> Link:
        return replace(
            link,
            thread=self._text(link.thread),
            task=self._maybe(link.task),
            program=self._maybe(link.program),
            at=None if link.at is None else self._spot(link.at),
            taken=None if link.taken is None else self._spot(link.taken),
            wait=self._wait(link.wait),
            unsent=self._unsent(link.unsent),
        )

    def _unsent(self, unsent: Unsent | None) -> Unsent | None:
        return None if unsent is None else structs.replace(unsent, peer=self._text(unsent.peer))

    def _spot(self, spot: Spot) -> Spot:
        return replace(
            spot,
            file=None if spot.file is None else self._privacy.path(spot.file),
            source=None if spot.source is None else self._privacy.source(spot.source),
        )

    def _blame(self, blame: Blame, sources: SourceLines) -> Blame:
        source = blame.source
        if source is None and blame.file is not None and blame.line is not None:
            source = sources.get(blame.file, {}).get(blame.line)
        return replace(
            blame,
            file=None if blame.file is None else self._privacy.path(blame.file),
            source=None if source is None else self._privacy.source(source),
        )

    def _root(self, root: RootTime) -> RootTime:
        return replace(
            root,
            thread=self._text(root.thread),
            stack=self._stack(root.stack),
            wait=self._wait(root.wait),
        )

    # --- threads ---------------------------------------------------------------------------------

    def _thread(self, thread: ThreadActivity) -> ThreadActivity:
        done = thread.activities
        stacks, stack_of = self._stacks_of(done.stacks)
        waits, wait_of = self._waits_of(done.waits)
        start_ns, end_ns, stack, wait, *weights = done.columns
        columns = (start_ns, end_ns, stack_of[stack], wait_of[wait], *weights)
        return replace(
            thread, name=self._text(thread.name), activities=Activities(columns, stacks, waits)
        )

    def _stacks_of(self, table: StackTable) -> tuple[StackTable, Int64s]:
        """All of them with other paths, and the new number of each."""
        found = self._stacks.get(id(table))
        if found is None:
            done, numbers = table.rewritten(self._frame)
            found = self._stacks[id(table)] = done, int64s(numbers)
        return found

    def _waits_of(self, table: WaitTable) -> tuple[WaitTable, Int64s]:
        found = self._waits.get(id(table))
        if found is None:
            done = WaitTable()
            numbers = int64s(done.number(self._wait(table[n])) for n in range(len(table)))
            found = self._waits[id(table)] = done, numbers
        return found

    def _stack(self, stack: Stack) -> Stack:
        return tuple(map(self._frame, stack))

    def _frame(self, frame: Frame) -> Frame:
        path, home = self._privacy.path(frame.file), frame.home
        short = path if home.origin is Origin.USER else self._text(home.short)
        return placed(Frame(frame.function, path, frame.line), structs.replace(home, short=short))

    def _wait(self, wait: Wait) -> Wait:
        return replace(wait, call=self._maybe(wait.call), syscall=self._maybe(wait.syscall))


def _files(judged: Analysis) -> Iterator[str]:
    """The file of every frame that was seen, and of all that stands beside them."""
    tables = {id(t.activities.stacks): t.activities.stacks for t in judged.threads}
    for table in tables.values():
        yield from (frame.file for frame in table.frames)
    yield from (frame.file for root in judged.roots for frame in root.stack)
    for finding in judged.report.findings:
        yield from (frame.file for frame in finding.stack)
        yield from (blame.file for blame in finding.blames if blame.file is not None)
        spots = [spot for link in finding.chain for spot in (link.at, link.taken)]
        spots += [] if finding.lending is None else [one.at for one in finding.lending.to]
        yield from (spot.file for spot in spots if spot is not None and spot.file is not None)
        yield from (v.where.rpartition(":")[0] for v in finding.victims if v.where is not None)
    yield from (place.file for place in judged.report.waiting.places or () if place.file)


def _sources(findings: Iterable[Finding]) -> SourceLines:
    """The blamed lines, and none of those around them: these may lie inside a text."""
    found: dict[str, dict[int, str]] = {}
    for blame in (blame for finding in findings for blame in finding.blames):
        if blame.file is not None and blame.line is not None and blame.source is not None:
            found.setdefault(blame.file, {})[blame.line] = blame.source
    return found


def _version(told: str | None) -> str | None:
    """A runtime's version, if it is one."""
    return told if told is None or _VERSION.fullmatch(told) else HIDDEN
