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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from waitspy.kernel import procfs
from waitspy.target import elf_symbols
from waitspy.target.interpreter import (
    DELETED,
    Interpreter,
    MappedFile,
    file_key,
    parse_maps,
    read_mapped,
)

NAME = "Node.js"

_START, _RUN_TIMERS = b"_ZN4node5StartEiPPc", b"_ZN4node11Environment9RunTimersEP10uv_timer_s"
"""``node::Start(int, char**)``, which embedders call: every build exports it. And what libuv calls
when a timer of JavaScript is due: exported because all of ``node::Environment`` is."""

_POOL = {
    b"wq": 16, b"slow_io_pending_wq": 16, b"run_slow_work_message": 16, b"slow_io_work_running": 4,
    b"threads": 8, b"nthreads": 4, b"cond": 48,
}  # fmt: skip
"""The variables of libuv's src/threadpool.c that tell of its pool, and their sizes. They are local
to that file: only builds with a table of symbols, as those of nodejs.org, say where they are."""

_WORK = {
    b"uv__fs_work": "a call of fs",
    b"uv__getaddrinfo_work": "dns.lookup",
    b"uv__getnameinfo_work": "dns.lookupService",
    b"uv__queue_work": "crypto, zlib or an addon",
}
"""What the pool is given to do."""

_LIBNODE = re.compile(r"libnode\.so[\d.]*$")
_VERSION = re.compile(rb"node\.js/v(\d{1,3}\.\d{1,3}\.\d{1,3})\0")
_PIECE, _OVERLAP = 4 << 20, 32
_MOST_BYTES = 1 << 30
"""Of a file that are searched for its version; Node 24 has 120 MB."""


@dataclass(frozen=True, slots=True)
class PoolPlaces:
    """Where libuv's pool of threads is: its ``queue``, that of slow work (names are looked up) with
    the ``message`` that stands for it in the first one, how many threads do such work (``slow``),
    its ``threads`` and how many these are (``many``), and the condition that they wait for
    (``signal``). ``work`` are the functions that it is given, and what these are in Node.
    """

    queue: int
    slow_queue: int
    message: int
    slow: int
    threads: int
    many: int
    signal: int
    work: tuple[tuple[int, str], ...]

    def moved(self, by: int) -> PoolPlaces:
        """The same of a file that is mapped so much further up."""
        return PoolPlaces(
            by + self.queue,
            by + self.slow_queue,
            by + self.message,
            by + self.slow,
            by + self.threads,
            by + self.many,
            by + self.signal,
            tuple((by + address, name) for address, name in self.work),
        )


@dataclass(frozen=True, slots=True)
class NodeImage:
    """What the ELF file of a Node says; addresses are those that it is linked for.

    ``base`` is the lowest, ``writable`` are (address, size) of its data, ``run_timers`` is what its
    timers call; ``pool`` is not known of each build.
    """

    version: str
    base: int
    writable: tuple[tuple[int, int], ...]
    run_timers: int | None
    pool: PoolPlaces | None = None


@dataclass(frozen=True, slots=True)
class MappedNode:
    """The Node in a process; ``data`` are (address, size) of its static data, ``run_timers`` is
    where the function lies that libuv calls for a timer of JavaScript, ``pool`` where its pool is.
    """

    path: str
    version: str
    data: tuple[tuple[int, int], ...]
    run_timers: int | None
    pool: PoolPlaces | None = None


_images: dict[tuple[int, int, int], NodeImage | None] = {}
"""By device, inode and modification time: reading one takes tens of milliseconds."""


def identify(pid: int) -> Interpreter | None:
    """The Node that the process has mapped; None when there is none.

    Raises:
        ProcessLookupError: it is gone.
        PermissionError: this user may not read its maps.
    """
    found = locate(pid)
    return None if found is None else Interpreter(NAME, found.version, found.path)


def locate(pid: int) -> MappedNode | None:
    """The same, with where its parts lie; see ``identify``."""
    files = parse_maps(procfs.read(pid, "maps"))
    try:
        executable = procfs.link(pid, "exe").removesuffix(DELETED)
    except ProcessLookupError:
        return None  # a kernel thread, or ended since
    programs = [file for file in files if file.path == executable]
    libraries = [file for file in files if _LIBNODE.search(file.name)]
    for file in (*programs[:1], *libraries):
        image = _image_of(pid, file, executable)
        if image is not None:
            moved = file.start - file.offset - image.base
            timers = image.run_timers
            return MappedNode(
                file.path,
                image.version,
                tuple((moved + address, size) for address, size in image.writable),
                None if timers is None else moved + timers,
                None if image.pool is None else image.pool.moved(moved),
            )
    return None


def read_image(file: BinaryIO) -> NodeImage | None:
    """What an ELF file says of the Node that it defines; None when it defines none."""
    try:
        elf = ELFFile(file)
        size = file.seek(0, os.SEEK_END)
        wanted = (_START, _RUN_TIMERS, *_POOL, *_WORK)
        symbols = elf_symbols.every(elf, file, size, wanted)
        version = _version_in(file) if _START in symbols else None
        if version is None:
            return None
        loads = [s.header for s in elf.iter_segments() if s.header.p_type == "PT_LOAD"]
        return NodeImage(
            version=version,
            base=min((load.p_vaddr for load in loads), default=0) & -0x1000,
            writable=tuple((load.p_vaddr, load.p_memsz) for load in loads if load.p_flags & 2),
            run_timers=symbols[_RUN_TIMERS][0][0] if _RUN_TIMERS in symbols else None,
            pool=_pool(symbols),
        )
    except (ELFError, ValueError, KeyError, AttributeError, TypeError, OverflowError, struct.error):
        return None  # a damaged or made-up header: whatever this file is, it shows no Node


def _pool(symbols: Mapping[bytes, Sequence[tuple[int, int]]]) -> PoolPlaces | None:
    """The places of the pool, if each is one only, and as large as it has to be."""
    places = []
    for name, size in _POOL.items():
        fitting = [address for address, long in symbols.get(name, ()) if long == size]
        if len(fitting) != 1:
            return None
        places += fitting
    work = tuple(
        (address, what) for name, what in _WORK.items() for address, _ in symbols.get(name, ())
    )
    queue, slow_queue, message, slow, threads, many, signal = places
    return PoolPlaces(queue, slow_queue, message, slow, threads, many, signal, work)


def _version_in(file: BinaryIO) -> str | None:
    file.seek(0)
    before = b""
    for _ in range(_MOST_BYTES // _PIECE):
        piece = file.read(_PIECE)
        if not piece:
            return None
        found = _VERSION.search(before + piece)
        if found:
            return found[1].decode()
        before = (before + piece)[-_OVERLAP:]
    return None


def _image_of(pid: int, file: MappedFile, executable: str) -> NodeImage | None:
    """What the mapped file says, from the cache when it was read before."""

    def read(stream: BinaryIO) -> NodeImage | None:
        key = file_key(stream)
        if key not in _images:
            _images[key] = read_image(stream)
        return _images[key]

    return read_mapped(pid, file, executable, read)
