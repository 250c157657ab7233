"""What an ELF file defines: addresses of symbols, and what the file puts there.

Works on the raw tables: building an object for each symbol takes seconds on large files.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from elftools.construct.lib.container import Container
from elftools.elf.elffile import ELFFile

_MOST_PLACES = 100  # of one name


def defined(
    elf: ELFFile, file: BinaryIO, size: int, symbols: Iterable[bytes]
) -> dict[bytes, tuple[int, int]]:
    """Address and size of each of these symbols that the file defines, the first of each name."""
    return {name: told[0] for name, told in every(elf, file, size, symbols).items()}


def every(
    elf: ELFFile, file: BinaryIO, size: int, symbols: Iterable[bytes]
) -> dict[bytes, list[tuple[int, int]]]:
    """Address and size of everything that goes by one of these names: those that are local to a
    source file may be there several times.
    """
    found: dict[bytes, list[tuple[int, int]]] = {}
    order = "<" if elf.little_endian else ">"
    # Elf64_Sym: name info other shndx value size; Elf32_Sym: name value size info other shndx
    row = struct.Struct(order + ("IBBHQQ" if elf.elfclass == 64 else "IIIBBH"))
    section_at, value_at, size_at = (3, 4, 5) if elf.elfclass == 64 else (5, 1, 2)
    for section in elf.iter_sections():
        header = section.header
        if header.sh_type not in {"SHT_DYNSYM", "SHT_SYMTAB"}:
            continue
        strings = _bytes_of(file, size, elf.get_section(header.sh_link).header)
        names = {at: symbol for symbol in symbols for at in _all(strings, symbol + b"\0")}
        if not names:
            continue
        table = _bytes_of(file, size, header)
        table = table[: len(table) // row.size * row.size]
        for fields in row.iter_unpack(table):
            if fields[0] in names and fields[section_at] != 0:  # SHN_UNDEF: imported
                place = fields[value_at], fields[size_at]
                places = found.setdefault(names[fields[0]], [])
                if len(places) < _MOST_PLACES and place not in places:  # it is in both tables
                    places.append(place)
    return found


def _all(strings: bytes, one: bytes) -> Iterator[int]:
    """Where it is found; one name may be the end of another."""
    at = strings.find(one)
    while at >= 0:
        yield at
        at = strings.find(one, at + 1)


def _bytes_of(file: BinaryIO, size: int, header: Container) -> bytes:
    """The content of a section; empty when the header points outside of the file."""
    offset, length = int(header.sh_offset), int(header.sh_size)
    if offset + length > size:
        return b""
    file.seek(offset)
    return file.read(length)


def initial(
    file: BinaryIO, loads: list[Container], symbol: tuple[int, int] | None, size: int
) -> bytes | None:
    """The bytes that the file puts where the symbol is; None when it has none there."""
    if symbol is None:
        return None
    for load in loads:
        inside = symbol[0] - int(load.p_vaddr)
        if inside >= 0 and inside + size <= int(load.p_filesz):
            file.seek(int(load.p_offset) + inside)
            raw = file.read(size)
            return raw if len(raw) == size else None
    return None
