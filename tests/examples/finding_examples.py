"""Episodes of one loop, built from what its thread did, and the findings that they become."""

from __future__ import annotations

from collections.abc import Sequence

from tests.examples.build import DISPATCH, POLL, SOURCES, START_NS, activity, at, frame, stack
from waitspy.judge import findings
from waitspy.judge.episode import Look, Starvation
from waitspy.model.epolls import UnreadSocket
from waitspy.model.judged import Finding
from waitspy.model.kinds import KINDS
from waitspy.model.processes import ThreadKey
from waitspy.model.stacks import Stack
from waitspy.model.waits import Wait, WaitKind

SLEEP = Wait(WaitKind.SLEEP, "time.sleep", "clock_nanosleep")
SOCKET = Wait(WaitKind.SOCKET, "cur.execute", "poll")
QUEUE = Wait(WaitKind.QUEUE, "queue.Queue.get", "futex")
ON_CPU = Wait(WaitKind.ON_CPU)
POLLS = Wait(WaitKind.LOOP_POLL, None, "epoll_wait")
QUERY = DISPATCH + stack("handle@/app/views.py:22 > query@/app/db.py:7")
FETCH = frame("fetch@/app/client.py:41")
START_S = START_NS / 1e9

Part = tuple[float, float, Stack, Wait]


def starvation(
    start: float,
    end: float,
    *parts: Part,
    kind: str = "blocked-loop",
    pid: int = 100,
    looks: Sequence[tuple[float, Sequence[UnreadSocket]]] = (),
    latent: bool = False,
    guilty_tid: int | None = None,
    base: Stack | None = POLL,
) -> Starvation:
    """An episode (milliseconds) with what the guilty thread did."""
    return Starvation(
        kind=KINDS[kind],
        verdict="latent" if latent else KINDS[kind].verdict,
        pid=pid,
        tid=pid,
        place="epoll descriptor 5",
        start_ns=at(start),
        end_ns=at(end),
        held_by={ThreadKey(pid, guilty_tid or pid): tuple(activity(*part) for part in parts)},
        base=base,
        looks=tuple(Look(at(ms), tuple(sockets)) for ms, sockets in looks),
        evidence=("epoll", "threads"),
    )


def judge(*found: Starvation, duration_s: float = 10.0) -> tuple[Finding, ...]:
    return findings.judge(found, SOURCES, duration_s)


def only(*found: Starvation, duration_s: float = 10.0) -> Finding:
    (finding,) = judge(*found, duration_s=duration_s)
    return finding
