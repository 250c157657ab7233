"""Sockets in which something waited while all who take from them were stopped: SIGSTOP, a debugger.

A stopped thread often stands in the very call in which it waits for work: it looks idle, but takes
nothing that comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce

import numpy as np

from waitspy.judge import datagrams, listeners
from waitspy.judge.datagrams import DatagramQueue
from waitspy.judge.episode import Item, Starvation
from waitspy.judge.listeners import Listener
from waitspy.judge.spans import Span, common
from waitspy.model.columns import one_of
from waitspy.model.kinds import NO_CPU
from waitspy.model.oracle_names import BACKLOG, DATAGRAMS, THREADS
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import WorkerRecord
from waitspy.model.threads import KernelStates

_STOPPED = tuple(b"Tt")


def of_listener(
    listener: Listener, workers: Sequence[WorkerRecord], end_ns: int, min_stall_ns: int
) -> Iterator[Starvation]:
    """The episodes of one listener."""
    waited = listeners.waited_spans(listener.counts, end_ns)
    who = listeners.who_accepts(listener.acceptors)
    for span in _stopped(listener.acceptors, workers, waited, end_ns, min_stall_ns):
        items = tuple(listeners.waited_items(listener, *span))
        detail = f"connections to {listener.name}: {who} stopped"
        yield _starvation(listener.acceptors, span, listener.name, BACKLOG, items, detail)


def of_datagrams(
    queue: DatagramQueue, workers: Sequence[WorkerRecord], end_ns: int, min_stall_ns: int
) -> Iterator[Starvation]:
    """The episodes of one socket for datagrams."""
    for span in _stopped(queue.readers, workers, queue.unread, end_ns, min_stall_ns):
        name, items = datagrams.socket_name(queue.name), (datagrams.unread_item(queue, span),)
        detail = f"datagrams on {name}: {datagrams.who_reads(queue.readers)} stopped"
        yield _starvation(queue.readers, span, name, DATAGRAMS, items, detail)


def _stopped(
    takers: Sequence[ThreadKey],
    workers: Sequence[WorkerRecord],
    waited: Sequence[Span],
    end_ns: int,
    min_stall_ns: int,
) -> list[Span]:
    """When all of them were stopped while something waited, for long enough."""
    owners = {worker.thread(tid): worker for worker in workers for tid in worker.states}
    every = [_spans(owners[key].states[key.tid], end_ns) for key in takers]
    together = reduce(common, every, list(waited)) if every else []
    return [span for span in together if span[1] - span[0] >= min_stall_ns]


def _spans(states: KernelStates, end_ns: int) -> list[Span]:
    rows = np.flatnonzero(one_of(states.state, _STOPPED))
    ends_ns = np.append(states.at_ns[1:], end_ns)[rows]
    return list(zip(states.at_ns[rows].tolist(), ends_ns.tolist(), strict=True))


def _starvation(
    takers: Sequence[ThreadKey],
    span: Span,
    place: str,
    oracle: str,
    items: tuple[Item, ...],
    detail: str,
) -> Starvation:
    pid, tid, process = min(takers)
    return Starvation(
        kind=NO_CPU,
        verdict=NO_CPU.verdict,
        pid=pid,
        tid=tid,
        process=process,
        place=place,
        start_ns=span[0],
        end_ns=span[1],
        held_by={},
        base=None,
        evidence=(oracle, THREADS),
        items=items,
        detail=detail,
    )
