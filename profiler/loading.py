"""A recording folder becomes one Recording value; what is missing or broken becomes a Loss."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, cast, get_args

from profiler import chrometrace
from profiler.errors import RecordingError
from profiler.model import (
    NS,
    Cost,
    Dump,
    EpollEvent,
    Frame,
    KernelState,
    Loss,
    Recording,
    RecordingInfo,
    Role,
    Segment,
    UnreadSocket,
    Worker,
    WorkerRecord,
)
from profiler.recording import SCHEMA

_T = TypeVar("_T")
_KEEP = "what was recorded before is reported"
_DAMAGED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""What reading a value of another shape than the expected one raises."""


def load(path: str) -> Recording:
    """The recording in that folder; one that was cut short loads with losses that say so.

    Raises:
        RecordingError: not a recording, an empty one, or one of a newer schema.
    """
    meta = _meta(path)
    losses: list[Loss] = []
    try:
        clock, host = _needed(meta, "clock", dict), _needed(meta, "host", dict)
        start_ns = _needed(clock, "monotonic_ns", int)
        workers = tuple(_worker(path, meta, row, losses) for row in meta.get("workers", ()))
        end_ns = _maybe(meta, "end_ns", int) or _last_ns(workers, start_ns)
        duration_s = max(0.0, (end_ns - start_ns) / NS)
        if not meta.get("end"):
            what = f"everything after {duration_s:.3g} s"
            losses.append(Loss(what, "waitspy was killed, or the disk failed", _KEEP))
        losses.extend(_loss(row) for row in meta.get("losses", ()))
        info = RecordingInfo(
            started_at=_needed(clock, "wall", str),
            monotonic_start_ns=start_ns,
            duration_s=duration_s,
            rate_hz=_needed(meta, "rate_hz", float),
            target=_needed(meta, "target", str),
            host=_needed(host, "name", str),
            end_ns=end_ns,
            min_stall_s=_needed(meta, "min_stall_s", float),
            arch=_needed(host, "arch", str),
            tick_s=_needed(meta, "tick_s", float),
        )
        cost = _maybe(meta, "cost", dict) or {}
        names = ("cpu_s", "cpu_share", "peak_rss_mb")
        return Recording(
            info=info,
            workers=workers,
            losses=tuple(losses),
            cost=Cost(*(_maybe(cost, name, float) for name in names)),
            sources=_sources(path, losses),
        )
    except _DAMAGED as error:
        raise RecordingError(
            f"{path}/meta.json is damaged ({type(error).__name__}: {error})",
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
        with open(name, encoding="utf-8") as f:
            meta = json.load(f)
    except FileNotFoundError:
        raise RecordingError(f"{path} is not a recording: it has no meta.json", hint) from None
    except OSError as error:
        raise RecordingError(
            f"cannot read {name}: {error.strerror}", "read it as the user who recorded it"
        ) from None
    except (ValueError, RecursionError):
        raise RecordingError(f"{name} is empty or not JSON", hint) from None
    schema = meta.get("schema") if isinstance(meta, dict) else None
    if not isinstance(schema, str) or not schema.startswith("waitspy.recording/"):
        raise RecordingError(f"{path} is not a recording: {name} names no schema", hint)
    if schema != SCHEMA:
        raise RecordingError(
            f"{path} was written with {schema}; this waitspy reads {SCHEMA}",
            "read it with the waitspy that wrote it, or a newer one",
        )
    assert isinstance(meta, dict)
    return meta


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
    return value


def _needed(row: Mapping[str, Any], key: str, kind: type[_T]) -> _T:
    value = _maybe(row, key, kind)
    if value is None:
        raise KeyError(key)
    return value


def _loss(row: Mapping[str, Any]) -> Loss:
    what, why, remedy = (_needed(row, key, str) for key in ("what", "why", "remedy"))
    return Loss(what, why, remedy, _maybe(row, "pid", int))


def _worker(
    path: str, meta: Mapping[str, Any], row: Mapping[str, Any], losses: list[Loss]
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
        framework=_maybe(row, "framework", str),
        threads=_maybe(row, "threads", int),
        why_not=_maybe(row, "why_not", str),
        remedy=_maybe(row, "remedy", str),
    )
    mine = [s for s in meta.get("segments", ()) if s["pid"] == pid]
    ids = [(int(at), int(pthread), int(tid)) for at, pthread, tid in row.get("native_ids", ())]
    read = [(segment, row_) for row_ in mine if (segment := _segment(path, row_, ids, losses))]
    segments = tuple(segment for segment, _ in read)
    rate_hz, samples, missed = _rates(read)
    span = row.get("runtime_span")
    cut = not meta.get("end")
    states = _rows(path, "threads", pid, losses, cut=cut)
    epolls = _rows(path, "epoll", pid, losses, cut=cut)
    return WorkerRecord(
        worker=worker,
        attached_ns=_needed(row, "attached_ns", int),
        gone_ns=_maybe(row, "gone_ns", int),
        exit=_maybe(row, "exit", str),
        rate_hz=rate_hz,
        samples=samples,
        missed_samples=missed,
        oracles={str(name): str(state) for name, state in row.get("oracles", {}).items()},
        runtime_span=(int(span[0]), int(span[1])) if span else None,
        segments=segments,
        states=_states(states, losses, pid),
        dumps=_dumps(path, pid, losses),
        epolls=tuple(_each(epolls, _epoll_event, losses, f"epoll rows of pid {pid}", pid)),
    )


def _rates(
    read: list[tuple[Segment, Mapping[str, Any]]],
) -> tuple[float | None, int | None, int | None]:
    """Achieved rate, samples and missed samples of a worker; the sampler counts per thread."""
    ticks = asked = length_s = 0.0
    samples = 0
    for segment, row in read:
        span_ns = segment.end_ns - segment.start_ns
        seen_ns = sum(i.end_ns - i.start_ns for t in segment.threads for i in t.intervals)
        if "samples" not in row or span_ns <= 0 or seen_ns <= 0:
            continue
        samples += int(row["samples"])
        ticks += int(row["samples"]) * span_ns / seen_ns
        asked += span_ns / segment.period_ns
        length_s += span_ns / NS
    if length_s <= 0:
        return None, None, None
    return ticks / length_s, samples, max(0, round(asked - ticks))


def _segment(
    path: str,
    row: Mapping[str, Any],
    native_ids: chrometrace.NativeIds,
    losses: list[Loss],
) -> Segment | None:
    pid = int(row["pid"])
    what = f"stacks of pid {pid}, segment {row['n']}"
    name = os.path.join(path, "stacks", os.path.basename(str(row["file"])))
    try:
        with open(name, encoding="utf-8", errors="replace") as f:
            text = f.read()
        segment = chrometrace.parse(
            text,
            int(row["zero_ns"]),
            int(NS / float(row["rate_hz"])),
            row.get("end_ns"),
            native_ids,
        )
    except FileNotFoundError:
        if "why" not in row:  # else the capture itself has reported it
            losses.append(Loss(what, "the sampler wrote nothing before the end", _KEEP, pid))
        return None
    except (OSError, *_DAMAGED) as error:
        losses.append(Loss(what, f"cannot be read: {error}", _KEEP, pid))
        return None
    if not text.rstrip().endswith("]"):
        losses.append(Loss(what, "the file is cut short", _KEEP, pid))
    return segment


def _rows(path: str, oracle: str, pid: int, losses: list[Loss], *, cut: bool) -> list[list[Any]]:
    """The rows of one stream; a missing or torn end becomes a loss, unless all was cut short."""
    rows: list[list[Any]] = []
    name = os.path.join(path, "oracles", oracle, f"{pid}.jsonl")
    ended = False
    try:
        with open(name, encoding="utf-8", errors="replace") as f:
            for line in f:
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError):
                    break
                if isinstance(value, list):
                    rows.append(value)
                    ended = False
                elif isinstance(value, dict) and value.get("type") == "end":
                    ended = True
    except FileNotFoundError:
        return rows
    except OSError as error:
        losses.append(Loss(f"oracle {oracle} of pid {pid}", str(error.strerror), _KEEP, pid))
        return rows
    if not ended and not cut:
        losses.append(Loss(f"end of oracle {oracle} of pid {pid}", "the file is cut short", _KEEP))
    return rows


def _states(
    rows: list[list[Any]], losses: list[Loss], pid: int
) -> dict[int, tuple[KernelState, ...]]:
    found: dict[int, list[KernelState]] = {}
    for tid, state in _each(rows, _state, losses, f"kernel states of pid {pid}", pid):
        found.setdefault(tid, []).append(state)
    return {tid: tuple(states) for tid, states in sorted(found.items())}


def _state(row: list[Any]) -> tuple[int, KernelState]:
    at_ns, tid, state, *rest = row
    call, arg0, ran_ns, queued_ns, switches = rest
    if not all(n is None or isinstance(n, int) for n in rest):
        raise TypeError(row)
    return int(tid), KernelState(
        int(at_ns), str(state), call, arg0, ran_ns, queued_ns, switches, gone=state == "X"
    )


def _epoll_event(row: list[Any]) -> EpollEvent:
    at_ns, epfd, what, value = int(row[0]), int(row[1]), row[2], row[3]
    if what == "ready":
        return EpollEvent(at_ns, epfd, ready=bool(value))
    if what == "closed":
        return EpollEvent(at_ns, epfd, closed=True)
    if what == "open":
        return EpollEvent(at_ns, epfd, share=int(value))
    if what == "unread":
        return EpollEvent(at_ns, epfd, unread=tuple(_unread(item) for item in value))
    raise ValueError(what)


def _unread(item: list[Any]) -> UnreadSocket:
    found = UnreadSocket(*item)
    numbers, texts = (found.fd, found.inode, found.size), (found.kind, found.local, found.peer)
    if not all(type(n) is int for n in numbers) or not all(isinstance(t, str) for t in texts):
        raise TypeError(item)
    return found


def _dumps(path: str, pid: int, losses: list[Loss]) -> tuple[Dump, ...]:
    name = os.path.join(path, "stacks", f"{pid}.dumps.jsonl")
    try:
        with open(name, encoding="utf-8", errors="replace") as f:
            lines = [line for line in f.read().split("\n") if line]
    except FileNotFoundError:
        return ()
    except OSError as error:
        losses.append(Loss(f"dumps of pid {pid}", str(error.strerror), _KEEP, pid))
        return ()
    return tuple(_each(lines, _dump, losses, f"dumps of pid {pid}", pid))


def _dump(line: str) -> Dump:
    row = json.loads(line)
    return Dump(
        at_ns=int(row["at_ns"]),
        stacks={
            int(tid): tuple(Frame(str(f[0]), str(f[1]), f[2]) for f in frames)
            for tid, frames in row["stacks"].items()
        },
        gil_tid=row.get("gil_tid"),
    )


def _each(
    rows: list[Any], read: Callable[[Any], _T], losses: list[Loss], what: str, pid: int
) -> Iterator[_T]:
    bad = 0
    for row in rows:
        try:
            yield read(row)
        except _DAMAGED:
            bad += 1
    if bad:
        losses.append(Loss(f"{bad} of the {what}", "they cannot be read", _KEEP, pid))


def _sources(path: str, losses: list[Loss]) -> dict[str, dict[int, str]]:
    try:
        with open(os.path.join(path, "sources.json"), encoding="utf-8", errors="replace") as f:
            files = json.load(f)
        return {
            str(name): {int(line): str(text) for line, text in lines.items()}
            for name, lines in files.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, *_DAMAGED) as error:
        losses.append(Loss("source lines", f"sources.json cannot be read: {error}", _KEEP))
        return {}


def _last_ns(workers: tuple[WorkerRecord, ...], start_ns: int) -> int:
    """The latest time that a recording without an end knows of."""
    times = [start_ns]
    for worker in workers:
        times.extend(s.end_ns for s in worker.segments)
        times.extend(states[-1].at_ns for states in worker.states.values() if states)
        times.extend(event.at_ns for event in worker.epolls[-1:])
        times.extend(dump.at_ns for dump in worker.dumps[-1:])
    return max(times)
