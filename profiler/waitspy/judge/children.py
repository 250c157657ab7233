"""Episodes of who waits for a process that waits itself, for ever, for the worker to read a pipe.

Only what has stood for long, and to the end: a reader that is merely slow lets the process go on
now and then, and whoever is told once to have gone on is no deadlock. One that has ended was
usually ended by somebody, but may have gone on and come to its end since the look before: so it
has to have stood for longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from waitspy.judge import blame
from waitspy.judge.episode import Item, Starvation
from waitspy.judge.held_locks import MAY_BE_DEADLOCKS, thread_item
from waitspy.judge.spans import Span, common, length_ns, union
from waitspy.judge.spots import spot_of
from waitspy.judge.task_stacks import name_of, task_item, wait_of
from waitspy.judge.task_waits import loop_thread
from waitspy.judge.thread_time import cut
from waitspy.model.activities import NO_ACTIVITIES, Activities, Activity
from waitspy.model.children import ChildWait, StandingChild
from waitspy.model.clock import NS
from waitspy.model.code_origin import Origin
from waitspy.model.judged import Link
from waitspy.model.kinds import DEADLOCK
from waitspy.model.oracle_names import CHILDREN
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import SourceLines, WorkerRecord
from waitspy.model.stacks import Frame
from waitspy.model.waits import Wait, WaitKind

_LEAST_NS = NS
_LEAST_STALLS = 10  # times the least stall
_ENDED = 3  # times as long, if it has ended
_HALF = 0.5

_WATCHERS = "/asyncio/unix_events.py", "_do_waitpid"
"""A thread of asyncio's own that waits for a process on behalf of tasks, up to 3.11."""


@dataclass(frozen=True, slots=True)
class _Stuck:
    """Who waited for a process, and what of it: one thread, or tasks at the same lines.

    ``doing`` is what they did in that span, ``frame`` the line to blame.
    """

    child: StandingChild
    wait: ChildWait
    key: ThreadKey
    span: Span
    doing: tuple[Activity, ...]
    frame: Frame | None

    @property
    def own(self) -> bool:
        """Whether they wait in the program's own code."""
        return self.frame is not None and self.frame.origin is Origin.USER


def find(
    workers: Iterable[WorkerRecord],
    done: Mapping[ThreadKey, Activities],
    names: Mapping[ThreadKey, str],
    sources: SourceLines,
    end_ns: int,
    min_stall_ns: int,
) -> Iterator[Starvation]:
    """The episodes of all that wait at one line for processes of one name, worker by worker."""
    groups: dict[tuple[object, ...], list[_Stuck]] = {}
    for worker in workers:
        for child, until_ns, ended in _stood(worker, end_ns):
            least_ns = max(_LEAST_NS, _LEAST_STALLS * min_stall_ns) * (_ENDED if ended else 1)
            found = [
                one
                for wait in child.waits
                if (one := _of_wait(worker, done, child, wait, until_ns)) is not None
                and one.span[1] - one.span[0] >= least_ns
            ]
            for one in [each for each in found if each.own] or found:
                what = one.frame, one.child.name, one.wait.tid is None
                groups.setdefault(what, []).append(one)
    for group in groups.values():
        detail = _detail(group)
        by_worker: dict[ThreadKey, list[_Stuck]] = {}
        for one in group:
            by_worker.setdefault(one.key._replace(tid=0), []).append(one)
        for mine in by_worker.values():
            for span in union(one.span for one in mine):
                within = [o for o in mine if span[0] <= o.span[0] and o.span[1] <= span[1]]
                yield _episode(within, span, detail, names, sources)


def _stood(worker: WorkerRecord, end_ns: int) -> Iterator[tuple[StandingChild, int, bool]]:
    """Each process as it was told last, until when it stood, and whether it ended then; none that
    was seen to go on.
    """
    stop_ns = end_ns if worker.gone_ns is None else min(end_ns, worker.gone_ns)
    now: dict[tuple[int, int], StandingChild] = {}
    over: list[tuple[StandingChild, int, bool]] = []
    went_on: set[tuple[int, int]] = set()
    for event in worker.children:
        before, now = now, {(one.pid, one.pipe): one for one in event.standing}
        for key, child in before.items():
            if key in now:
                if now[key].since_ns != child.since_ns:
                    went_on.add(key)
            elif child.pid in event.ended:
                over.append((child, event.at_ns, True))
            else:
                went_on.add(key)
    over += [(child, stop_ns, False) for child in now.values()]
    yield from (one for one in over if (one[0].pid, one[0].pipe) not in went_on)


def _of_wait(
    worker: WorkerRecord,
    done: Mapping[ThreadKey, Activities],
    child: StandingChild,
    wait: ChildWait,
    until_ns: int,
) -> _Stuck | None:
    """What is known of those who waited; None of a thread of which nothing is."""
    span = max(wait.since_ns, child.since_ns), until_ns
    if span[0] >= span[1]:
        return None
    if wait.tid is None:
        key = worker.thread(loop_thread(worker, wait.loop or 0))
        named = replace(wait_of(wait.stack), kind=WaitKind.SUBPROCESS)
        doing: tuple[Activity, ...] = (Activity(*span, wait.stack, named),)
    else:
        key = worker.thread(wait.tid)
        doing = tuple(cut(done.get(key, NO_ACTIVITIES), *span))
    if not doing or any(_watches(one) for one in doing):
        return None
    return _Stuck(child, wait, key, span, doing, blame.blamed(doing[-1].stack))


def _watches(activity: Activity) -> bool:
    return any(frame.is_one_of(*_WATCHERS) for frame in activity.stack)


def _episode(
    mine: Sequence[_Stuck],
    span: Span,
    detail: str,
    names: Mapping[ThreadKey, str],
    sources: SourceLines,
) -> Starvation:
    longest = min(mine, key=_order)
    held_by: dict[ThreadKey, tuple[Activity, ...]] = {}
    for one in mine:
        held_by[one.key] = (*held_by.get(one.key, ()), *one.doing)
    of_tasks = longest.wait.tid is None
    return Starvation(
        kind=DEADLOCK,
        verdict=DEADLOCK.verdict,
        pid=longest.key.pid,
        tid=longest.key.tid,
        process=longest.key.process,
        place="a process that it has started",
        start_ns=span[0],
        end_ns=span[1],
        held_by=held_by,
        base=None,
        evidence=(CHILDREN,),
        items=tuple(_item(one) for one in mine),
        detail=detail,
        asyncio=of_tasks,
        links=_links(longest, names, sources),
        of_tasks=of_tasks,
    )


def _item(one: _Stuck) -> Item:
    if one.wait.tid is None:
        return task_item(one.wait.stack, one.span, one.wait.count)
    return thread_item(one.doing, one.span)


def _order(one: _Stuck) -> tuple[int, int]:
    """The longest first."""
    return one.span[0] - one.span[1], one.child.pid


def _detail(group: Sequence[_Stuck]) -> str:
    child = min(group, key=_order).child
    more = len({(one.child.pid, one.child.pipe) for one in group}) - 1
    others = f"; {more} more like it" if more else ""
    return (
        f"child {child.name} (pid {child.pid}) is blocked in write to a pipe that this server "
        f"holds as fd {child.fd} and does not read{others}"
    )


def _links(one: _Stuck, names: Mapping[ThreadKey, str], sources: SourceLines) -> tuple[Link, ...]:
    """Who waits, the process it waits for, and the one that is blocked, where that is another."""
    wait, child = one.wait, one.child
    tasks = wait.tid is None
    waiter = Link(
        one.key.pid, one.key.tid, "" if tasks else names.get(one.key, ""),
        spot_of(one.frame, sources), one.doing[-1].wait, one.span[0] / NS, "pipe",
        waits_for=wait.awaits, task=name_of(wait.stack) if tasks else None, count=wait.count,
    )  # fmt: skip
    between = Link(
        wait.pid, wait.pid, "", None, Wait(WaitKind.SUBPROCESS), None, "child",
        waits_for="exit", program=wait.name,
    )  # fmt: skip
    blocked = Link(
        child.pid, child.pid, "", None, Wait(WaitKind.FILE, None, "write"), child.since_ns / NS,
        "pipe" if wait.awaits != "exit" and wait.pid == child.pid else "child",
        waits_for="reader", program=child.name,
    )  # fmt: skip
    return (waiter, blocked) if wait.pid == child.pid else (waiter, between, blocked)


def of_loops_and_pools(
    told: Iterable[Starvation], found: Sequence[Starvation]
) -> Iterator[Starvation]:
    """The episodes of loops and pools, those that are kept by such waits as what they are; and of
    the others ``found``, those whose threads no episode has told of.
    """
    by_thread: dict[ThreadKey, list[Starvation]] = {}
    for mine in found:
        for key in () if mine.of_tasks else mine.held_by:
            by_thread.setdefault(key, []).append(mine)
    taken: set[tuple[ThreadKey, int]] = set()
    for one in told:
        why = {
            key: mine
            for key in one.held_by
            for mine in by_thread.get(key, ())
            if one.kind in MAY_BE_DEADLOCKS and _lasts(one, mine)
        }
        if not why or len(why) < len(one.held_by):
            yield one
            continue
        taken |= {(key, mine.start_ns) for key, mine in why.items()}
        first = next(iter(why.values()))
        yield replace(
            one, kind=DEADLOCK, verdict=DEADLOCK.verdict, detail=first.detail, links=first.links,
            evidence=(*one.evidence, CHILDREN),
        )  # fmt: skip
    for mine in found:
        if mine.of_tasks or any((key, mine.start_ns) not in taken for key in mine.held_by):
            yield mine


def _lasts(one: Starvation, other: Starvation) -> bool:
    """Whether the other one lasts for most of its time."""
    shared = common([(one.start_ns, one.end_ns)], [(other.start_ns, other.end_ns)])
    return length_ns(shared) >= (one.end_ns - one.start_ns) * _HALF
