"""Starved time at the roots of chains: what is moved there, and what stays where it arose."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest

from tests.examples.build import SOURCES, activities, activity, at, frame, stack, states, worker
from waitspy.judge import merge
from waitspy.judge.episode import Item, Starvation
from waitspy.judge.wait_for import Chains
from waitspy.judge.weights import Weighed, weigh
from waitspy.model.activities import Activities, ThreadActivity
from waitspy.model.judged import Profile, RootTime
from waitspy.model.kinds import BLOCKED_LOOP, DEADLOCK, HELD_LOCK
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import WorkerRecord
from waitspy.model.stacks import Stack
from waitspy.model.wait_for import Holder, TaskEdge, WaitEdge, WaitForEvent
from waitspy.model.wait_frames import merged_stack
from waitspy.model.waits import Wait, WaitKind
from waitspy.render.profiles.collapsed import CollapsedRenderer
from waitspy.render.profiles.svg import SvgRenderer

LOOP, OTHER, HOLDER = 11, 12, 13
WANTS = stack("run@/app/cache.py:1 > lookup@/app/cache.py:52")
FETCH = stack("run@/app/cache.py:1 > fetch@/app/upstream.py:18")
AWAITS = stack("refresh@/app/cache.py:41 > sleep@lib/asyncio/tasks.py:649")
LOCK = Wait(WaitKind.LOCK, "with self._lock", "futex")
RECEIVES = Wait(WaitKind.SOCKET, "sock.recv", "recvfrom")
TAKEN = frame("refresh@/app/cache.py:40")
TASK = 0xA1
END_MS = 1_000
NAMES = {ThreadKey(100, HOLDER): "refresher"}


def edge(tid: int, *holders: Holder) -> WaitEdge:
    return WaitEdge(tid, "lock", 0x1000, holders, whole=True)


def by(tid: int, task: int | None = None) -> Holder:
    return Holder(tid, "with", TAKEN, task)


def episode(*tids: int, start_ms: float = 200, end_ms: float = 800) -> Starvation:
    return Starvation(
        BLOCKED_LOOP, "starving", 100, LOOP, "a loop", at(start_ms), at(end_ms),
        {ThreadKey(100, tid): () for tid in tids}, None, ("asyncio",),
        items=(Item("task", "t", None, at(start_ms), at(end_ms)),),
    )  # fmt: skip


def weighed(
    *found: Starvation,
    edges: tuple[WaitEdge, ...] = (),
    tasks: tuple[TaskEdge, ...] = (),
    others: tuple[WorkerRecord, ...] = (),
    there: Mapping[ThreadKey, Activities] = MappingProxyType({}),
) -> Weighed:
    """Both loops want a lock all the time, of which a look at 500 ms tells; one thread receives."""
    record = replace(
        worker(),
        states={tid: states((0, "futex 0x10")) for tid in (LOOP, OTHER, HOLDER)},
        wait_for=(WaitForEvent(at(500), edges, (), tasks),),
    )
    did: Mapping[ThreadKey, Activities] = {
        record.thread(LOOP): activities(activity(0, END_MS, WANTS, LOCK)),
        record.thread(OTHER): activities(activity(0, END_MS, WANTS, LOCK)),
        record.thread(HOLDER): activities(activity(0, END_MS, FETCH, RECEIVES)),
        **there,
    }
    return weigh(did, found, Chains([record, *others], did, NAMES, SOURCES), NAMES)


def profile(done: Weighed, pid: int | None = None) -> Profile:
    threads = [
        ThreadActivity(key.pid, key.tid, NAMES.get(key, ""), mine)
        for key, mine in done.activities.items()
    ]
    return merge.merge(
        threads, done.roots, title="t", start_ns=at(0), end_ns=at(END_MS), lines=True, pid=pid
    )


def seconds(done: Weighed) -> dict[str, tuple[float, float]]:
    """Starved time and that at roots, by the function of the deepest frame of code."""
    return {
        one.stack[-2].function: (one.starved_s, one.root_s)
        for one in profile(done).merged
        if one.starved_s or one.root_s
    }


def test_without_a_chain_it_stays_where_it_arose() -> None:
    assert seconds(weighed(episode(LOOP))) == {"lookup": (0.6, 0.6)}


def test_what_a_lock_keeps_is_moved_to_who_holds_it() -> None:
    done = weighed(episode(LOOP), edges=(edge(LOOP, by(HOLDER)),))
    assert seconds(done) == {"lookup": (0.6, 0.0), "fetch": (0.0, 0.6)}
    assert done.roots == (RootTime(100, HOLDER, "refresher", FETCH, RECEIVES, at(800) - at(200)),)


def test_what_another_process_keeps_is_moved_to_that_one() -> None:
    other = worker(200)
    there = {other.thread(200): activities(activity(0, END_MS, FETCH, RECEIVES))}
    held = edge(LOOP, Holder(200, "with", TAKEN, pid=200))
    done = weighed(episode(LOOP), edges=(held,), others=(other,), there=there)
    assert [(root.pid, root.tid, root.stack) for root in done.roots] == [(200, 200, FETCH)]


def test_all_that_has_one_root_meets_there() -> None:
    edges = (edge(LOOP, by(HOLDER)), edge(OTHER, by(HOLDER)))
    done = weighed(episode(LOOP), episode(OTHER, end_ms=500), edges=edges)
    assert seconds(done) == {"lookup": (pytest.approx(0.9), 0.0), "fetch": (0.0, 0.9)}


def test_time_that_two_episodes_share_is_moved_once() -> None:
    edges = (edge(LOOP, by(HOLDER)),)
    done = weighed(episode(LOOP), episode(LOOP, start_ms=400, end_ms=1_000), edges=edges)
    assert seconds(done) == {"lookup": (0.8, 0.0), "fetch": (0.0, 0.8)}


def test_of_several_threads_each_has_its_own_root() -> None:
    done = weighed(episode(LOOP, OTHER), edges=(edge(LOOP, by(HOLDER)),))
    assert seconds(done) == {"lookup": (0.6, 0.3), "fetch": (0.0, 0.3)}


def test_a_task_at_the_root_shows_its_awaits() -> None:
    task = TaskEdge(TASK, 0, AWAITS)
    done = weighed(episode(OTHER), edges=(edge(OTHER, by(0, TASK)),), tasks=(task,))
    assert seconds(done) == {"lookup": (0.6, 0.0), "sleep": (0.0, 0.6)}
    assert [(root.tid, root.stack) for root in done.roots] == [(100, AWAITS)]


def test_a_ring_has_no_root() -> None:
    edges = (edge(LOOP, by(OTHER)), edge(OTHER, by(LOOP)))
    done = weighed(replace(episode(LOOP), kind=DEADLOCK), edges=edges)
    assert seconds(done) == {"lookup": (0.6, 0.6)}


def of_tasks(*stacks: Stack) -> Starvation:
    span = (at(200), at(800))
    step = (span[1] - span[0]) // len(stacks)
    held = tuple(
        replace(
            activity(0, 1, awaits, Wait(WaitKind.SLEEP, "sleep")),
            start_ns=span[0] + n * step,
            end_ns=span[0] + (n + 1) * step,
        )
        for n, awaits in enumerate(stacks)
    )
    return replace(
        episode(LOOP), kind=HELD_LOCK, held_by={ThreadKey(100, LOOP): held}, of_tasks=True
    )


def test_what_only_tasks_starve_is_at_roots_alone() -> None:
    other = stack("other@/app/cache.py:9 > sleep@lib/asyncio/tasks.py:649")
    done = weighed(of_tasks(AWAITS, other))
    assert all(not any(a.starved_ns for a in mine) for mine in done.activities.values())
    assert sorted((root.stack[0].function, round(root.root_ns, -6)) for root in done.roots) == [
        ("other", 300_000_000),
        ("refresh", 300_000_000),
    ]


def test_every_format_that_weighs_shows_it() -> None:
    done = profile(weighed(episode(LOOP), edges=(edge(LOOP, by(HOLDER)),)))
    text = io.StringIO()
    CollapsedRenderer("root").render(done, text)
    assert text.getvalue() == (
        "run (/app/cache.py:1);fetch (/app/upstream.py:18);[socket] sock.recv 600000\n"
    )
    picture = io.StringIO()
    SvgRenderer("root").render(done, picture)
    assert "starved time at its root 600 ms (100" in picture.getvalue()
    assert "lookup" not in picture.getvalue(), "nothing of it is left there"
    assert "nothing was starved" not in picture.getvalue()


def test_another_worker_has_none_of_it() -> None:
    done = weighed(episode(LOOP), edges=(edge(LOOP, by(HOLDER)),))
    assert profile(done, pid=100).roots == done.roots
    assert profile(done, pid=101).roots == ()
    whole = merged_stack(FETCH, RECEIVES, lines=True)
    (at_root,) = (one for one in profile(done).merged if one.stack == whole)
    assert (at_root.wall_s, at_root.root_s) == (1.0, 0.6)
