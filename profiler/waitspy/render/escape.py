r"""Makes text that was read from a target safe to show; every function is total on any str.

Names of functions, files, threads, tasks and processes can contain markup, escape codes, quotes,
newlines, bidirectional overrides, lone surrogates, and as many characters as their author liked.
What cannot be shown is written as Python would write it (``\x1b``, ``\u202e``), so that a reader
sees that it was there. Order: first ``terminal`` or ``plain``, then ``shorten``, and the markup
(``xml``, ``markdown``) last, because ``shorten`` would cut escapes in two.
"""

from __future__ import annotations

import re

# What no line of text may contain: controls (C0, DEL, C1), line and paragraph separators, lone
# surrogates, and the code points that Unicode reserves for internal use (noncharacters).
_PLAIN_RANGES = (
    (0x00, 0x1F),
    (0x7F, 0x9F),
    (0x2028, 0x2029),
    (0xD800, 0xDFFF),
    (0xFDD0, 0xFDEF),
    *((plane << 16 | 0xFFFE, plane << 16 | 0xFFFF) for plane in range(17)),
)
# What changes the order of its neighbours or cannot be seen: the characters of Unicode's properties
# Bidi_Control and Default_Ignorable_Code_Point, and interlinear annotations.
_HIDDEN_RANGES = (
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
_SHORT_ESCAPES = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def _any_of(ranges: tuple[tuple[int, int], ...]) -> re.Pattern[str]:
    return re.compile("[" + "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges) + "]")


_NOT_PLAIN = _any_of(_PLAIN_RANGES)
_NOT_VISIBLE = _any_of(_PLAIN_RANGES + _HIDDEN_RANGES)
_NOT_IN_XML = re.compile(f"(?![\\t\\n]){_NOT_VISIBLE.pattern}")
_SURROGATE = _any_of(((0xD800, 0xDFFF),))

_XML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
_XML_SPECIAL = re.compile("[&<>\"']")
_MARKDOWN = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# The last two alternatives keep addresses from being turned into links.
_MARKDOWN_SPECIAL = re.compile(r"[\\`*_{}\[\]<>|&~!$^#]|:(?=//)|(?<=www)\.", re.IGNORECASE)
# What makes a heading, list or rule of a paragraph, only at its start.
_MARKDOWN_START = re.compile(r"[-+=]|(?<=\d)[.)]")


def _written_out(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def plain(text: str) -> str:
    """One line of valid Unicode: controls, line breaks, surrogates, noncharacters written out."""
    return _NOT_PLAIN.sub(_written_out, text)


def terminal(text: str) -> str:
    """``plain``, with everything that reorders or hides text (bidi, zero width) written out too."""
    return _NOT_VISIBLE.sub(_written_out, text)


def json_text(text: str) -> str:
    """The text with lone surrogates written out; a JSON encoder escapes whatever else needs it."""
    return _SURROGATE.sub(_written_out, text)


def xml(text: str) -> str:
    """Content or quoted attribute value of XML or HTML: ``terminal``, but tabs, line feeds stay."""
    visible = _NOT_IN_XML.sub(_written_out, text)
    return _XML_SPECIAL.sub(lambda match: _XML[match.group()], visible)


def markdown(text: str) -> str:
    """Literal text for a Markdown paragraph or table cell, one line; starts with ``terminal``."""
    escaped = _MARKDOWN_SPECIAL.sub(
        lambda match: _MARKDOWN.get(match.group(), f"\\{match.group()}"), terminal(text)
    )
    if escaped.startswith(" "):  # four spaces would start a code block
        return f"&#32;{escaped[1:]}"
    digits = len(escaped) - len(escaped.lstrip("0123456789"))
    start = _MARKDOWN_START.match(escaped, digits)
    return f"{escaped[:digits]}\\{escaped[digits:]}" if start else escaped


def code_span(text: str) -> str:
    """A Markdown inline-code span for paragraphs and table cells; starts with ``terminal``.

    With a pipe in it it becomes a ``<code>`` element: in a span, a pipe needs a backslash inside a
    table and must not have one outside.
    """
    visible = terminal(text)
    if "|" in visible:
        return f"<code>{markdown(visible).replace(chr(92) + '|', '&#124;')}</code>"
    longest = max((len(run) for run in re.findall("`+", visible)), default=0)
    fence = "`" * (longest + 1)
    if not visible:
        return "` `"
    pad = " " if visible.strip(" ") and (visible[0] in "` " or visible[-1] in "` ") else ""
    return f"{fence}{pad}{visible}{pad}{fence}"


def shorten(text: str, limit: int) -> str:
    """At most ``limit`` characters: the head and the tail of a longer text, with ``…`` between.

    The tail is the longer half: the ends of paths and qualified names tell most.
    """
    if len(text) <= limit:
        return text
    if limit <= 0:
        return ""
    head = (limit - 1) // 2
    tail = limit - 1 - head
    return f"{text[:head]}…{text[len(text) - tail :]}"
