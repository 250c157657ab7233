"""The interactive flamegraph: one SVG file that needs nothing else, on disk or inside a page.

The picture is complete without its script: text, colours, legend, a title on every frame. The
script (``svg_assets/flame.js``) adds zoom, search, keyboard and a layout that follows the window.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import IO, ClassVar

from waitspy.model.clock import NS
from waitspy.model.judged import Profile, Weight
from waitspy.model.wait_frames import wait_kind
from waitspy.model.waits import WaitKind
from waitspy.render import escape
from waitspy.render.profiles.flame import ROOT, Node, Placed, Weights, placed, tree
from waitspy.render.profiles.flame_layers import LAYERS
from waitspy.render.profiles.flame_looks import (
    LEAST,
    LEGEND,
    MUCH,
    PAINT,
    SOME,
    WEIGHT_NAMES,
    shade,
    style,
)

_WIDTH = 1200  # of the picture before the script fits it to the window, in px
_MARGIN = 10
_SPAN = _WIDTH - 2 * _MARGIN
_PITCH = 20  # from one row of frames to the next
_BOX = 19
_CELL = 7.23  # advance of a 12 px monospace character (0.602 em in DejaVu Sans Mono and Menlo)
_LEAST_LABEL = 4  # characters; shorter labels say nothing
_BOTH_ENDS = 16  # characters; shorter ones keep the beginning only

_MOST_FRAMES = 10_000  # browsers lay out this many without a noticeable delay
_MOST_BYTES = 4_000_000  # of frames, so that a file stays below 5 MB whatever names it shows
_FUNCTION_LIMIT = 200  # characters
_FILE_LIMIT = 300
_TITLE_LIMIT = 300

_MEANINGS: Mapping[Weight, str] = {
    "wall": "the time that all threads spent in a stack, added up",
    "starved": "the time in which a stack kept due work waiting",
    "victims": "starved time, times how many items waited",
    "root": "starved time, on the stack of who holds what was waited for, where that is known",
}
_LEGEND_CELL = 6.2  # advance of the legend's 12 px text, on the wide side
_LEGEND_ROW = 20


@dataclass(frozen=True, slots=True)
class _Drawing:
    """The frames to draw, callers before callees, and what was left out."""

    markup: tuple[str, ...]
    rows: int
    total: int
    left_out: int
    left_out_weight: float
    folds: bool = False


class SvgRenderer:
    """An icicle: the root on top, a box's width is its weight, callees below their callers.

    At most ``most_frames`` frames and ``_MOST_BYTES`` of them are drawn, the heaviest first; the
    picture says how many were left out and what they weigh. Library frames that follow each other
    are one box, unless ``all_frames``. ``still`` leaves the script out.
    """

    name: ClassVar[str] = "svg"
    extension: ClassVar[str] = "svg"
    binary: ClassVar[bool] = False
    weighed: ClassVar[bool] = True

    def __init__(
        self,
        weight: Weight = "wall",
        *,
        all_frames: bool = False,
        most_frames: int = _MOST_FRAMES,
        still: bool = False,
    ) -> None:
        self._weight: Weight = weight
        self._all_frames = all_frames
        self._most_frames = most_frames
        self._still = still

    def render(self, profile: Profile, stream: IO[str]) -> None:
        """Write the picture; without any of the weight it says that nothing was starved."""
        merged = profile.merged
        if self._weight == "root":  # what is told there is the harm
            merged = tuple(replace(one, starved_s=one.root_s) for one in merged)
        root = tree(merged, fold=not self._all_frames)
        drawing = self._drawing(root)
        head, top = self._head(profile, root, drawing)
        height = top + drawing.rows * _PITCH + _MARGIN
        stream.write(
            f'<svg xmlns="http://www.w3.org/2000/svg" class="waitspy-flame" '
            f'viewBox="0 0 {_WIDTH} {height}" width="100%" data-span="{_SPAN}" '
            f'data-margin="{_MARGIN}" data-pitch="{_PITCH}" '
            f'data-weight="{WEIGHT_NAMES[self._weight]}">'
            f"<title>{escape.xml(self._title(profile))}</title><style>{_cdata(style())}</style>{PAINT}"
            f'<rect class="paper" width="100%" height="100%"/>{head}'
            f'<g class="graph" transform="translate({_MARGIN} {top})">'
        )
        for line in drawing.markup:
            stream.write(f"\n{line}")
        script = "" if self._still else f"<script>{_cdata(_asset('flame.js'))}</script>"
        stream.write(f"</g>{script}</svg>\n")

    def _drawing(self, root: Node) -> _Drawing:
        every = list(placed(root, self._weight))
        if not every:
            return _Drawing((), 0, 0, 0, 0.0)
        scale = _SPAN / every[0].width
        # A caller weighs at least as much as its callee: no box is drawn without its callers.
        heaviest = sorted(
            range(len(every)), key=lambda index: (-every[index].width, every[index].depth, index)
        )
        looks = _looks(every, LEAST if self._weight == "wall" else 0.0)
        drawn: dict[int, str] = {}
        size = 0
        for index in heaviest[: self._most_frames]:
            line = _box(every[index], looks[index], root.total, scale, _told(self._weight))
            size += len(line.encode())
            if size > _MOST_BYTES:
                break
            drawn[index] = line
        return _Drawing(
            tuple(drawn[index] for index in sorted(drawn)),
            1 + max(every[index].depth for index in drawn),
            len(every),
            len(every) - len(drawn),
            _weight_of_missing(every, drawn.keys()),
            any(every[index].node.folded for index in drawn),
        )

    def _head(self, profile: Profile, root: Node, drawing: _Drawing) -> tuple[str, int]:
        """Title, notes and legend, or what to say instead of a picture; and their height."""
        total = root.total.weight(self._weight)
        meaning = f"width = {WEIGHT_NAMES[self._weight]}: {_MEANINGS[self._weight]}"
        notes = [_recorded(profile), f"{meaning}; {_amount(total, self._weight)} in all"]
        if drawing.left_out:
            notes.append(
                f"the {drawing.left_out:,} lightest of {drawing.total:,} frames are left out; they "
                f"cover {_amount(drawing.left_out_weight, self._weight)}"
                f"{_percent(drawing.left_out_weight, total)}"
            )
        if drawing.folds:
            notes.append(f"{LAYERS.function} are library frames, folded; --all-frames draws each")
        if drawing.markup and root.total.starved_s <= 0:
            notes.append("nothing was starved")
        # 17 px bold text advances by about 10 px a character.
        parts = [_text("heading", 28, escape.shorten(self._title(profile), _SPAN // 10))]
        y = 28
        for note in notes:
            y += 18 if y > 28 else 22
            parts.append(_text("note", y, note))
        if drawing.markup:
            legend, below = _legend(y + 14)
            parts.append(legend)
        else:
            parts.append(_text("empty", y + 50, self._nothing(root)))
            below = y + 80
        return f'<g class="head">{"".join(parts)}</g>', below

    def _title(self, profile: Profile) -> str:
        title = f"{WEIGHT_NAMES[self._weight].capitalize()} of {escape.terminal(profile.title)}"
        return escape.shorten(title, _TITLE_LIMIT)

    def _nothing(self, root: Node) -> str:
        if root.total.wall_s <= 0:
            return "Nothing was recorded."
        if root.total.starved_s > 0:
            starved = _amount(root.total.starved_s, "starved")
            return f"{starved} were starved, but no victims were counted."
        return f"Nothing was starved in {_amount(root.total.wall_s, 'wall')} of threads' time."


def _recorded(profile: Profile) -> str:
    workers = len({thread.pid for thread in profile.threads})
    threads = len(profile.threads)
    seconds = _amount((profile.end_ns - profile.start_ns) / NS, "wall")
    return (
        f"{seconds} recorded, {workers} worker{'' if workers == 1 else 's'}, "
        f"{threads} thread{'' if threads == 1 else 's'}"
    )


def _legend(y: int) -> tuple[str, int]:
    """A swatch and its meaning for every look of a box, in rows from ``y``; where they end."""
    items: list[str] = []
    x = float(_MARGIN)
    for look, meaning in LEGEND:
        width = 28 + len(meaning) * _LEGEND_CELL
        if x + width > _WIDTH - _MARGIN:
            x, y = float(_MARGIN), y + _LEGEND_ROW
        items.append(
            f'<g class="item" transform="translate({x:.0f} {y})"><g class="swatch {look}">'
            f'<rect x=".5" y=".5" width="22" height="14"/></g>'
            f'<text x="28" y="11.5">{escape.xml(meaning)}</text></g>'
        )
        x += width + 12
    return f'<g class="legend">{"".join(items)}</g>', y + _LEGEND_ROW + 6


def _text(look: str, y: int, text: str) -> str:
    return f'<text class="{look}" x="{_MARGIN}" y="{y}">{escape.xml(text)}</text>'


def _told(weight: Weight) -> Sequence[Weight]:
    """The weights of which a box tells: what is at a root was starved elsewhere."""
    return ("wall", "root") if weight == "root" else ("wall", "starved", "victims")


def _box(one: Placed, look: str, whole: Weights, scale: float, weights: Sequence[Weight]) -> str:
    """One frame: a title for whoever hovers or listens, its box, and the label that fits."""
    left, width, y = one.left * scale, one.width * scale, one.depth * _PITCH
    function, where, short = _names(one.node)
    title = "\n".join(
        [
            function,
            where,
            *(
                f"{WEIGHT_NAMES[weight]} {_amount(one.node.total.weight(weight), weight)}"
                f"{_percent(one.node.total.weight(weight), whole.weight(weight))}"
                for weight in weights
            ),
        ]
    )
    label = _label(function, short, width - 6)
    text = f'<text x="{_number(left + 3)}" y="{y + 13}">{escape.xml(label)}</text>' if label else ""
    return (
        f'<g class="{look}"><title>{escape.xml(title)}</title>'
        f'<rect x="{_number(left)}" y="{y}" width="{_number(width)}" height="{_BOX}"/>{text}</g>'
    )


def _names(node: Node) -> tuple[str, str, str]:
    """Function, the whole place and the short place of a frame, made safe but not escaped."""
    frame = node.frame
    if node.folded is not None:
        name, layers = escape.terminal(node.folded.name()), escape.terminal(node.folded.where())
        return escape.shorten(name, _FUNCTION_LIMIT), escape.shorten(layers, _FILE_LIMIT), ""
    function = escape.shorten(escape.terminal(frame.function) or "(no name)", _FUNCTION_LIMIT)
    if frame is ROOT:
        return function, "all threads together", ""
    if wait_kind(frame) is not None:
        return function, "what the thread did below its last Python frame", ""
    line = "" if frame.line is None else f":{frame.line}"
    file = escape.terminal(frame.file)
    where = escape.shorten(file, _FILE_LIMIT) or "file not known"
    base = escape.shorten(file.rpartition("/")[2], _FUNCTION_LIMIT)
    return function, where + line, f" ({base}{line})" if base else ""


def _looks(every: Sequence[Placed], least: float) -> list[str]:
    """The class that the style paints, for each box: what it is and how much of it starves work.

    Less than ``least`` of its time leaves a box unmarked, unless it leads to one that is marked.
    """
    looks = [""] * len(every)
    marked: set[int] = set()  # depths at which a box after this one, below the same caller, is
    for index in range(len(every) - 1, -1, -1):
        node, depth = every[index].node, every[index].depth
        leads = depth + 1 in marked
        marked.discard(depth + 1)
        if leads or (node.total.starved_s > 0 and _share(node) >= least):
            marked.add(depth)
            looks[index] = _marked(node)
        else:
            looks[index] = _plain(node)
    return looks


def _share(node: Node) -> float:
    total = node.total
    return total.starved_s / total.wall_s if total.wall_s > 0 else float(total.starved_s > 0)


def _waits(node: Node) -> bool:
    return wait_kind(node.frame) not in {None, WaitKind.ON_CPU, WaitKind.UNKNOWN}


def _plain(node: Node) -> str:
    if _waits(node):
        return "wait"
    return "layers" if node.folded is not None else f"code{shade(node.frame.file)}"


def _marked(node: Node) -> str:
    share = _share(node)
    part = "" if share >= MUCH else " part" if share >= SOME else " slight"
    if _waits(node):
        return f"harm{part}"
    if node.own.starved_s >= node.total.starved_s * MUCH and share >= SOME:
        return f"busy{part}"
    path = "path3" if share >= MUCH else "path2" if share >= SOME else "path1"
    return path if node.folded is None else f"layers {path}"


def _label(function: str, place: str, room: float) -> str:
    """What fits of a frame's name into ``room`` px; empty if hardly anything does."""
    cells = int(room / _CELL)
    if cells < _LEAST_LABEL:
        return ""
    if _cells(function + place) <= cells:
        return function + place
    limit = cells
    while _cells(shortened := _cut(function, limit)) > cells:
        limit -= 1
    return shortened


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit or limit >= _BOTH_ENDS:
        return escape.shorten(text, limit)
    return f"{text[: max(limit - 1, 0)]}…" if limit > 0 else ""


def _cells(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _weight_of_missing(every: Sequence[Placed], drawn: Container[int]) -> float:
    """What the frames not drawn weigh, those below others of them not counted twice."""
    missing, below = 0.0, -1
    for index, one in enumerate(every):
        if 0 <= below < one.depth:
            continue
        below = -1
        if index not in drawn:
            missing, below = missing + one.width, one.depth
    return missing


def _amount(value: float, weight: Weight) -> str:
    """A time with its unit; victim-seconds are always in seconds."""
    if weight == "victims":
        return f"{value:,.1f} victim-s" if value >= 100 else f"{value:.3g} victim-s"
    if value >= 100:
        return f"{value:,.0f} s"
    return f"{value:.3g} s" if value >= 1 or value == 0 else f"{value * 1000:.3g} ms"


def _percent(value: float, whole: float) -> str:
    """The share of the whole in parentheses; nothing if there is no whole."""
    if whole <= 0:
        return ""
    share = 100 * value / whole
    return " (<0.1 %)" if 0 < share < 0.05 else f" ({share:.1f} %)"


def _number(value: float) -> str:
    """A length in px; five decimals stay exact to a pixel when a tenth of one fills the window."""
    return f"{value:.5f}".rstrip("0").rstrip(".")


def _asset(name: str) -> str:
    return resources.files("waitspy.render").joinpath("svg_assets", name).read_text("utf-8")


def _cdata(text: str) -> str:
    """A CDATA section; in HTML, script and style inside an SVG are parsed by the same rules."""
    return f"<![CDATA[{text.replace(']]>', ']]]]><![CDATA[>')}]]>"
