"""Escaping: whatever a target says, the medium shows it as text and the reader sees all of it."""

from __future__ import annotations

import json
import re
import unicodedata
from html import unescape
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from waitspy.render import escape

HOSTILE = [
    "<script>alert(1)</script>",
    "]]>",
    "a\"b'c&d",
    "\x1b[31mred\x1b[0m",
    "\u202egnp.exe",
    "\udc80broken\ud800",
    "a\u200bb\u2066c",
    "line\nbreak\r\n\x85\u2028\u2029",
    "\ufffe\uffff\U0010ffff\x00\x7f\x9b31m",
    "x" * 10_000,
    "",
]
ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.sampled_from(HOSTILE)
HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def unsafe_on_a_line(text: str) -> list[str]:
    return [c for c in text if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}]


@given(ANY_TEXT)
def test_plain_is_one_line_of_valid_unicode(text: str) -> None:
    result = escape.plain(text)
    assert unsafe_on_a_line(result) == []
    assert result.encode().decode() == result
    assert len(result.splitlines()) <= 1


def test_plain_keeps_what_is_text() -> None:
    text = "Größe 漢字 <lambda> \\ / 🦀 אבג"
    assert escape.plain(text) == text
    assert escape.terminal(text) == text


def test_plain_writes_out_what_it_cannot_show() -> None:
    assert escape.plain("a\tb\nc\rd\x00\x9be\udc80\ufffe") == (
        "a\\tb\\nc\\rd\\x00\\x9be\\udc80\\ufffe"
    )
    assert escape.plain("\U0010ffff") == "\\U0010ffff"


@given(ANY_TEXT)
def test_terminal_leaves_nothing_that_moves_or_hides_text(text: str) -> None:
    result = escape.terminal(text)
    assert unsafe_on_a_line(result) == []
    assert not re.search("[\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]", result)


def test_terminal_writes_out_every_bidi_and_format_character() -> None:
    # Arabic number signs and similar are format characters that are seen and reorder nothing.
    seen = {chr(code) for code in (*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2)}
    seen |= {"\U000110bd", "\U000110cd", *map(chr, range(0x13430, 0x13460))}
    for code in range(0x110000):
        character = chr(code)
        if unicodedata.category(character) in HIDDEN and character not in seen:
            assert escape.terminal(character).startswith("\\"), hex(code)
    assert escape.terminal("\x1b[31m\u202eabc\u2069") == "\\x1b[31m\\u202eabc\\u2069"


def test_terminal_limits_no_length() -> None:
    assert escape.terminal("x" * 10_000) == "x" * 10_000


@given(ANY_TEXT)
def test_json_text_survives_a_strict_encoder(text: str) -> None:
    result = escape.json_text(text)
    assert json.loads(json.dumps(result, ensure_ascii=False).encode()) == result
    if not re.search("[\ud800-\udfff]", text):
        assert result == text


@given(ANY_TEXT)
def test_xml_is_content_and_attribute_and_nothing_else(text: str) -> None:
    escaped = escape.xml(text)
    element = ET.fromstring(f"<a b=\"{escaped}\" c='{escaped}'>{escaped}</a>")
    assert len(element) == 0
    assert set(element.attrib) == {"b", "c"}
    shown = element.text or ""
    expected = "".join(c if c in "\t\n" else escape.terminal(c) for c in text)
    assert shown == expected
    assert element.attrib["b"] == expected.replace("\t", " ").replace("\n", " ")
    assert unescape(escaped) == expected


def test_xml_cannot_end_a_cdata_section() -> None:
    assert "]]>" not in escape.xml("]]>")


def rendered(markdown: str) -> list[tuple[str, str]]:
    """The (type, content) of what CommonMark with tables makes of it, without paragraphs."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    return [
        (child.type, child.content)
        for token in tokens
        for child in (token.children or [])
        if token.type == "inline"
    ]


def blocks(markdown: str) -> list[str]:
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    return [token.type for token in tokens]


SPECIAL_MARKDOWN = [
    *HOSTILE,
    "**bold** _it_ `code` ~~gone~~",
    "[link](http://x) ![img](y)",
    "| a | b |",
    "# heading",
    "- item",
    "+ item",
    "12. item",
    "3) item",
    "=====",
    "    code",
    "> quote",
    "\\`\\|\\",
    "&lt;b&gt;",
    "<http://x>",
    "```",
    "a``b`",
    " ",
    "` `",
]


@given(ANY_TEXT | st.sampled_from(SPECIAL_MARKDOWN) | st.text("|`\\*_-+=#<>[]()!~ .1a\n"))
def test_markdown_is_literal_text_in_a_paragraph(text: str) -> None:
    tokens = (
        MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(escape.markdown(text))
    )
    visible = escape.terminal(text)
    # Spaces at the very ends of a paragraph do not show in any case.
    if not visible.strip():
        return
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    children = tokens[1].children or []
    assert {child.type for child in children} <= {"text", "text_special"}
    assert "".join(child.content for child in children).strip() == visible.strip()


@given(ANY_TEXT | st.sampled_from(SPECIAL_MARKDOWN) | st.text("|`\\*_ <>a"))
def test_markdown_and_code_span_stay_in_their_table_cell(text: str) -> None:
    table = f"| a | b | c |\n|---|---|---|\n| {escape.markdown(text)} | {escape.code_span(text)} | end |\n"
    types = blocks(table)
    assert types.count("td_open") == 3
    assert types.count("tr_open") == 2
    assert rendered(table)[-1] == ("text", "end")


@given(ANY_TEXT | st.sampled_from(SPECIAL_MARKDOWN) | st.text("|`\\*_ <>a"))
def test_code_span_shows_the_text_and_nothing_else(text: str) -> None:
    visible = escape.terminal(text)
    tokens = rendered(f"x {escape.code_span(text)} y")
    if "|" in visible:
        assert tokens[1] == ("html_inline", "<code>")
        assert tokens[-2] == ("html_inline", "</code>")
        assert {kind for kind, _ in tokens[2:-2]} <= {"text", "text_special"}
        assert "".join(content for _, content in tokens[2:-2]) == visible
    else:
        assert tokens == [("text", "x "), ("code_inline", visible or " "), ("text", " y")]


@pytest.mark.parametrize("text", ["https://evil.example", "www.evil.example", "WWW.evil.example"])
def test_markdown_makes_no_address_a_link(text: str) -> None:
    escaped = escape.markdown(text)
    assert "https:" not in escaped
    assert "www." not in escaped.lower()


@given(ANY_TEXT, st.integers(-2, 40))
def test_shorten_keeps_head_and_tail(text: str, limit: int) -> None:
    result = escape.shorten(text, limit)
    assert len(result) <= max(limit, 0)
    if len(text) <= limit:
        assert result == text
    elif limit > 0:
        head, tail = result.split("…")[0], result.rsplit("…", maxsplit=1)[1]
        assert text.startswith(head)
        assert text.endswith(tail)


def test_shorten_shows_both_ends() -> None:
    assert escape.shorten("abcdefghij", 6) == "ab…hij"
    assert escape.shorten("abcdefghij", 10) == "abcdefghij"
    assert escape.shorten("abc", 1) == "…"
