"""Recognises the Node.js that a process runs, by what is mapped into it.

As with Python, the command's name proves nothing: Node sets its title, and programs carry a Node of
their own. What proves it is a mapped file that defines ``node::Start``: the executable itself, or
the libnode that distributions link it to. Its version stands in the same file, in the name that
Node's HTTP clients and its trace events give themselves (``node.js/v20.20.2``).
"""

from __future__ import annotations

import os
import re
import struct
from typing import BinaryIO

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from waitspy.kernel import procfs
from waitspy.target import elf_symbols
from waitspy.target.interpreter import DELETED, Interpreter, MappedFile, parse_maps, places

NAME = "Node.js"

_START = b"_ZN4node5StartEiPPc"
"""``node::Start(int, char**)``, which embedders call: every build exports it."""

_LIBNODE = re.compile(r"libnode\.so[\d.]*$")
_VERSION = re.compile(rb"node\.js/v(\d{1,3}\.\d{1,3}\.\d{1,3})\0")
_PIECE, _OVERLAP = 4 << 20, 32
_MOST_BYTES = 1 << 30
"""Of a file that are searched for its version; Node 24 has 120 MB."""

_versions: dict[tuple[int, int, int], str | None] = {}
"""By device, inode and modification time: the search takes tens of milliseconds."""


def identify(pid: int) -> Interpreter | None:
    """The Node that the process has mapped; None when there is none.

    Raises:
        ProcessLookupError: it is gone.
        PermissionError: this user may not read its maps.
    """
    files = parse_maps(procfs.read(pid, "maps"))
    try:
        executable = procfs.link(pid, "exe").removesuffix(DELETED)
    except ProcessLookupError:
        return None  # a kernel thread, or ended since
    programs = [file for file in files if file.path == executable]
    libraries = [file for file in files if _LIBNODE.search(file.name)]
    for file in (*programs[:1], *libraries):
        version = _version_of(pid, file, executable)
        if version is not None:
            return Interpreter(NAME, version, file.path)
    return None


def read_version(file: BinaryIO) -> str | None:
    """The version of the Node that an ELF file defines; None when it defines none."""
    try:
        elf = ELFFile(file)
        size = file.seek(0, os.SEEK_END)
        if not elf_symbols.defined(elf, file, size, (_START,)):
            return None
    except (ELFError, ValueError, KeyError, AttributeError, TypeError, OverflowError, struct.error):
        return None  # a damaged or made-up header: whatever this file is, it shows no Node
    file.seek(0)
    before = b""
    for _ in range(_MOST_BYTES // _PIECE):
        piece = file.read(_PIECE)
        if not piece:
            return None
        found = _VERSION.search(before + piece)
        if found:
            return found[1].decode()
        before = piece[-_OVERLAP:]
    return None


def _version_of(pid: int, file: MappedFile, executable: str) -> str | None:
    """The version that the mapped file says, from the cache when it was read before."""
    for path, certain in places(pid, file, executable):
        try:
            with open(path, "rb") as stream:
                facts = os.fstat(stream.fileno())
                if not certain and facts.st_ino != file.inode:
                    continue
                key = (facts.st_dev, facts.st_ino, facts.st_mtime_ns)
                if key not in _versions:
                    _versions[key] = read_version(stream)
                return _versions[key]
        except OSError:
            continue
    return None
