"""Firefox Profiler's processed format, gzipped: https://profiler.firefox.com opens it.

Described by the types and the changelog of formats in
https://github.com/firefox-devtools/profiler (``src/types/profile.ts``, ``docs-developer/``);
viewers upgrade older versions than their own.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import IO, Any, ClassVar

from waitspy import __version__
from waitspy.model.activities import Activity, ThreadActivity
from waitspy.model.judged import Profile, Weight
from waitspy.model.processes import Worker
from waitspy.model.wait_frames import merged_stack
from waitspy.render import escape
from waitspy.render.profiles import tracks
from waitspy.render.profiles.firefox_tables import CATEGORIES, STARVING, WAITING, Tables, category
from waitspy.render.profiles.tracks import Starved

_VERSION = 70
_LEVEL = 6
_MS = 1_000_000
_PIECE_NS = 20 * _MS
_MOST_PIECES = 1_000_000  # of all threads: a browser has to hold them
_INTERVAL_MS = 1
_INTERVAL_PHASE = 1
_MARKER = "starvation"


class FirefoxRenderer:
    """One track per thread, and markers for episodes.

    Samples are intervals with the chosen weight in milliseconds (or victim-milliseconds). None is
    longer than 20 ms, so that a selected range counts what lies in it; longer ones only where a
    million would not be enough. Frames keep their lines;
    the leaf has the colour of what the thread did: red where it starved something, whatever it
    did. A wait that starved is a function of its own, ``[sleep] time.sleep (starving)``. Where
    nothing is known of a thread its track is empty. Pending work is left out: the viewer's counters
    show changes, and so a wrong level in every part that one selects. Controls and line breaks in
    names are written out; only a process's title is cut.
    """

    name: ClassVar[str] = "firefox"
    extension: ClassVar[str] = "json.gz"
    binary: ClassVar[bool] = True
    weighed: ClassVar[bool] = True

    def __init__(self, weight: Weight = "wall") -> None:
        self._weight: Weight = weight

    def render(self, profile: Profile, stream: IO[bytes]) -> None:
        """Write the whole profile; dated 1970 where its time of day is not known."""
        document = _Document(profile, self._weight)
        with (
            gzip.GzipFile("", "wb", _LEVEL, stream, mtime=0) as out,
            io.TextIOWrapper(out, "utf-8", newline="\n") as text,
        ):
            for part in document.parts():
                text.write(part)


@dataclass(frozen=True, slots=True)
class _Track:
    """A thread of the viewer: ``thread`` is None where a process has episodes but no stacks."""

    pid: int
    tid: int
    thread: ThreadActivity | None


_NOTHING = _Track(0, 0, None)
"""The viewer opens no file without a thread."""


class _Document:
    """The file, piece by piece: only one thread's samples are held at a time."""

    def __init__(self, profile: Profile, weight: Weight) -> None:
        self._profile = profile
        self._weight: Weight = weight
        self._tables = Tables()
        known_ns = sum(int(t.activities.length_ns.sum()) for t in profile.threads)
        self._piece_ns = max(_PIECE_NS, known_ns // _MOST_PIECES)
        self._workers = {worker.pid: worker for worker in profile.workers}
        starved = tracks.starved(profile)
        starts = [thread.activities[0].start_ns for thread in profile.threads if thread.activities]
        starts += [one.start_ns for one in starved]
        self._zero_ns = min([profile.start_ns, *starts])
        self._tracks = list(_find_tracks(profile, starved)) or [_NOTHING]
        self._places = {(t.pid, t.tid): n for n, t in reversed(list(enumerate(self._tracks)))}
        self._first = {t.pid: n for n, t in reversed(list(enumerate(self._tracks)))}
        self._episodes: dict[int, list[Starved]] = {}
        for one in starved:
            place = self._place(one.episode.pid, one.episode.tid)
            self._episodes.setdefault(place, []).append(one)

    def parts(self) -> Iterator[str]:
        """JSON; the tables come last, when every thread has filled them."""
        yield f'{{"meta":{_json(self._meta())},"libs":[],"threads":['
        for number in range(len(self._tracks)):
            yield f"{',' if number else ''}{_json(self._thread(number))}"
        yield f'],"shared":{_json(self._tables.shared())}}}\n'

    def _place(self, pid: int, tid: int) -> int:
        """The number of that thread's track, or of the first one of its process."""
        return self._places.get((pid, tid), self._first[pid])

    def _ms(self, at_ns: int) -> float:
        return (at_ns - self._zero_ns) / _MS

    def _meta(self) -> dict[str, Any]:
        started_ns = tracks.started_ns(self._profile) or 0
        mains = {number for number, track in enumerate(self._tracks) if track.tid == track.pid}
        shown = sorted(mains | self._episodes.keys())
        selected = sorted(self._episodes)[:1]
        return {
            "interval": _INTERVAL_MS,
            "startTime": (started_ns - self._profile.start_ns + self._zero_ns) / _MS,
            "startTimeAsClockMonotonicNanosecondsSinceBoot": self._zero_ns,
            "profilingStartTime": self._ms(self._profile.start_ns),
            "profilingEndTime": self._ms(self._profile.end_ns),
            "processType": 0,
            "product": escape.plain(self._profile.title),
            "importedFrom": f"waitspy {__version__}",
            "stackwalk": 1,
            "version": 36,
            "preprocessedProfileVersion": _VERSION,
            "symbolicated": True,
            "symbolicationNotSupported": True,
            "usesOnlyOneStackType": True,
            "sourceCodeIsNotOnSearchfox": True,
            "keepProfileThreadOrder": True,
            "categories": [
                {"name": name, "color": color, "subcategories": ["Other"]}
                for name, color in CATEGORIES
            ],
            "markerSchema": [_marker_schema()],
            **({"initialVisibleThreads": shown} if shown else {}),
            **({"initialSelectedThreads": selected} if selected else {}),
        }

    def _thread(self, number: int) -> dict[str, Any]:
        track = self._tracks[number]
        worker = self._workers.get(track.pid)
        return {
            "name": _thread_name(track, worker),
            "isMainThread": track.tid == track.pid,
            "processType": "default",
            "processName": tracks.process_name(track.pid, worker),
            "processStartupTime": 0,
            "processShutdownTime": None,
            "registerTime": 0,
            "unregisterTime": None,
            "pausedRanges": [],
            "showMarkersInTimeline": True,
            "pid": str(track.pid),
            "tid": track.tid,
            "samples": self._samples(track.thread),
            "markers": self._markers(self._episodes.get(number, ())),
        }

    def _samples(self, thread: ThreadActivity | None) -> dict[str, Any]:
        stacks: list[int | None] = []
        times: list[float] = []
        weights: list[float] = []
        until_ns: int | None = None

        def nothing() -> None:
            if until_ns is not None:
                stacks.append(None)
                times.append(self._ms(until_ns))
                weights.append(0)

        for step in tracks.steps(thread) if thread else ():
            if until_ns != step.start_ns:
                nothing()
            length_ns = step.end_ns - step.start_ns
            pieces = -(-length_ns // self._piece_ns)
            stack = self._tables.stack(step.stack, category(step.activity))
            weight_ns = self._weigh(step.activity)
            cuts = [n * weight_ns // pieces for n in range(pieces + 1)]
            stacks += [stack] * pieces
            times += [self._ms(step.start_ns + n * length_ns // pieces) for n in range(pieces)]
            weights += [(after - before) / _MS for before, after in pairwise(cuts)]
            until_ns = step.end_ns
        nothing()
        return {
            "stack": stacks,
            "time": times,
            "weight": weights,
            "weightType": "tracing-ms",
            "length": len(stacks),
        }

    def _weigh(self, activity: Activity) -> int:
        wall_ns = activity.end_ns - activity.start_ns
        weights = {"wall": wall_ns, "starved": activity.starved_ns, "victims": activity.victim_ns}
        return weights.get(self._weight, activity.root_ns)

    def _markers(self, episodes: Sequence[Starved]) -> dict[str, Any]:
        findings = [one.finding for one in episodes]
        return {
            "name": [self._tables.string(finding.kind.name) for finding in findings],
            "startTime": [self._ms(one.start_ns) for one in episodes],
            "endTime": [self._ms(one.end_ns) for one in episodes],
            "phase": [_INTERVAL_PHASE] * len(episodes),
            "category": [WAITING if f.verdict == "latent" else STARVING for f in findings],
            "data": [
                {"type": _MARKER, **tracks.details(one), **self._cause(one)} for one in episodes
            ],
            "length": len(episodes),
        }

    def _cause(self, one: Starved) -> dict[str, Any]:
        """The stack of its finding, as the viewer's markers have it; none where none was seen."""
        finding = one.finding
        if not finding.stack:
            return {}
        latent = finding.verdict == "latent"
        activity = Activity(
            one.start_ns, one.end_ns, finding.stack, finding.wait, starved_ns=0 if latent else 1
        )
        stack = self._tables.stack(
            merged_stack(activity.stack, activity.wait, lines=True), category(activity)
        )
        return {"cause": {"tid": one.episode.tid, "time": self._ms(one.start_ns), "stack": stack}}


def _find_tracks(profile: Profile, starved: Sequence[Starved]) -> Iterator[_Track]:
    yield from (_Track(thread.pid, thread.tid, thread) for thread in profile.threads)
    shown = {thread.pid for thread in profile.threads}
    pids = {one.episode.pid for one in starved}
    yield from (_Track(pid, pid, None) for pid in sorted(pids - shown))


def _thread_name(track: _Track, worker: Worker | None) -> str:
    """The main thread stands for its process, so that many workers can be told apart."""
    if track is _NOTHING:
        return "nothing was recorded"
    name = escape.plain(track.thread.name) if track.thread else ""
    if track.tid != track.pid:
        return name
    role = "process" if worker is None else worker.role
    return f"{role} {track.pid} {name}".rstrip()


def _marker_schema() -> dict[str, Any]:
    formats = {"victims": "integer", "served": "integer"}
    return {
        "name": _MARKER,
        "display": ["marker-chart", "marker-table", "timeline-overview"],
        "tooltipLabel": "{marker.name}",
        "tableLabel": "{marker.data.blame}",
        "chartLabel": "{marker.data.blame}",
        "fields": [
            {"key": key, "label": label, "format": formats.get(key, "string")}
            for key, label in tracks.DETAILS.items()
        ],
    }


def _json(value: Mapping[str, Any] | Sequence[Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
