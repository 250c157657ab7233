"""Finds the interpreter in a process: its version, layout, interpreter and thread states."""

from __future__ import annotations

import contextlib
import os
import re
import struct
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from waitspy.kernel import procfs
from waitspy.model.clock import NS
from waitspy.remote import debug_offsets, layouts, native_ids
from waitspy.remote.layouts import Layout
from waitspy.remote.memory import Memory, SamePlaces, Torn, Unavailable, packed, word_at
from waitspy.target import interpreter
from waitspy.target.interpreter import MappedFile

_MACHINES = {62: "x86_64", 183: "aarch64"}  # e_machine, include/uapi/linux/elf-em.h
_MOST_INTERPRETERS = 64
_MOST_THREADS = 10_000
_ASYNCIO_FILE = re.compile(r"^_asyncio\.[^/]*so$")
_SECTION = ".AsyncioDebug"


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread state: its address, pthread id, OS thread id (None: unknown) and ``__dict__``."""

    address: int
    ident: int
    tid: int | None
    names: int


class Gil(NamedTuple):
    """The thread state that holds the GIL of an interpreter (None: nobody does), and whether that
    interpreter is collecting garbage.
    """

    holder: int | None
    collects: bool


class _GilPlaces(NamedTuple):
    """What is read of an interpreter and its GIL, and which of its words say what.

    As long as the first ones are as in ``proof``, it is the same interpreter and has the same GIL.
    """

    places: SamePlaces
    words: struct.Struct
    proof: tuple[int, ...]
    collects_word: int
    holder_word: int
    locked_word: int


class Runtime:
    """The CPython of one process.

    Raises:
        Unavailable: the process is no CPython that can be read, and why.
        OSError: no permission, or the process is gone.
    """

    def __init__(self, pid: int, memory: Memory | None = None) -> None:
        self.pid = pid
        self.memory = memory or Memory(pid)
        _check_machine(pid)
        self.clock_ahead_s = clock_ahead_ns(pid) / NS
        found = interpreter.identify(pid)
        if found is None:
            raise Unavailable("no Python interpreter is mapped")
        if found.why_not:
            raise Unavailable(found.why_not)
        self.version = found.version or ""
        pair = interpreter.version_pair(self.version)
        span = interpreter.runtime_span(pid)
        if pair is None or span is None:
            raise Unavailable("its interpreter has no symbols, so its state cannot be found")
        self.address = span[0]
        self.layout = self._layout(pair)
        self._asyncio_layout: Layout | None = None
        self._path = found.path
        pids = procfs.read_status(pid).pids
        self._inner_pid, self._same_namespace = pids[-1], len(pids) == 1
        self._outer_tids: dict[int, int] = {}
        self._known_threads: dict[int, list[int]] = {}
        self._gils: dict[int, _GilPlaces] = {}
        self._inherited = native_ids.inherited(pid, self.version)

    @property
    def inner_pid(self) -> int:
        """The pid as the process itself sees it."""
        return self._inner_pid

    def interpreters(self) -> list[tuple[int, int]]:
        """Address and id of each interpreter state.

        Raises:
            Unreadable: the list changed while it was read.
        """
        lay = self.layout
        found: list[tuple[int, int]] = []
        address = self.memory.word(self.address + lay.runtime_interpreters)
        while address:
            if len(found) >= _MOST_INTERPRETERS or address in {a for a, _ in found}:
                raise Torn("the list of interpreters does not end")
            found.append((address, self.memory.word(address + lay.interp_id)))
            address = self.memory.word(address + lay.interp_next)
        return found

    def collecting(self, interp: int) -> bool:
        """Whether an interpreter is collecting garbage: one read, right at any time."""
        return word_at(self.memory.read(self._collecting_at(interp), 4), 0, "I") == 1

    def _collecting_at(self, interp: int) -> int:
        lay = self.layout
        gc = self.address + lay.runtime_gc if lay.runtime_gc else interp + lay.interp_gc
        return gc + lay.gc_collecting

    def gil(self, interp: int, number: int) -> Gil:
        """The same and who holds the GIL of an interpreter, in one read of all of it.

        Raises:
            Unreadable: it has ended, or its state is only made.
        """
        known = self._gils.get(interp)
        if known is None:
            if len(self._gils) >= _MOST_INTERPRETERS:
                self._gils.clear()
            known = self._gils[interp] = self._gil_places(interp, number)
        raw = known.places.read()
        words = None if raw is None else known.words.unpack(raw)
        if words is None or words[: len(known.proof)] != known.proof or words[0] != number:
            del self._gils[interp]
            raise Torn("an interpreter that has ended")
        held = words[known.locked_word] == 1
        return Gil(words[known.holder_word] if held else None, words[known.collects_word] == 1)

    def _gil_places(self, interp: int, number: int) -> _GilPlaces:
        """What is read of an interpreter and its GIL: its id, where its GIL is, as far as each has
        one of its own, whether it collects garbage, and who holds it.
        """
        lay = self.layout
        places = [(interp + lay.interp_id, 8)]
        proof = [number]
        gil = self.address + lay.runtime_gil
        if lay.interp_gil:
            places.append((interp + lay.interp_gil, 8))
            gil = self.memory.word(interp + lay.interp_gil)
            proof.append(gil)
        size = max(lay.gil_locked + 4, lay.gil_holder + 8)
        places += [(self._collecting_at(interp), 4), (gil, size)]
        at = 8 * len(proof)
        told = (at, "I"), (at + 4 + lay.gil_holder, "Q"), (at + 4 + lay.gil_locked, "i")
        words, order = packed([*((8 * n, "Q") for n in range(len(proof))), *told])
        same = self.memory.same(places)
        return _GilPlaces(same, words, tuple(proof), *order[len(proof) :])

    def threads(self, interp: int) -> list[Thread]:
        """The thread states of an interpreter.

        Raises:
            Unreadable: the list changed while it was read.
        """
        lay = self.layout
        size = max(lay.thread_next, lay.thread_dict, lay.thread_ident, lay.thread_native_id) + 8
        rows: list[tuple[int, int, int, int]] = []
        # those of the last time are read at once; the list itself says which of them are still it
        known = self._known_threads.get(interp, [])
        at_once = dict(zip(known, self.memory.many(known, size), strict=True))
        address = self.memory.word(interp + lay.interp_threads)
        while address:
            if len(rows) >= _MOST_THREADS:
                raise Torn("the list of threads does not end")
            raw = at_once.get(address) or self.memory.read(address, size)
            names = word_at(raw, lay.thread_dict)
            ident = word_at(raw, lay.thread_ident)
            native = word_at(raw, lay.thread_native_id) if lay.thread_native_id else 0
            rows.append((address, ident, native, names))
            address = word_at(raw, lay.thread_next)
        self._known_threads[interp] = [row[0] for row in rows]
        if not lay.thread_native_id:
            told = native_ids.here(self.pid, self.version, self.address)
            return [Thread(a, ident, told.get(ident), names) for a, ident, _, names in rows]
        return [Thread(a, ident, self.outer_tid(tid), names) for a, ident, tid, names in rows]

    def outer_tid(self, tid: int) -> int | None:
        """The OS thread id as we see it, of a thread that knows itself by ``tid``."""
        if self._same_namespace:
            return self._inherited.get(tid, tid) or None
        if tid not in self._outer_tids:
            self._outer_tids = procfs.inner_tids(self.pid)
        return self._outer_tids.get(tid, self._inherited.get(tid))

    def outer_pid(self, pid: int) -> int | None:
        """The process id as we see it, of a child that the process knows by ``pid``."""
        if self._same_namespace:
            return pid
        for child in procfs.children(self.pid):
            with contextlib.suppress(OSError):
                if procfs.read_status(child).pids[-1] == pid:
                    return child
        return None

    def _layout(self, pair: tuple[int, int]) -> Layout:
        layout = layouts.of_version(pair)
        if pair < (3, 13):
            return layout
        if re.search("[a-z]", self.version):
            raise Unavailable(f"Python {self.version} is a pre-release")
        head = self.memory.read(self.address, debug_offsets.SIZE)
        return layouts.with_debug_offsets(layout, head)

    def asyncio_layout(self) -> Layout:
        """The layout with what asyncio publishes of itself; to be asked once it is imported.

        Raises:
            Unavailable: it should publish something and that cannot be found.
        """
        if self._asyncio_layout is None:
            layout = self.layout
            if layout.pair >= (3, 14):
                section = self._asyncio_section()
                if section is None:
                    raise Unavailable("asyncio's own table of offsets cannot be found")
                layout = layouts.with_asyncio_offsets(layout, section)
            self._asyncio_layout = layout
        return self._asyncio_layout

    def _asyncio_section(self) -> bytes | None:
        """The ``.AsyncioDebug`` section: in the interpreter or in a library of its own."""
        executable = procfs.link(self.pid, "exe").removesuffix(" (deleted)")
        for file in interpreter.parse_maps(procfs.read(self.pid, "maps")):
            if file.path == self._path or _ASYNCIO_FILE.match(file.name):
                section = _section_of(self.pid, file, executable)
                if section is not None:
                    return section
        return None


def _section_of(pid: int, file: MappedFile, executable: str) -> bytes | None:
    def read(stream: BinaryIO) -> bytes | None:
        section = ELFFile(stream).get_section_by_name(_SECTION)
        if section is None or section.header.sh_size > 4096:
            return None
        return bytes(section.data())

    no_elf = (ELFError, ValueError, KeyError, AttributeError, TypeError)
    return interpreter.read_mapped(pid, file, executable, read, no_elf)


def _check_machine(pid: int) -> None:
    """Refuses what the tables are not for: another architecture or word size."""
    try:
        with open(f"{procfs.PROC}/{pid}/exe", "rb") as file:
            head = file.read(20)
    except FileNotFoundError:
        raise ProcessLookupError(f"process {pid} is gone") from None
    if len(head) < 20 or head[:4] != b"\x7fELF":
        raise Unavailable("its executable is no ELF file")
    machine = _MACHINES.get(struct.unpack_from("<H", head, 18)[0])
    if machine is None or head[4] != 2 or machine != os.uname().machine:
        raise Unavailable("its machine type is not one whose structures are known")


def clock_ahead_ns(pid: int) -> int:
    """By how much its CLOCK_MONOTONIC is ahead of ours: it may live in another time namespace."""
    theirs, ours = procfs.namespace(pid, "time"), procfs.namespace(os.getpid(), "time")
    if theirs == ours or None in {theirs, ours}:
        return 0
    return _offset_ns(pid) - _offset_ns(os.getpid())


def _offset_ns(pid: int) -> int:
    """How far its clock is off that of the machine; the kernel tells that of its children."""
    if procfs.namespace(pid, "time") != procfs.namespace(pid, "time_for_children"):
        raise Unavailable("it has made a time namespace for its children, so its own is not known")
    return procfs.monotonic_offset_ns(pid)
