"""The streams of a recording folder become values: stacks, what each oracle told, sources."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from waitspy.model.clock import NS
from waitspy.model.code_origin import Homes
from waitspy.model.epolls import EpollEvents
from waitspy.model.loops import LoopEvents
from waitspy.model.oracle_names import ASYNCIO, EPOLL, LIBUV, THREADS
from waitspy.model.recorded import Loss, SourceLines
from waitspy.model.stacks import StackTable
from waitspy.model.threads import Dump, KernelStates, Segment
from waitspy.recording import chrometrace, dumps, epolls, loops, stacks, threads
from waitspy.recording.files import TRACE_BYTES, read_bytes, read_text
from waitspy.recording.rows import Reader, read
from waitspy.recording.trace_events import TracedFrames
from waitspy.recording.valid_json import read_json

DAMAGED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""What reading a value of another shape than the expected one raises."""

_LONGEST_SAMPLE_NS = 1 << 40

RATES_HZ = (0.001, 1_000_000.0)  # of samples: no sampler goes on at a slower or faster one

_E = TypeVar("_E")

KEPT = "what was recorded before is reported"


class Streams:
    """Reads the files beside meta.json; what is missing or broken goes to ``losses``.

    ``homes`` says whose the stacks' frames are. ``cut``: the whole recording was cut short, so
    that streams without an end are no news. ``oracles`` is what the worker's row says of each of
    them: "ok" where its stream was started.
    """

    def __init__(
        self, path: str, losses: list[Loss], *, cut: bool, homes: Homes | None = None
    ) -> None:
        self._path = path
        self._losses = losses
        self._cut = cut
        self.stacks = StackTable(homes)
        self._traced = TracedFrames()
        self._lost_segments: dict[tuple[int, str], tuple[int, list[Any]]] = {}
        self.known_ns: dict[int, int] = {}
        """By pid: after this time a torn stream says nothing, although the capture went on."""

    def segment(
        self,
        row: Mapping[str, Any],
        native_ids: chrometrace.NativeIds,
        known_ns: int | None = None,
    ) -> Segment | None:
        """What one sampler run wrote; None when that is nothing or cannot be read.

        ``known_ns`` is until when our own sampler had written all that it knew, if it was killed.
        """
        try:
            segment = self._segment(row, native_ids, known_ns)
        except FileNotFoundError:
            self._lost_segment(row, "the sampler wrote nothing before the end")
            return None
        except (OSError, *DAMAGED) as error:
            self._lost_segment(row, f"cannot be read: {_why(error)}")
            return None
        if segment.torn:
            self._lost_segment(row, "the file is cut short")
        takes_ns, late_ns = (
            min(max(0, int(row.get(name, 0))), _LONGEST_SAMPLE_NS)
            for name in ("sample_ns", "late_ns")
        )
        return replace(segment, takes_ns=takes_ns, late_ns=late_ns)

    def _segment(
        self, row: Mapping[str, Any], native_ids: chrometrace.NativeIds, known_ns: int | None
    ) -> Segment:
        file = os.path.basename(str(row["file"]))
        raw = self._bytes("stacks", file, most=TRACE_BYTES)
        zero_ns, period_ns = int(row["zero_ns"]), _period_ns(float(row["rate_hz"]))
        end_ns: int | None = row.get("end_ns")
        if not file.endswith(stacks.SUFFIX):
            return chrometrace.parse(
                raw, self.stacks, zero_ns, period_ns, end_ns, native_ids, self._traced
            )
        cut = end_ns is None and self._cut
        end_ns = known_ns if cut else end_ns
        found = stacks.segment(raw, self.stacks, zero_ns, period_ns, end_ns, cut=cut)
        self._damaged(found.damaged, "stacks", int(row["pid"]))
        return found.segment

    def _lost_segment(self, row: Mapping[str, Any], why: str) -> None:
        """Tells it, together with others of the worker that were lost in the same way."""
        if "why" in row:
            return  # the capture itself has told what became of it
        pid = int(row["pid"])
        at, numbers = self._lost_segments.setdefault((pid, why), (len(self._losses), []))
        numbers.append(row["n"])
        if len(numbers) == 1:
            self._lost(f"stacks, segment {row['n']}", why, pid)
        else:
            what = f"stacks, {len(numbers)} segments from {numbers[0]} to {numbers[-1]}"
            self._losses[at] = Loss(what, why, KEPT, pid)

    def states(self, pid: int, oracles: Mapping[str, str]) -> dict[int, KernelStates]:
        """The kernel states of a worker's threads, by thread id."""
        told = threads.ThreadColumns()
        self._rows(THREADS, pid, threads.READER, oracles, told.take, "kernel states")
        return told.states()

    def epolls(self, pid: int, oracles: Mapping[str, str]) -> EpollEvents:
        """What was told of a worker's epolls."""
        told = epolls.EpollColumns()
        self._rows(EPOLL, pid, epolls.READER, oracles, told.take)
        return told.events()

    def loops(self, pid: int, oracles: Mapping[str, str]) -> LoopEvents:
        """What a worker's loops told of themselves."""
        told = loops.LoopColumns()
        self._rows(LIBUV if LIBUV in oracles else ASYNCIO, pid, loops.READER, oracles, told.take)
        return told.events()

    def events(
        self,
        oracle: str,
        pid: int,
        reader: Reader,
        event: Callable[[Any], _E],
        oracles: Mapping[str, str],
    ) -> tuple[_E, ...]:
        """What another oracle told of a worker, as values."""
        found: list[_E] = []
        self._rows(oracle, pid, reader, oracles, lambda rows: found.extend(map(event, rows)))
        return tuple(found)

    def dumps(self, pid: int) -> tuple[Dump, ...]:
        """The single looks at a worker's stacks."""
        try:
            data = self._bytes("stacks", f"{pid}.dumps.jsonl")
        except FileNotFoundError:
            return ()
        except OSError as error:
            self._lost("dumps", str(error.strerror), pid)
            return ()
        rows: list[dumps.DumpRow] = []
        lines = read(data, dumps.READER, rows.extend)
        self._damaged(lines.damaged + lines.torn, "dumps", pid)
        # what is read at once is written before what was asked for earlier and took its time
        rows.sort(key=lambda row: row.at_ns)
        return tuple(dumps.dump(row, self.stacks) for row in rows)

    def sources(self) -> dict[str, dict[int, str]]:
        """The source lines by file and line; {} when none were read."""
        try:
            files = read_json(read_text(self._path, "sources.json", errors="replace"))
            sources = {
                str(name): {int(line): str(text) for line, text in lines.items()}
                for name, lines in files.items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, *DAMAGED) as error:
            self._lost("source lines", f"sources.json cannot be read: {_why(error)}", None)
            return {}
        self._losses.extend(lost_sources(sources))
        return sources

    def _rows(
        self,
        oracle: str,
        pid: int,
        reader: Reader,
        oracles: Mapping[str, str],
        take: Callable[[list[Any]], object],
        label: str = "",
    ) -> None:
        """Gives the rows of one stream to ``take``, up to where it is torn."""
        what = f"oracle {oracle}"
        try:
            data = self._bytes("oracles", oracle, f"{pid}.jsonl")
        except FileNotFoundError:
            if oracles.get(oracle) == "ok" and not self._cut:
                self._lost(what, "its file is missing", pid)
            return
        except OSError as error:
            self._lost(what, str(error.strerror), pid)
            return
        lines = read(data, reader, take)
        self._damaged(lines.damaged, label or f"{oracle} rows", pid)
        if not lines.ended and not self._cut:
            self._lost(f"end of {what}", "the file is cut short", pid)
            self.known_ns[pid] = min(lines.last_ns, self.known_ns.get(pid, lines.last_ns))

    def _bytes(self, *name: str, most: int | None = None) -> bytes:
        return read_bytes(self._path, *name, most=most)

    def _damaged(self, count: int, what: str, pid: int) -> None:
        if count:
            self._lost(f"{count} of the {what}", "they cannot be read", pid)

    def _lost(self, what: str, why: str, pid: int | None) -> None:
        self._losses.append(Loss(what, why, KEPT, pid))


def lost_sources(sources: SourceLines) -> Iterator[Loss]:
    """The files without lines: they are there, but no longer what the processes have loaded."""
    changed = sorted(name for name, lines in sources.items() if not lines)
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        yield Loss(
            f"source lines of {changed[0]}{more}",
            "changed since the process began, or not the code that was seen there",
            "restart the server, or look at the source as it was then",
        )


def _why(error: Exception) -> str:
    """In words, without the number of a system's error."""
    return str(getattr(error, "strerror", None) or error)


def _period_ns(rate_hz: float) -> int:
    if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        raise ValueError(f"rate_hz is {rate_hz}")
    return int(NS / rate_hz)
