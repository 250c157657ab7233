"""A recording folder becomes one Recording value; what is missing or broken becomes a Loss."""

from __future__ import annotations

import errno
import math
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar, cast, get_args

from waitspy.errors import RecordingError
from waitspy.model import garbage
from waitspy.model.clock import NS
from waitspy.model.code_origin import Homes
from waitspy.model.oracle_names import (
    BACKLOG,
    CHILDREN,
    DATAGRAMS,
    MESSAGES,
    PLACES,
    POOLS,
    REQUESTS,
    WAIT_FOR,
)
from waitspy.model.places import PlacesEvent
from waitspy.model.processes import Role, Worker
from waitspy.model.recorded import Cost, HeldUp, Loss, Recording, RecordingInfo, WorkerRecord
from waitspy.model.task_waits import TaskWaitsEvent
from waitspy.model.threads import Segment
from waitspy.recording import (
    children,
    code_origin,
    datagrams,
    listeners,
    messages,
    places,
    pools,
    requests,
    wait_for,
)
from waitspy.recording.files import read_text
from waitspy.recording.folder import SCHEMA
from waitspy.recording.gaps import settle
from waitspy.recording.lives import bounded
from waitspy.recording.rows import Reader
from waitspy.recording.streams import DAMAGED, KEPT, RATES_HZ, Streams
from waitspy.recording.valid_json import read_json

_T = TypeVar("_T")


_NOBODYS_NS = NS
_LARGEST = 1 << 62  # of any number: times and their sums then fit into 64 bits


class _Timed(Protocol):
    """Anything that has a time."""

    @property
    def at_ns(self) -> int:
        """When."""
        ...


_R = TypeVar("_R", bound=_Timed)


def load(path: str) -> Recording:
    """The recording in that folder; one that was cut short loads with losses that say so.

    Raises:
        RecordingError: not a recording, an empty one, or one of a newer schema.
    """
    with garbage.not_collected():
        return _load(path)


def _load(path: str) -> Recording:
    meta = _meta(path)
    losses: list[Loss] = []
    try:
        clock, host = _needed(meta, "clock", dict), _needed(meta, "host", dict)
        start_ns = _needed(clock, "monotonic_ns", int)
        homes = Homes(code_origin.programs(meta.get("workers", ())))
        streams = Streams(path, losses, cut=not meta.get("end"), homes=homes)
        gaps = tuple(sorted((int(a), int(b)) for a, b in meta.get("gaps", ())))
        # Rows are changes only: what was flushed last says until when nothing else happened. Some
        # streams may go on after it, up to where a buffer was full.
        known_ns = _maybe(meta, "end_ns", int) or _maybe(meta, "flushed_ns", int)
        rows = _each_once(meta.get("workers", ()), losses)
        read = [_worker(meta, row, streams, known_ns) for row in rows]
        told = [_loss(row) for row in meta.get("losses", ())]
        workers = tuple(settle(_with_held_up(one, told), gaps) for one in _numbered(read))
        losses.extend(loss for worker in workers for loss in _nobodys(worker))
        end_ns = known_ns or _last_ns(workers, start_ns)
        duration_s = max(0.0, (end_ns - start_ns) / NS)
        if not meta.get("end"):
            what = f"everything after {duration_s:.3g} s"
            losses.append(Loss(what, "waitspy was killed, or the disk failed", KEPT))
        losses.extend(told)
        info = RecordingInfo(
            started_at=_needed(clock, "wall", str),
            monotonic_start_ns=start_ns,
            duration_s=duration_s,
            rate_hz=_between(meta, "rate_hz", *RATES_HZ),
            target=_needed(meta, "target", str),
            host=_needed(host, "name", str),
            end_ns=end_ns,
            min_stall_s=_between(meta, "min_stall_s", 0.001, 1e4),
            arch=_needed(host, "arch", str),
            gaps=gaps,
            tick_s=_between(meta, "tick_s", 1e-6, 1e4),
            looks=_maybe(meta, "looks", int),
        )
        cost = _maybe(meta, "cost", dict) or {}
        sources = streams.sources()
        names = ("cpu_s", "cpu_share", "peak_rss_mb")
        return Recording(
            info=info,
            workers=workers,
            losses=tuple(losses),
            cost=Cost(*(_maybe(cost, name, float) for name in names)),
            sources=sources,
            stacks=streams.stacks,
        )
    except DAMAGED as error:
        raise RecordingError(
            f"{path}/meta.json is damaged ({type(error).__name__}: {str(error)[:200]})",
            "record again; the files in stacks/ can still be opened by hand",
        ) from None


def _meta(path: str) -> dict[str, Any]:
    name = os.path.join(path, "meta.json")
    hint = "give the folder that 'waitspy record' printed"
    try:
        if not stat.S_ISDIR(os.stat(path).st_mode):
            raise RecordingError(f"{path} is not a folder", hint)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        if isinstance(error, FileNotFoundError):
            raise RecordingError(f"{path} does not exist", hint) from None
        raise RecordingError(f"{path} cannot be read: {why}", hint) from None
    try:
        meta = read_json(read_text(path, "meta.json"))
    except FileNotFoundError:
        raise RecordingError(f"{path} is not a recording: it has no meta.json", hint) from None
    except OSError as error:
        raise RecordingError(f"cannot read {name}: {error.strerror}", _hint(error)) from None
    except (ValueError, RecursionError):
        raise RecordingError(f"{name} is empty or not JSON", hint) from None
    schema = meta.get("schema") if isinstance(meta, dict) else None
    if not isinstance(schema, str) or not schema.startswith("waitspy.recording/"):
        raise RecordingError(f"{path} is not a recording: {name} names no schema", hint)
    if schema != SCHEMA:
        raise RecordingError(
            f"{path} was written with {schema[:40]}; this waitspy reads {SCHEMA}",
            "read it with the waitspy that wrote it, or a newer one",
        )
    assert isinstance(meta, dict)
    return meta


def _hint(error: OSError) -> str:
    if error.errno in {errno.EACCES, errno.EPERM}:
        return "read it as the user who recorded it"
    return "it is damaged, or was not written by waitspy: record again"


def _maybe(row: Mapping[str, Any], key: str, kind: type[_T]) -> _T | None:
    """The value under that key, None without one; raises TypeError when it is something else."""
    value: object = row.get(key)
    if kind is float and type(value) is int:
        value = float(value)
    if value is None:
        return None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{key} is {str(value)[:40]!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{key} is {value}")
    if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
        raise ValueError(f"{key} is {value:.4g}")
    return value


def _needed(row: Mapping[str, Any], key: str, kind: type[_T]) -> _T:
    value = _maybe(row, key, kind)
    if value is None:
        raise KeyError(key)
    return value


def _between(row: Mapping[str, Any], key: str, least: float, most: float) -> float:
    value = _needed(row, key, float)
    if not least <= value <= most:
        raise ValueError(f"{key} is {value:.4g}")
    return value


def _loss(row: Mapping[str, Any]) -> Loss:
    what, why, remedy = (_needed(row, key, str) for key in ("what", "why", "remedy"))
    held_up = tuple(HeldUp(*map(int, span)) for span in row.get("held_up", ()))
    return Loss(what, why, remedy, _maybe(row, "pid", int), held_up)


def _with_held_up(worker: WorkerRecord, losses: Iterable[Loss]) -> WorkerRecord:
    """The worker with the times at which the losses say that we held up its threads."""
    own = (loss.held_up for loss in losses if loss.pid == worker.worker.pid)
    return replace(worker, held_up=tuple(span for spans in own for span in spans))


def _each_once(rows: Iterable[Mapping[str, Any]], losses: list[Loss]) -> list[Mapping[str, Any]]:
    """The processes, without those that are told again: what they starved would count again."""
    found: dict[tuple[int, int], Mapping[str, Any]] = {}
    again: dict[int, int] = {}
    for row in rows:
        pid = _needed(row, "pid", int)
        if found.setdefault((pid, _needed(row, "attached_ns", int)), row) is not row:
            again[pid] = again.get(pid, 0) + 1
    for pid, many in again.items():
        losses.append(Loss(f"{many} of the processes", "they are told already", KEPT, pid))
    return [*found.values()]


def _worker(
    meta: Mapping[str, Any], row: Mapping[str, Any], streams: Streams, end_ns: int | None
) -> WorkerRecord:
    pid = _needed(row, "pid", int)
    role = _needed(row, "role", str)
    if role not in get_args(Role):
        raise ValueError(f"role is {role[:40]!r}")
    worker = Worker(
        pid=pid,
        ppid=_needed(row, "ppid", int),
        role=cast("Role", role),
        command=_needed(row, "command", str),
        start_ticks=_needed(row, "start_ticks", int),
        python=_maybe(row, "python", str),
        node=_maybe(row, "node", str),
        framework=_maybe(row, "framework", str),
        threads=_maybe(row, "threads", int),
        why_not=_maybe(row, "why_not", str),
        remedy=_maybe(row, "remedy", str),
    )
    from_ns = _needed(row, "attached_ns", int)
    until_ns = _maybe(row, "gone_ns", int) or 1 << 63
    # A process that calls exec is another worker with the same pid: each has its own time.
    rows = [
        s
        for s in meta.get("segments", ())
        if s["pid"] == pid and from_ns <= s["zero_ns"] < until_ns
    ]
    ids = [(int(at), int(told), int(tid)) for at, told, tid in row.get("native_ids", ())]
    read = [(segment, row_) for row_ in rows if (segment := streams.segment(row_, ids, end_ns))]
    span = row.get("runtime_span")
    oracles = {str(name): str(state) for name, state in row.get("oracles", {}).items()}
    # What the look that finds it gone has seen is the next one's.
    until_ns = min(until_ns - 1, end_ns or until_ns)
    states = {
        tid: mine
        for tid, found in streams.states(pid, oracles).items()
        if len(mine := found.between(from_ns, until_ns))
    }

    segments = bounded([segment for segment, _ in read], states)
    rate_hz, samples, missed = _rates([*zip(segments, (row_ for _, row_ in read), strict=True)])

    def told(oracle: str, reader: Reader, event: Callable[[Any], _R]) -> tuple[_R, ...]:
        return _within(streams.events(oracle, pid, reader, event, oracles), from_ns, until_ns)

    epoll_events = streams.epolls(pid, oracles).between(from_ns, until_ns)
    loop_events = streams.loops(pid, oracles).between(from_ns, until_ns)
    pool_events = told(POOLS, pools.READER, pools.event)
    listener_events = told(BACKLOG, listeners.READER, listeners.event)
    datagram_events = told(DATAGRAMS, datagrams.READER, datagrams.event)
    message_events = told(MESSAGES, messages.READER, messages.event)
    request_events = told(REQUESTS, requests.READER, requests.event)
    looks = [
        look.placed(streams.stacks.placed) for look in told(PLACES, places.READER, places.event)
    ]
    wait_events = tuple(
        look.placed(streams.stacks.placed)
        for look in told(WAIT_FOR, wait_for.READER, wait_for.event)
    )
    child_events = tuple(
        look.placed(streams.stacks.placed)
        for look in told(CHILDREN, children.READER, children.event)
    )
    gone_ns = _maybe(row, "gone_ns", int)
    # Nothing is known of a worker after the end of a torn stream, or once an oracle has failed.
    for known_ns in (streams.known_ns.get(pid), _maybe(row, "known_ns", int)):
        if known_ns is not None:
            gone_ns = max(from_ns, known_ns if gone_ns is None else min(gone_ns, known_ns))
    return WorkerRecord(
        worker=worker,
        attached_ns=from_ns,
        gone_ns=gone_ns,
        exit=_maybe(row, "exit", str),
        rate_hz=rate_hz,
        samples=samples,
        missed_samples=missed,
        oracles=oracles,
        runtime_span=(int(span[0]), int(span[1])) if span else None,
        segments=segments,
        states=states,
        dumps=_within(streams.dumps(pid), from_ns, until_ns),
        epolls=epoll_events,
        loops=loop_events,
        pools=pool_events,
        listeners=listener_events,
        datagrams=datagram_events,
        messages=message_events,
        requests=request_events,
        places=tuple(look for look in looks if isinstance(look, PlacesEvent)),
        task_waits=tuple(look for look in looks if isinstance(look, TaskWaitsEvent)),
        wait_for=wait_events,
        children=child_events,
    )


def _numbered(workers: Sequence[WorkerRecord]) -> Iterator[WorkerRecord]:
    """The workers, each with the number of those that had its pid before."""
    times: dict[int, list[int]] = {}
    for worker in workers:
        times.setdefault(worker.worker.pid, []).append(worker.attached_ns)
    for worker in workers:
        mine = times[worker.worker.pid]
        yield replace(worker, process=sorted(mine).index(worker.attached_ns))


def _within(found: Iterable[_R], from_ns: int, until_ns: int) -> tuple[_R, ...]:
    """Those at or between two times."""
    return tuple(one for one in found if from_ns <= one.at_ns <= until_ns)


def _nobodys(worker: WorkerRecord) -> Iterator[Loss]:
    """Stacks under an id that is no thread of the process: nothing is known of who ran them."""
    if worker.oracles.get("threads") != "ok" or not worker.states:  # its rows may be lost
        return
    seen_ns: dict[int, int] = {}
    for segment in worker.segments:
        for thread in segment.threads:
            if thread.tid not in worker.states:
                shown = thread.intervals
                length_ns = int((shown.end_ns - shown.start_ns).sum())
                seen_ns[thread.tid] = seen_ns.get(thread.tid, 0) + length_ns
    for tid, length_ns in seen_ns.items():
        if length_ns >= _NOBODYS_NS:  # whatever lives shorter may have ended between two looks
            what = f"what {length_ns / NS:.1f} s of stacks of pid {worker.worker.pid} waited in"
            why = f"its interpreter names a thread {tid} that the process does not have"
            yield Loss(what, why, "record again once it has restarted", worker.worker.pid)


def _rates(
    read: list[tuple[Segment, Mapping[str, Any]]],
) -> tuple[float | None, int | None, int | None]:
    """Achieved rate, samples and missed samples of a worker; the sampler counts per thread.

    The rate is that of the whole time from the first sample to the last one, pauses and all.
    """
    ticks = asked = 0.0
    samples = 0
    covered: list[tuple[int, int]] = []
    for segment, row in read:
        span_ns = segment.end_ns - segment.start_ns
        shown = [thread.intervals for thread in segment.threads]
        seen_ns = sum(int((i.end_ns - i.start_ns).sum()) for i in shown)
        if "samples" not in row or span_ns <= 0 or seen_ns <= 0:
            continue
        samples += int(row["samples"])
        ticks += int(row["samples"]) * span_ns / seen_ns
        asked += span_ns / segment.period_ns
        covered.append((segment.start_ns, segment.end_ns))
    if not covered:
        return None, None, None
    # Two samplers overlap for a moment where one relieves the other: that counts once.
    own_ns = sum(end_ns - start_ns for start_ns, end_ns in covered)
    length_ns = max(end_ns for _, end_ns in covered) - min(start_ns for start_ns, _ in covered)
    length_s = max(own_ns, length_ns) / NS
    # The trace starts with its first sample and ends with its last: one tick too many.
    return min(ticks, asked) / length_s, samples, max(0, round(asked - ticks))


def _last_ns(workers: tuple[WorkerRecord, ...], start_ns: int) -> int:
    """The latest time that a recording without an end knows of."""
    times = [start_ns]
    for worker in workers:
        times.extend(s.end_ns for s in worker.segments)
        times.extend(states[-1].at_ns for states in worker.states.values() if states)
        times.extend(worker.epolls.at_ns[-1:].tolist())
        times.extend(dump.at_ns for dump in worker.dumps[-1:])
    return max(times)
