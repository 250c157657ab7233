"""waitspy.target.interpreter: the pure parts, on literal maps and on ELF files built here."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from waitspy.target import interpreter
from waitspy.target.interpreter import MappedFile

MAPS = b"""\
00400000-0041f000 r--p 00000000 fe:00 1581 /usr/bin/my server
0041f000-006d5000 r-xp 0001f000 fe:00 1581 /usr/bin/my server
01f3a000-02040000 rw-p 00000000 00:00 0    [heap]
7f00-7f10 r--p 00002000 fe:00 77                         /opt/lib/libpython3.11.so.1.0 (deleted)
7f10-7f20 rw-p 00000000 00:00 0
7f20-7f30 r--s 00000000 00:01 9                          /memfd:x (deleted)
garbage line
7ffd-7fff rw-p 00000000 00:00 0                          [stack]
"""


@dataclass
class Elf:
    """An ELF file with one segment of data and one table of symbols."""

    data: bytes = bytes(64)
    base: int = 0x400000
    symbols: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    section: int = 1
    bits: int = 64
    order: str = "<"
    table_type: int = 11  # SHT_DYNSYM

    def build(self) -> bytes:
        wide = self.bits == 64
        word = "Q" if wide else "I"
        header_size, segment_size, section_size = (64, 56, 64) if wide else (52, 32, 40)
        strings = b"\0" + b"".join(b"x" + name + b"\0" for name in self.symbols)
        rows = bytes(24 if wide else 16)
        for name, (offset, size) in self.symbols.items():
            at, address = strings.index(name + b"\0"), self.base + offset
            rows += (
                struct.pack(self.order + "IBBHQQ", at, 17, 0, self.section, address, size)
                if wide
                else struct.pack(self.order + "IIIBBH", at, address, size, 17, 0, self.section)
            )
        data_at = header_size + segment_size
        rows_at = data_at + len(self.data)
        strings_at = rows_at + len(rows)
        sections_at = strings_at + len(strings)
        ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if self.order == "<" else 2, 1]) + bytes(9)
        head = ident + struct.pack(
            f"{self.order}HHI{word}{word}{word}IHHHHHH",
            *(2, 62, 1, self.base, header_size, sections_at, 0),
            *(header_size, segment_size, 1, section_size, 3, 2),
        )
        length = len(self.data)
        segment = (
            struct.pack(
                self.order + "IIQQQQQQ", 1, 6, data_at, self.base, self.base, length, length + 99, 1
            )
            if wide
            else struct.pack(
                self.order + "IIIIIIII", 1, data_at, self.base, self.base, length, length + 99, 6, 1
            )
        )

        def section(type_: int, at: int, size: int, link: int, row: int) -> bytes:
            return struct.pack(
                f"{self.order}II{word}{word}{word}{word}II{word}{word}",
                *(0, type_, 0, 0, at, size, link, 0, 1, row),
            )

        sections = (
            section(0, 0, 0, 0, 0)
            + section(self.table_type, rows_at, len(rows), 2, 24 if wide else 16)
            + section(3, strings_at, len(strings), 0, 0)
        )
        return head + segment + self.data + rows + strings + sections


def read(elf: Elf) -> interpreter.Image | None:
    return interpreter.read_image(io.BytesIO(elf.build()))


def debug_offsets(version: int, free_threaded: int) -> bytes:
    return b"xdebugpy" + struct.pack("<QQ", version, free_threaded)


def test_mapped_files_are_listed_once_each_and_pseudo_files_left_out() -> None:
    server, library, memfd = interpreter.parse_maps(MAPS)
    assert server == MappedFile("/usr/bin/my server", 0x400000, 0x41F000, 0, 1581, deleted=False)
    assert library == MappedFile(
        "/opt/lib/libpython3.11.so.1.0", 0x7F00, 0x7F10, 0x2000, 77, deleted=True
    )
    assert library.name == "libpython3.11.so.1.0"
    assert memfd.path == "/memfd:x"


@pytest.mark.parametrize(
    ("packed", "version"),
    [
        (0x030B07F0, "3.11.7"),
        (0x030D00F0, "3.13.0"),
        (0x030F00B2, "3.15.0b2"),
        (0x030E00A7, "3.14.0a7"),
        (0x030C00C1, "3.12.0rc1"),
        (0x030812F0, "3.8.18"),
    ],
)
def test_packed_versions(packed: int, version: str) -> None:
    assert interpreter.version_text(packed) == version


@pytest.mark.parametrize(
    ("memory", "version"),
    [
        (b"..\0003.8.18 (default, Aug 24 2023, 10:00:00) \n[GCC 12.2.0]\0", "3.8.18"),
        (b"\0003.9.2 (heads/main:abc, Feb 28 2021, 17:03:44) \n[Clang 14.0 ]\0..", "3.9.2"),
        (b"\0003.10.0rc2+ (main, Jan  1 2021) \n[GCC 9]\0", "3.10.0rc2+"),
        (b"\0003.8.18\0", None),
        (b"x3.8.18 (default, Aug 24 2023) \n[GCC 12.2.0]\0", None),
        (b"\0003.45.1 2024-01-30 16:01:20\0", None),
        (b"", None),
    ],
)
def test_the_text_of_sys_version_is_found_in_memory(memory: bytes, version: str | None) -> None:
    assert interpreter.find_sys_version(memory) == version


def mapped(*paths: str) -> tuple[MappedFile, ...]:
    return tuple(MappedFile(path, 0, 1, 0, 1, deleted=False) for path in paths)


@pytest.mark.parametrize(
    ("paths", "executable", "named"),
    [
        (["/usr/lib/libpython3.8.so.1.0"], "/usr/bin/x", ("3.8", False)),
        (["/tmp/_MEI1/libpython3.13t.so.1.0"], "/app", ("3.13", True)),
        (["/l/libpython3.7m.so"], "/app", ("3.7", False)),
        (["/usr/lib/libpython3.so"], "/app", (None, False)),
        (["/l/libpython3.9.so", "/l/libpython3.10.so"], "/usr/bin/python3.10", ("3.10", False)),
        (["/v/lib/python3.9/lib-dynload/_json.cpython-39.so"], "/app", ("3.9", False)),
        (["/lib/x86/libc.so.6"], "/usr/bin/python3.14t", ("3.14", True)),
        (["/lib/x86/libc.so.6"], "/usr/bin/python3", (None, False)),
    ],
)
def test_names_tell_major_and_minor(
    paths: list[str], executable: str, named: tuple[str | None, bool]
) -> None:
    assert interpreter.version_in_names(mapped(*paths), executable) == named


@pytest.mark.parametrize("version", ["3.8", "3.8.0", "3.11.7", "3.15.0b2", "3"])
def test_supported_versions_are_not_refused(version: str) -> None:
    assert interpreter.judge(version, free_threaded=False) == (None, None)


@pytest.mark.parametrize(
    ("version", "free_threaded", "why"),
    [
        ("3.7.16", False, "Python 3.7 is older than 3.8"),
        ("2.7.18", False, "Python 2.7 is older than 3.8"),
        ("3.16.0a1", False, "Python 3.16 is newer than 3.15"),
        ("3.13.1", True, "free-threaded"),
        ("3.7.1", True, "older"),
    ],
)
def test_unsupported_ones_say_why_and_what_would_do(
    version: str, free_threaded: bool, why: str
) -> None:
    why_not, remedy = interpreter.judge(version, free_threaded=free_threaded)
    assert why_not is not None
    assert why in why_not
    assert remedy is not None
    assert "3.8 to 3.15" in remedy


def test_py_version_is_read_from_the_file() -> None:
    elf = Elf(
        data=bytes(16) + struct.pack("<Q", 0x030B07F0) + bytes(40),
        symbols={b"_PyRuntime": (32, 20), b"Py_Version": (16, 8)},
    )
    image = read(elf)
    assert image is not None
    assert (image.version, image.free_threaded) == ("3.11.7", None)
    assert image.base == 0x400000
    assert image.runtime == (0x400020, 20)
    assert image.writable == ((0x400000, 64 + 99),)


@pytest.mark.parametrize("free_threaded", [0, 1])
def test_debug_offsets_tell_version_and_free_threading(free_threaded: int) -> None:
    elf = Elf(
        data=bytes(8) + debug_offsets(0x030E02F0, free_threaded),
        symbols={b"_PyRuntime": (8, 24)},
    )
    image = read(elf)
    assert image is not None
    assert (image.version, image.free_threaded) == ("3.14.2", bool(free_threaded))


@pytest.mark.parametrize(("bits", "order"), [(32, "<"), (64, ">"), (32, ">")])
def test_other_word_sizes_and_byte_orders(bits: int, order: str) -> None:
    word = struct.pack(order + ("Q" if bits == 64 else "I"), 0x030C01F0)
    elf = Elf(data=word + bytes(8), symbols={b"Py_Version": (0, len(word))}, bits=bits, order=order)
    image = read(elf)
    assert image is not None
    assert image.version == "3.12.1"


def test_an_older_python_shows_only_its_functions() -> None:
    image = read(Elf(symbols={b"Py_GetVersion": (0, 9)}, table_type=2))
    assert image is not None
    assert (image.version, image.runtime) == (None, None)


def test_a_runtime_outside_of_the_file_gives_no_version() -> None:
    image = read(Elf(symbols={b"_PyRuntime": (5000, 24)}))
    assert image is not None
    assert image.version is None


def test_symbols_that_are_only_imported_make_no_python() -> None:
    assert read(Elf(symbols={b"_PyRuntime": (0, 24)}, section=0)) is None


def test_other_programs_are_no_python() -> None:
    assert read(Elf(symbols={b"main": (0, 24), b"not_Py_Version_": (0, 8)})) is None


def test_damaged_files_are_no_python() -> None:
    whole = Elf(symbols={b"_PyRuntime": (0, 24)}).build()
    results = set()
    for length in range(0, len(whole), 7):
        results.add(interpreter.read_image(io.BytesIO(whole[:length])))
    assert results == {None}
    assert interpreter.read_image(io.BytesIO(b"#!/bin/sh\nexec python\n")) is None


def test_headers_that_lie_about_sizes_are_survived(tmp_path: Path) -> None:
    whole = bytearray(Elf(symbols={b"_PyRuntime": (0, 24)}).build())
    sections_at = struct.unpack_from("<Q", whole, 40)[0]
    struct.pack_into("<Q", whole, sections_at + 64 + 32, 24 << 50)
    (tmp_path / "lies").write_bytes(whole)
    with open(tmp_path / "lies", "rb") as file:
        assert interpreter.read_image(file) is None
