"""How flamegraphs look, in pictures and in the page: colours, patterns, legend, thresholds.

The classes are painted by ``svg_assets/flame.css``, which is the one place that names colours.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from importlib import resources

from waitspy.model.judged import Weight

WEIGHT_NAMES: Mapping[Weight, str] = {
    "wall": "wall time",
    "starved": "starved time",
    "victims": "victim time",
    "root": "starved time at its root",
}
MUCH, SOME, LEAST = 0.5, 0.1, 0.01
"""Shares of a box's time that change its look; the legend says them.

Colour is read as area. What is orange of a box (all of it from ``MUCH`` on, a third in stripes from
``SOME`` on, an eighth as a band from ``LEAST`` on) is about the share of its time that starved
work. Of a hundredth, a pixel would be left of a box as wide as a label; and the widest boxes, polls
and idle threads, starve something for a few milliseconds in every recording. They get no orange.
Where boxes are as wide as the harm that they did, there is nothing to exaggerate: all are marked.
"""

LEGEND = (
    ("code0", "code"),
    ("layers", "library layers, folded"),
    ("path1", "code that starves work: under 10 % of its time"),
    ("path2", "under half"),
    ("path3", "half or more"),
    ("busy", "starves it itself"),
    ("wait", "wait that starves nothing, or for under 1 % of its time"),
    ("harm slight", "wait that starves work: under 10 %"),
    ("harm part", "under half"),
    ("harm", "half or more"),
)
"""Class and meaning of every look of a box."""

_SHADES = 6  # of the code's colour

# Gradients draw the band at a box's foot, patterns the texture of waits; the style names them.
PAINT = """<defs>\
<linearGradient id="waitspy-path1" x2="0" y2="1"><stop offset=".87" class="s1"/>\
<stop offset=".87" class="band"/></linearGradient>\
<linearGradient id="waitspy-path2" x2="0" y2="1"><stop offset=".87" class="s2"/>\
<stop offset=".87" class="band"/></linearGradient>\
<linearGradient id="waitspy-path3" x2="0" y2="1"><stop offset=".87" class="s3"/>\
<stop offset=".87" class="band"/></linearGradient>\
<pattern id="waitspy-wait" width="6" height="6" patternUnits="userSpaceOnUse">\
<rect width="6" height="6" class="calm"/><circle cx="1.5" cy="1.5" r=".8" class="dot"/>\
<circle cx="4.5" cy="4.5" r=".8" class="dot"/></pattern>\
<pattern id="waitspy-harm" width="8" height="8" patternUnits="userSpaceOnUse" \
patternTransform="rotate(-45)"><rect width="8" height="8" class="alarm"/>\
<rect width="8" height="3" class="stripe"/></pattern>\
<pattern id="waitspy-harm-part" width="10" height="10" patternUnits="userSpaceOnUse" \
patternTransform="rotate(-45)"><rect width="10" height="10" class="calm"/>\
<rect width="10" height="3" class="alarm"/></pattern>\
<linearGradient id="waitspy-harm-slight" x2="0" y2="1"><stop offset=".87" class="s0"/>\
<stop offset=".87" class="band"/></linearGradient>\
</defs>"""


def shade(file: str) -> int:
    """Which shade of the code's colour a file has; all its frames have the same."""
    return zlib.crc32(file.encode(errors="replace")) % _SHADES


def style() -> str:
    """The style sheet."""
    return resources.files("waitspy.render").joinpath("svg_assets", "flame.css").read_text("utf-8")
