"""The tables that all threads of a Firefox Profiler file share: strings, functions, stacks, …"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from waitspy.model.activities import Activity
from waitspy.model.stacks import Frame, Stack
from waitspy.model.wait_frames import wait_kind
from waitspy.model.waits import WaitKind
from waitspy.render import escape

CATEGORIES = (
    ("Other", "grey"),
    ("Running", "green"),
    ("Wants the GIL", "yellow"),
    ("Idle", "transparent"),
    ("Waiting", "blue"),
    ("Starving", "red"),
)
"""Names and colours, by number; the viewer takes the first grey one where it knows nothing.

It leaves ``Idle`` out of its summaries: loops that poll and pool threads without work.
"""

_OTHER, _RUNNING, _GIL, _IDLE, WAITING, STARVING = range(len(CATEGORIES))
_OF_KIND = {
    WaitKind.ON_CPU: _RUNNING,
    WaitKind.GIL: _GIL,
    WaitKind.LOOP_POLL: _IDLE,
    WaitKind.POOL_IDLE: _IDLE,
    WaitKind.UNKNOWN: _OTHER,
}

_Row = tuple[Frame, int | None]


def category(activity: Activity) -> int:
    """The number of the category that says what the thread did."""
    if activity.starved_ns > 0:
        return STARVING
    return _OF_KIND.get(activity.wait.kind, WAITING)


@dataclass(slots=True)
class Tables:
    """Gives numbers to what it has not seen yet; ``shared`` are all tables as the format wants."""

    _strings: dict[str, int] = field(default_factory=dict)
    _sources: dict[str, int] = field(default_factory=dict)
    _functions: dict[tuple[str, str], int] = field(default_factory=dict)
    _frames: dict[_Row, int] = field(default_factory=dict)
    _stacks: dict[tuple[int | None, int], int] = field(default_factory=dict)
    _known: dict[tuple[Stack, int], int] = field(default_factory=dict)

    def string(self, text: str) -> int:
        """The number of a text, which must be plain already."""
        return self._strings.setdefault(text, len(self._strings))

    def stack(self, stack: Stack, leaf_category: int) -> int | None:
        """The number of a stack whose leaf is of that category; None for no frames at all."""
        found = self._known.get((stack, leaf_category))
        if found is None and stack:
            node = None
            for frame in stack[:-1]:
                node = self._node(node, (frame, None))
            found = self._node(node, (stack[-1], leaf_category))
            self._known[stack, leaf_category] = found
        return found

    def _node(self, prefix: int | None, row: _Row) -> int:
        frame = self._frames.setdefault(row, len(self._frames))
        return self._stacks.setdefault((prefix, frame), len(self._stacks))

    def shared(self) -> dict[str, Any]:
        """The whole of ``profile.shared``."""
        frames = self._frame_table()  # fills the functions, and these the sources and strings
        functions = self._function_table()
        sources = self._source_table()
        return {
            "stackTable": {
                "frame": [frame for _, frame in self._stacks],
                "prefixOffset": [
                    0 if prefix is None else number - prefix
                    for number, (prefix, _) in enumerate(self._stacks)
                ],
                "length": len(self._stacks),
            },
            "frameTable": frames,
            "funcTable": functions,
            "resourceTable": _table(0, name=[], host=[], type=[]),
            "nativeSymbols": _table(0, libIndex=[], address=[], name=[], functionSize=[]),
            "sources": sources,
            "sourceLocationTable": _table(0, source=[], line=[], column=[]),
            "stringArray": list(self._strings),
        }

    def _frame_table(self) -> dict[str, Any]:
        rows = list(self._frames)
        return _table(
            len(rows),
            address=-1,
            lib=-1,
            inlineDepth=0,
            category=[number for _, number in rows],
            subcategory=[None if number is None else 0 for _, number in rows],
            func=[self._function(frame, number) for frame, number in rows],
            nativeSymbol=None,
            innerWindowID=None,
            line=[frame.line for frame, _ in rows],
            column=None,
            originalLocation=None,
        )

    def _function(self, frame: Frame, number: int | None) -> int:
        # The viewer greys a function out whose frames are of several categories, and most blocking
        # calls are harmless for a while before something comes due.
        starving = wait_kind(frame) is not None and number == STARVING
        name = f"{frame.function} (starving)" if starving else frame.function
        return self._functions.setdefault((name, frame.file), len(self._functions))

    def _function_table(self) -> dict[str, Any]:
        return _table(
            len(self._functions),
            name=[self.string(escape.plain(name)) for name, _ in self._functions],
            isJS=False,
            relevantForJS=False,
            resource=-1,
            source=[
                self._sources.setdefault(file, len(self._sources)) if file else None
                for _, file in self._functions
            ],
            lineNumber=None,
            columnNumber=None,
            originalLocation=None,
        )

    def _source_table(self) -> dict[str, Any]:
        return _table(
            len(self._sources),
            id=None,
            filename=[self.string(escape.plain(file)) for file in self._sources],
            startLine=1,
            startColumn=1,
            sourceMapURL=None,
            content=None,
        )


def _table(length: int, **columns: list[Any] | int | None) -> dict[str, Any]:
    """Columns of that length; one value stands for a column that has it everywhere."""
    rows = {
        name: column if isinstance(column, list) else [column] * length
        for name, column in columns.items()
    }
    return {**rows, "length": length}
