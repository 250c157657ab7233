"""Layouts: the tables against headers, what interpreters say of themselves, and refusals."""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.remote.interpreters import ROOT, Python, found
from tools.layouts import generate
from waitspy.remote import debug_offsets, layouts
from waitspy.remote.layout_tables import BY_VERSION, COMMON
from waitspy.remote.memory import Unavailable

WITH_HEADERS = [
    pytest.param(python, include, id=str(python))
    for python in found()
    for include in [
        subprocess.check_output(
            [python.path, "-c", "import sysconfig; print(sysconfig.get_path('include'))"],
            text=True,
        ).strip()
    ]
    if shutil.which("cc") and (Path(include) / "internal" / "pycore_runtime.h").exists()
]


@pytest.mark.parametrize(("python", "include"), WITH_HEADERS)
def test_tables_are_those_of_the_headers(python: Python, include: str) -> None:
    pair = python.pair[0], python.pair[1]
    assert generate.measured([include]) == COMMON | BY_VERSION[pair]


def test_the_table_is_as_generated() -> None:
    text = (ROOT / "profiler" / "waitspy" / "remote" / "layout_tables.py").read_text()
    tables = {pair: COMMON | table for pair, table in BY_VERSION.items()}
    written = generate.rendered(tables, dict.fromkeys(tables, "?"))
    assert written.partition("COMMON")[2].count("\n") > 100
    assert sorted(written.splitlines()[12:]) == sorted(text.splitlines()[12:])


@pytest.mark.parametrize("pair", sorted(layouts.PAIRS))
def test_every_version_has_a_whole_layout(pair: tuple[int, int]) -> None:
    layout = layouts.of_version(pair)
    assert layout.pair == pair
    assert (COMMON | BY_VERSION[pair]).keys() <= layouts.names()


def test_other_versions_are_refused() -> None:
    for pair in ((3, 7), (3, 16), (2, 7)):
        with pytest.raises(Unavailable, match="not known"):
            layouts.of_version(pair)


# --- what tasks state of themselves -----------------------------------------------------------


def test_a_table_that_fits_is_kept() -> None:
    layout = layouts.of_version((3, 10))
    kept = layouts.anchored(layout, basicsize=192, dictoffset=104, weaklistoffset=112)
    assert kept == layout


def test_early_3_10_lacks_a_field_before_the_state() -> None:
    layout = layouts.of_version((3, 10))
    moved = layouts.anchored(layout, basicsize=184, dictoffset=96, weaklistoffset=104)
    # as in 3.9, whose futures have no exception_tb either
    older = layouts.of_version((3, 9))
    for name in ("task_state", "task_waiter", "task_coroutine", "task_name", "task_size"):
        assert getattr(moved, name) == getattr(older, name)


@pytest.mark.parametrize(
    ("pair", "size", "at", "weak"),
    [
        ((3, 10), 200, 104, 112),
        ((3, 10), 192, 100, 108),
        ((3, 10), 184, 96, 112),
        ((3, 12), 176, 0, 0),
        ((3, 13), 152, -1, -32),
        ((3, 14), 176, -1, -32),
    ],
)
def test_unknown_tasks_are_refused(pair: tuple[int, int], size: int, at: int, weak: int) -> None:
    with pytest.raises(Unavailable, match="unknown layout"):
        layouts.anchored(
            layouts.of_version(pair), basicsize=size, dictoffset=at, weaklistoffset=weak
        )


# --- what interpreters say of themselves ------------------------------------------------------


def published(pair: tuple[int, int], **changes: int) -> bytes:
    """``_Py_DebugOffsets`` as an interpreter with the layout of the table would publish it."""
    layout = layouts.of_version(pair)
    said = {path: getattr(layout, name) for name, path in debug_offsets._USED.items()}
    said |= {"object.size": 16, "cookie": 0} | changes
    words = [said.pop("version", pair[0] << 24 | pair[1] << 16), said.pop("free_threaded", 0)]
    group = ""
    for word in debug_offsets._ORDER[pair].split():
        if word.endswith(":"):
            group = word[:-1]
        else:
            words.append(said.get(f"{group}.{word}", 0))
    raw = debug_offsets.COOKIE + struct.pack(f"<{len(words)}Q", *words)
    return raw.ljust(debug_offsets.SIZE, b"\0")


@pytest.mark.parametrize("pair", [(3, 13), (3, 14), (3, 15)])
def test_what_is_published_goes_before_the_table(pair: tuple[int, int]) -> None:
    layout = layouts.of_version(pair)
    assert layouts.with_debug_offsets(layout, published(pair)) == layout
    moved = layouts.with_debug_offsets(layout, published(pair, **{"interp.modules": 9000}))
    assert moved == replace(layout, interp_modules=9000)
    chunk = layout.thread_chunk + 16
    moved = layouts.with_debug_offsets(layout, published(pair, **{"thread.chunk": chunk}))
    assert moved.thread_chunk_top == layout.thread_chunk_top + 16


@pytest.mark.parametrize("pair", [(3, 13), (3, 14), (3, 15)])
def test_what_makes_no_sense_is_refused(pair: tuple[int, int]) -> None:
    layout = layouts.of_version(pair)
    for change in (
        {"free_threaded": 1},
        {"version": 3 << 24 | 12 << 16},
        {"object.size": 32},
        {"object.type": 24},
        {"type.name": 40},
        {"interp.next": 1 << 40},
    ):
        with pytest.raises(Unavailable):
            layouts.with_debug_offsets(layout, published(pair, **change))
    with pytest.raises(Unavailable):
        layouts.with_debug_offsets(layout, bytes(debug_offsets.SIZE))
    with pytest.raises(Unavailable):
        layouts.with_debug_offsets(layouts.of_version((3, 12)), published(pair))


def asyncio_section(pair: tuple[int, int]) -> list[int]:
    lay = layouts.of_version(pair)
    state = lay.task_state
    return [
        lay.task_size, lay.task_name, state - 8, state + 4, state + 5, lay.task_coroutine,
        lay.task_node, 200_000, lay.interp_tasks, 1000, lay.thread_running_loop,
        lay.thread_running_task, lay.thread_tasks,
    ]  # fmt: skip


@pytest.mark.parametrize("pair", [(3, 14), (3, 15)])
def test_asyncio_says_where_its_tasks_are(pair: tuple[int, int]) -> None:
    layout = layouts.of_version(pair)
    words = asyncio_section(pair)
    assert layouts.with_asyncio_offsets(layout, struct.pack("<13Q", *words)) == layout
    for index, wrong in ((0, 10_000), (1, 9_999), (5, 7), (6, 1 << 20), (10, 0), (12, 1 << 50)):
        bad = [*words[:index], wrong, *words[index + 1 :]]
        with pytest.raises(Unavailable):
            layouts.with_asyncio_offsets(layout, struct.pack("<13Q", *bad))
    with pytest.raises(Unavailable):
        layouts.with_asyncio_offsets(layout, struct.pack("<12Q", *words[:12]))
