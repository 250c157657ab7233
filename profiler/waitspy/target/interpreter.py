"""Recognises the Python interpreter that a process runs, by what is mapped into it.

The command's name proves nothing: servers embed Python, rename it or set their title. What
proves it is a mapped libpython, or an executable that defines CPython's own symbols. The full
version comes from data that only the interpreter has: ``_Py_DebugOffsets`` (3.13 and newer) or
``Py_Version`` (3.11, 3.12) in the file, the text of ``sys.version`` in the process's memory
(older ones). Names of files and folders tell major and minor only.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import BinaryIO, TypeVar

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from waitspy.kernel import procfs
from waitspy.target import elf_symbols

OLDEST, NEWEST = (3, 8), (3, 15)
"""The CPython versions that can be profiled, both included."""

_SUPPORTED = "CPython {}.{} to {}.{}".format(*OLDEST, *NEWEST)

_SYMBOLS = (b"_PyRuntime", b"Py_Version", b"Py_GetVersion")
"""Any of them defined in a file makes it a CPython; Py_GetVersion is in every version."""

_MAPPING = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ ([1-9]\d*) +(/.*)$", re.MULTILINE
)
_LIBPYTHON = re.compile(r"libpython(\d\.\d+)([a-z]*)(?:-[^/]*)?\.so(?:\.[\d.]+)?$")
_EXECUTABLE = re.compile(r"python(\d\.\d+)(t?)d?$")
_STDLIB = re.compile(r"/python(3\.\d+)(t?)/lib-dynload/")
_OTHERS = (
    ("PyPy", re.compile(r"(?:libpypy[\d.]*-c\.so[\d.]*|pypy[\d.]*(?:-c)?)$")),
    ("GraalPy", re.compile(r"(?:libpythonvm\.so|graalpy(?:-\w+)?)$")),
)
_SYS_VERSION = re.compile(
    # what Py_GetVersion prints: PY_VERSION (build) \n[compiler]
    rb"(?<![^\0])([23]\.\d+\.\d+(?:(?:a|b|rc)\d+)?\+?) \([^\0]{1,80}\) ?\n?[\[(][^\0]{1,80}\0"
)

DELETED = " (deleted)"
"""What the kernel appends to the path of a mapped file that is gone."""

_MAX_SEGMENT = 64 << 20
"""Bytes of writable data that are searched for ``sys.version``; CPython's own are under 2 MB."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python interpreter inside a process.

    ``version`` is that of CPython: ``3.11.7`` when it was read from the interpreter, ``3.11``
    or ``3`` when no more is sure, None for another implementation. ``path`` is the file, as the
    process mapped it. ``why_not`` says why it cannot be profiled, ``remedy`` what would help.
    """

    implementation: str
    version: str | None
    path: str
    free_threaded: bool = False
    why_not: str | None = None
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class MappedFile:
    """One file that is mapped: where its first mapping lies and which file it is."""

    path: str
    start: int
    end: int
    offset: int
    inode: int
    deleted: bool

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Image:
    """What the ELF file of a CPython says; None where it does not.

    All addresses are those that it is linked for; ``base`` is the lowest. ``writable`` are
    (address, size) of its data, ``runtime`` of its ``_PyRuntime``.
    """

    version: str | None
    free_threaded: bool | None
    base: int
    writable: tuple[tuple[int, int], ...]
    runtime: tuple[int, int] | None = None


_images: dict[tuple[int, int, int], Image | None] = {}
"""By device, inode and modification time: reading symbols takes tens of milliseconds."""


# --- pure ------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def parse_maps(raw: bytes) -> tuple[MappedFile, ...]:
    """The distinct files of /proc/PID/maps, in order of address; malformed lines are left out."""
    files: dict[bytes, MappedFile] = {}
    for match in _MAPPING.finditer(raw):
        start, end, offset, inode, name = match.groups()
        if name in files:
            continue
        path = procfs.text(name)
        files[name] = MappedFile(
            path=path.removesuffix(DELETED),
            start=int(start, 16),
            end=int(end, 16),
            offset=int(offset, 16),
            inode=int(inode),
            deleted=path.endswith(DELETED),
        )
    return tuple(files.values())


def version_text(packed: int) -> str:
    """``3.11.7`` or ``3.15.0b2`` of a PY_VERSION_HEX (Include/patchlevel.h)."""
    major, minor, micro = packed >> 24 & 0xFF, packed >> 16 & 0xFF, packed >> 8 & 0xFF
    level = {0xA: "a", 0xB: "b", 0xC: "rc"}.get(packed >> 4 & 0xF)
    return f"{major}.{minor}.{micro}" + (f"{level}{packed & 0xF}" if level else "")


def version_pair(version: str) -> tuple[int, int] | None:
    """Major and minor of a version text; None when it has no minor."""
    match = re.match(r"(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else None


def find_sys_version(memory: bytes) -> str | None:
    """The version in the text that ``sys.version`` was made of; None when it is not there."""
    match = _SYS_VERSION.search(memory)
    return match[1].decode() if match else None


def version_in_names(files: tuple[MappedFile, ...], executable: str) -> tuple[str | None, bool]:
    """Major.minor as libpython, the standard library or the executable are called, and whether
    those are of a free-threaded build; (None, False) when they say nothing or disagree.
    """
    for found in (
        {(m[1], "t" in m[2]) for file in files if (m := _LIBPYTHON.search(file.name))},
        {(m[1], bool(m[2])) for file in files if (m := _STDLIB.search(file.path))},
        {(m[1], bool(m[2])) for m in [_EXECUTABLE.search(executable)] if m},
    ):
        if len(found) == 1:
            return found.pop()
    return None, False


def judge(version: str, *, free_threaded: bool) -> tuple[str | None, str | None]:
    """Why such a CPython cannot be profiled, and what would help; (None, None) when it can."""
    pair = version_pair(version)
    if pair and not OLDEST <= pair <= NEWEST:
        limit = "older than {}.{}" if pair < OLDEST else "newer than {}.{}"
        why = "Python {}.{} is ".format(*pair) + limit.format(
            *(OLDEST if pair < OLDEST else NEWEST)
        )
        return why, f"run the server on {_SUPPORTED}"
    if free_threaded:
        return (
            f"Python {version} is a free-threaded build, whose stacks cannot be read",
            f"run the server on a default (not free-threaded) build of {_SUPPORTED}",
        )
    return None, None


# --- the ELF file ----------------------------------------------------------------------------


def read_image(file: BinaryIO) -> Image | None:
    """What an ELF file says of the CPython that it defines; None when it defines none."""
    try:
        elf = ELFFile(file)
        size = file.seek(0, os.SEEK_END)
        symbols = elf_symbols.defined(elf, file, size, _SYMBOLS)
        if not symbols:
            return None
        loads = [s.header for s in elf.iter_segments() if s.header.p_type == "PT_LOAD"]
        order = "<" if elf.little_endian else ">"
        word = "Q" if elf.elfclass == 64 else "I"
        runtime = symbols.get(b"_PyRuntime")
        version, free_threaded = None, None
        debug_offsets = elf_symbols.initial(file, loads, runtime, 24)
        if debug_offsets and debug_offsets[:8] == b"xdebugpy":
            # _Py_DebugOffsets begins: cookie, version, free_threaded (pycore_debug_offsets.h)
            packed, flag = struct.unpack(f"{order}QQ", debug_offsets[8:])
            version, free_threaded = version_text(packed), bool(flag)
        elif constant := elf_symbols.initial(
            file, loads, symbols.get(b"Py_Version"), struct.calcsize(order + word)
        ):
            version = version_text(struct.unpack(order + word, constant)[0])
        return Image(
            version=version,
            free_threaded=free_threaded,
            base=min((load.p_vaddr for load in loads), default=0) & -0x1000,
            writable=tuple((load.p_vaddr, load.p_memsz) for load in loads if load.p_flags & 2),
            runtime=runtime,
        )
    except (ELFError, ValueError, KeyError, AttributeError, TypeError, OverflowError, struct.error):
        # a damaged or made-up header: whatever this file is, it shows no CPython
        return None


# --- the process -----------------------------------------------------------------------------


def identify(pid: int) -> Interpreter | None:
    """The interpreter that the process has mapped; None when it is no Python.

    A process that is just starting may not have mapped it yet. Raises ProcessLookupError when
    it is gone, PermissionError when this user may not read its maps.
    """
    files = parse_maps(procfs.read(pid, "maps"))
    try:
        executable = procfs.link(pid, "exe").removesuffix(DELETED)
    except ProcessLookupError:
        return None  # a kernel thread, or ended since
    for implementation, pattern in _OTHERS:
        for path in (executable, *(file.path for file in files)):
            if pattern.match(path.rpartition("/")[2]):
                return Interpreter(
                    implementation,
                    None,
                    path,
                    why_not=f"{implementation}, not CPython",
                    remedy=f"run the server on {_SUPPORTED}",
                )
    file, image = _runtime(pid, files, executable)
    if file is None:
        return None
    named, free_threaded = version_in_names(files, executable)
    version = (image and image.version) or named or "3"
    if image is not None and image.free_threaded is not None:
        free_threaded = image.free_threaded
    why_not, remedy = judge(version, free_threaded=free_threaded)
    return Interpreter("CPython", version, file.path, free_threaded, why_not, remedy)


def runtime_span(pid: int) -> tuple[int, int] | None:
    """Where the interpreter's globals (``_PyRuntime``) lie in the process: address of the first
    byte and of the one after the last. The lock word of the GIL lies among them. None when the
    process is no CPython 3.7 or newer, is gone, or may not be read.
    """
    try:
        files = parse_maps(procfs.read(pid, "maps"))
        executable = procfs.link(pid, "exe").removesuffix(DELETED)
    except (ProcessLookupError, PermissionError):
        return None
    file, image = _runtime(pid, files, executable)
    if file is None or image is None or image.runtime is None:
        return None
    address, size = image.runtime
    start = file.start - file.offset - image.base + address
    return (start, start + size) if size else None


def out_of_reach(pid: int) -> tuple[str, str] | None:
    """Why py-spy, which goes by paths, cannot open the interpreter's file, and what would help.

    None when it can, and when this cannot be known.
    """
    try:
        files = parse_maps(procfs.read(pid, "maps"))
        executable = procfs.link(pid, "exe").removesuffix(DELETED)
        file, _ = _runtime(pid, files, executable)
        if file is None:
            return None
        what = f"py-spy cannot open its {file.name}, which "
        if file.deleted and file.path != executable:  # that one has a link of its own
            return what + "was deleted or replaced since it began", "restart the server"
        if not file.deleted and not os.path.exists(f"{procfs.PROC}/{pid}/root{file.path}"):
            return what + "its root hides (chroot)", "run waitspy inside of that root"
    except OSError:
        pass
    return None


def _runtime(
    pid: int, files: tuple[MappedFile, ...], executable: str
) -> tuple[MappedFile | None, Image | None]:
    """The mapped file that is the CPython, and what it says if it can be read."""
    libraries = [file for file in files if _LIBPYTHON.search(file.name)]
    programs = [file for file in files if file.path == executable and file not in libraries]
    for file in (*programs[:1], *libraries):
        image = _image(pid, file, executable)
        if image is not None:
            return file, image
    return (libraries[0] if libraries else None), None


def _image(pid: int, file: MappedFile, executable: str) -> Image | None:
    """What the mapped file says, from the cache when it was read before."""

    def read(stream: BinaryIO) -> Image | None:
        key = file_key(stream)
        image = _images[key] if key in _images else read_image(stream)
        if image is not None and image.version is None:
            image = replace(image, version=_version_in_memory(pid, file, image))
        _images[key] = image
        return image

    return read_mapped(pid, file, executable, read)


def file_key(stream: BinaryIO) -> tuple[int, int, int]:
    """Device, inode and modification time: what a file is known by that was read before."""
    facts = os.fstat(stream.fileno())
    return facts.st_dev, facts.st_ino, facts.st_mtime_ns


_Read = TypeVar("_Read")


def read_mapped(
    pid: int,
    file: MappedFile,
    executable: str,
    read: Callable[[BinaryIO], _Read],
    refused: tuple[type[Exception], ...] = (),
) -> _Read | None:
    """What ``read`` makes of the mapped file, at the first of its places where it can be read.

    None: it can be read at none. ``read`` may raise OSError, and what is ``refused``, of a place
    that will not do.
    """
    will_not_do: tuple[type[Exception], ...] = (OSError, *refused)
    for path, certain in _places(pid, file, executable):
        try:
            with open(path, "rb") as stream:
                if certain or os.fstat(stream.fileno()).st_ino == file.inode:
                    return read(stream)
        except will_not_do:
            continue
    return None


def _places(pid: int, file: MappedFile, executable: str) -> Iterator[tuple[str, bool]]:
    """Where the mapped file can be opened, and whether that place cannot lead to another one.

    An upgrade may have replaced the file at its path, so the inode must be right there. On
    overlay file systems it can differ though nothing was replaced: the last resort.
    """
    root = f"{procfs.PROC}/{pid}"
    if file.path == executable:
        yield f"{root}/exe", True
    if not file.deleted:
        yield f"{root}/root{file.path}", False
        yield file.path, False
    yield f"{root}/map_files/{file.start:x}-{file.end:x}", True
    if not file.deleted:
        yield f"{root}/root{file.path}", True


def _version_in_memory(pid: int, file: MappedFile, image: Image) -> str | None:
    """The version in ``sys.version``, in the interpreter's static data; None when not readable."""
    try:
        with open(f"{procfs.PROC}/{pid}/mem", "rb", buffering=0) as memory:
            for address, size in image.writable:
                where = file.start - file.offset - image.base + address
                found = find_sys_version(os.pread(memory.fileno(), min(size, _MAX_SEGMENT), where))
                if found:
                    return found
    except (OSError, OverflowError):
        pass
    return None
