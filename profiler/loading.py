"""A recording folder becomes one Recording value; what is missing or broken becomes a Loss."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

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
        start_ns = int(meta["clock"]["monotonic_ns"])
        workers = tuple(_worker(path, meta, row, losses) for row in meta.get("workers", ()))
        end_ns = int(meta.get("end_ns") or _last_ns(workers, start_ns))
        if not meta.get("end"):
            what = f"everything after {max(0, end_ns - start_ns) / NS:.3g} s"
            losses.append(Loss(what, "waitspy was killed, or the disk failed", _KEEP))
        losses.extend(_loss(row) for row in meta.get("losses", ()))
        info = RecordingInfo(
            started_at=str(meta["clock"]["wall"]),
            monotonic_start_ns=start_ns,
            duration_s=max(0.0, (end_ns - start_ns) / NS),
            rate_hz=float(meta["rate_hz"]),
            target=str(meta["target"]),
            host=str(meta["host"]["name"]),
            end_ns=end_ns,
            min_stall_s=float(meta["min_stall_s"]),
            arch=str(meta["host"]["arch"]),
            tick_s=float(meta["tick_s"]),
        )
        cost = meta.get("cost") or {}
        sources = _sources(path, losses)
        return Recording(
            info=info,
            workers=workers,
            losses=tuple(losses),
            cost=Cost(cost.get("cpu_s"), cost.get("cpu_share"), cost.get("peak_rss_mb")),
            sources=sources,
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
        why = (
            "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
        )
        raise RecordingError(f"{path} {why}", hint) from None
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


def _loss(row: Mapping[str, Any]) -> Loss:
    return Loss(str(row["what"]), str(row["why"]), str(row["remedy"]), row.get("pid"))


def _worker(
    path: str, meta: Mapping[str, Any], row: Mapping[str, Any], losses: list[Loss]
) -> WorkerRecord:
    pid = int(row["pid"])
    worker = Worker(
        pid=pid,
        ppid=int(row["ppid"]),
        role=row["role"],
        command=str(row["command"]),
        start_ticks=int(row["start_ticks"]),
        python=row.get("python"),
        framework=row.get("framework"),
        threads=row.get("threads"),
        why_not=row.get("why_not"),
        remedy=row.get("remedy"),
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
        attached_ns=int(row["attached_ns"]),
        gone_ns=row.get("gone_ns"),
        exit=row.get("exit"),
        rate_hz=rate_hz,
        samples=samples,
        missed_samples=missed,
        oracles=dict(row.get("oracles", {})),
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
        return EpollEvent(at_ns, epfd, unread=tuple(UnreadSocket(*item) for item in value))
    raise ValueError(what)


def _dumps(path: str, pid: int, losses: list[Loss]) -> tuple[Dump, ...]:
    name = os.path.join(path, "stacks", f"{pid}.dumps.jsonl")
    try:
        with open(name, encoding="utf-8", errors="replace") as f:
            lines = f.read().rstrip("\n").split("\n")
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
