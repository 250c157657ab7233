"""The streams of a recording folder become values: stacks, kernel states, epolls, sources."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from waitspy.model.clock import NS
from waitspy.model.epolls import EpollEvent, UnreadSocket
from waitspy.model.listeners import ListenerEvent
from waitspy.model.loops import LateTimer, LoopEvent, LoopInfo, LoopWork
from waitspy.model.pools import PoolEvent, PoolInfo, PoolWaits
from waitspy.model.recorded import Loss
from waitspy.model.stacks import Frame
from waitspy.model.threads import Dump, KernelState, Segment
from waitspy.recording import chrometrace

_T = TypeVar("_T")

DAMAGED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""What reading a value of another shape than the expected one raises."""

KEPT = "what was recorded before is reported"


def read_json(text: str) -> Any:
    """The value of a JSON text, in which all text is valid Unicode (escapes can spell others).

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deeply.
    """
    value = json.loads(text)
    return _valid(value) if "\\ud" in text or "\\uD" in text else value


def _valid(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_valid(item) for item in value]
    if isinstance(value, dict):
        return {_valid(key): _valid(item) for key, item in value.items()}
    return value


class Streams:
    """Reads the files beside meta.json; what is missing or broken goes to ``losses``.

    ``cut``: the whole recording was cut short, so that streams without an end are no news.
    ``expected``: the worker's row says that this stream was started.
    """

    def __init__(self, path: str, losses: list[Loss], *, cut: bool) -> None:
        self._path = path
        self._losses = losses
        self._cut = cut
        self.known_ns: dict[int, int] = {}
        """By pid: after this time a torn stream says nothing, although the capture went on."""

    def segment(self, row: Mapping[str, Any], native_ids: chrometrace.NativeIds) -> Segment | None:
        """What one sampler run wrote; None when that is nothing or cannot be read."""
        pid = int(row["pid"])
        what = f"stacks of pid {pid}, segment {row['n']}"
        name = os.path.join(self._path, "stacks", os.path.basename(str(row["file"])))
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
                self._lost(what, "the sampler wrote nothing before the end", pid)
            return None
        except (OSError, *DAMAGED) as error:
            self._lost(what, f"cannot be read: {error}", pid)
            return None
        if not _whole(text):
            self._lost(what, "the file is cut short", pid)
        return segment

    def states(self, pid: int, *, expected: bool) -> dict[int, tuple[KernelState, ...]]:
        """The kernel states of a worker's threads, by thread id."""
        rows = self._rows("threads", pid, expected=expected)
        found: dict[int, list[KernelState]] = {}
        for tid, state in self._each(rows, _state, f"kernel states of pid {pid}", pid):
            found.setdefault(tid, []).append(state)
        return {tid: tuple(states) for tid, states in sorted(found.items())}

    def epolls(self, pid: int, *, expected: bool) -> tuple[EpollEvent, ...]:
        """The changes of a worker's epoll descriptors."""
        rows = self._rows("epoll", pid, expected=expected)
        return tuple(self._each(rows, _epoll_event, f"epoll rows of pid {pid}", pid))

    def loops(self, pid: int, *, expected: bool) -> tuple[LoopEvent, ...]:
        """What a worker's event loops said of themselves."""
        rows = self._rows("asyncio", pid, expected=expected)
        return tuple(self._each(rows, _loop_event, f"asyncio rows of pid {pid}", pid))

    def pools(self, pid: int, *, expected: bool) -> tuple[PoolEvent, ...]:
        """What waited in a worker's thread pools."""
        rows = self._rows("pools", pid, expected=expected)
        return tuple(self._each(rows, _pool_event, f"pools rows of pid {pid}", pid))

    def listeners(self, pid: int, *, expected: bool) -> tuple[ListenerEvent, ...]:
        """What waited in a worker's listening sockets."""
        rows = self._rows("backlog", pid, expected=expected)
        return tuple(self._each(rows, _listener_event, f"backlog rows of pid {pid}", pid))

    def dumps(self, pid: int) -> tuple[Dump, ...]:
        """The single looks at a worker's stacks."""
        name = os.path.join(self._path, "stacks", f"{pid}.dumps.jsonl")
        try:
            with open(name, encoding="utf-8", errors="replace") as f:
                lines = [line for line in f.read().split("\n") if line]
        except FileNotFoundError:
            return ()
        except OSError as error:
            self._lost(f"dumps of pid {pid}", str(error.strerror), pid)
            return ()
        return tuple(self._each(lines, _dump, f"dumps of pid {pid}", pid))

    def sources(self) -> dict[str, dict[int, str]]:
        """The source lines by file and line; {} when none were read."""
        try:
            name = os.path.join(self._path, "sources.json")
            with open(name, encoding="utf-8", errors="replace") as f:
                files = read_json(f.read())
            return {
                str(name): {int(line): str(text) for line, text in lines.items()}
                for name, lines in files.items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, *DAMAGED) as error:
            self._lost("source lines", f"sources.json cannot be read: {error}", None)
            return {}

    def _rows(self, oracle: str, pid: int, *, expected: bool) -> list[list[Any]]:
        """The rows of one stream, up to where it is torn."""
        rows: list[list[Any]] = []
        what = f"oracle {oracle} of pid {pid}"
        ended = False
        try:
            name = os.path.join(self._path, "oracles", oracle, f"{pid}.jsonl")
            with open(name, encoding="utf-8", errors="replace") as f:
                for line in f:
                    value = read_json(line)
                    if isinstance(value, list):
                        rows.append(value)
                        ended = False
                    elif isinstance(value, dict) and value.get("type") == "end":
                        ended = True
        except FileNotFoundError:
            if expected and not self._cut:
                self._lost(what, "its file is missing", pid)
            return rows
        except (ValueError, RecursionError):
            ended = False
        except OSError as error:
            self._lost(what, str(error.strerror), pid)
            return rows
        if not ended and not self._cut:
            self._lost(f"end of {what}", "the file is cut short", pid)
            last_ns = rows[-1][0] if rows and rows[-1] and isinstance(rows[-1][0], int) else 0
            self.known_ns[pid] = min(last_ns, self.known_ns.get(pid, last_ns))
        return rows

    def _each(
        self, rows: Iterable[Any], read: Callable[[Any], _T], what: str, pid: int
    ) -> Iterator[_T]:
        bad = 0
        for row in rows:
            try:
                yield read(row)
            except DAMAGED:
                bad += 1
        if bad:
            self._lost(f"{bad} of the {what}", "they cannot be read", pid)

    def _lost(self, what: str, why: str, pid: int | None) -> None:
        self._losses.append(Loss(what, why, KEPT, pid))


def _whole(trace: str) -> bool:
    """Whether a trace has its end; its last event tells, as names can end like the file does."""
    last = trace.rfind("},{")
    return _is_json(f"[{trace[last + 2 :]}") or _is_json(trace)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


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


def _loop_event(row: list[Any]) -> LoopEvent:
    at_ns, loop, what, value = int(row[0]), int(row[1]), row[2], row[3]
    if what == "service":
        ready, state = value
        return LoopEvent(at_ns, loop, service=(int(ready), int(state)))
    if what == "loop":
        kind, epfd, owner_tid, how, closed = value
        if not all(n is None or isinstance(n, int) for n in (epfd, owner_tid)):
            raise TypeError(row)
        return LoopEvent(at_ns, loop, facts=LoopInfo(str(kind), epfd, owner_tid, how, closed))
    if what == "gone":
        return LoopEvent(at_ns, loop, gone=True)
    if what == "work":
        first = tuple(
            (str(name), _text(where), bool(is_task)) for name, where, is_task in value["first"]
        )
        late = tuple(
            LateTimer(int(due_ns), str(name), _text(where), bool(guards))
            for due_ns, name, where, guards in value.get("late", ())
        )
        overdue = int(value["overdue"]) if "overdue" in value else None
        return LoopEvent(at_ns, loop, work=LoopWork(int(value["ready"]), first, overdue, late))
    raise ValueError(what)


def _pool_event(row: list[Any]) -> PoolEvent:
    at_ns, pool, what, value = int(row[0]), int(row[1]), row[2], row[3]
    if what == "queue":
        queued, taken = value
        return PoolEvent(at_ns, pool, queue=(int(queued), int(taken)))
    if what == "pool":
        kind, name, role, size, tids = value
        if kind not in {"executor", "limiter"}:
            raise ValueError(kind)
        info = PoolInfo(
            kind,
            _text(name),
            _text(role),
            None if size is None else int(size),
            tuple(int(tid) for tid in tids),
        )
        return PoolEvent(at_ns, pool, info=info)
    if what == "gone":
        return PoolEvent(at_ns, pool, gone=True)
    if what == "waits":
        first = tuple((str(name), _text(where)) for name, where in value["first"])
        on_itself = tuple(int(tid) for tid in value.get("on_itself", ()))
        return PoolEvent(at_ns, pool, waits=PoolWaits(first, on_itself))
    raise ValueError(what)


def _listener_event(row: list[Any]) -> ListenerEvent:
    at_ns, inode, what, value = int(row[0]), int(row[1]), row[2], row[3]
    if what == "waiting":
        return ListenerEvent(at_ns, inode, waiting=int(value))
    if what == "accepted":
        return ListenerEvent(at_ns, inode, accepted=None if value is None else int(value))
    if what == "listens":
        name, fd = value
        return ListenerEvent(at_ns, inode, name=str(name), fd=int(fd))
    if what == "closed":
        return ListenerEvent(at_ns, inode, closed=True)
    raise ValueError(what)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _unread(item: list[Any]) -> UnreadSocket:
    found = UnreadSocket(*item)
    numbers, texts = (found.fd, found.inode, found.size), (found.kind, found.local, found.peer)
    if not all(type(n) is int for n in numbers) or not all(isinstance(t, str) for t in texts):
        raise TypeError(item)
    return found


def _dump(line: str) -> Dump:
    row = read_json(line)
    return Dump(
        at_ns=int(row["at_ns"]),
        stacks={
            int(tid): tuple(
                Frame(str(f[0]), str(f[1]), None if f[2] is None else int(f[2])) for f in frames
            )
            for tid, frames in row["stacks"].items()
        },
        gil_tid=row.get("gil_tid"),
    )
