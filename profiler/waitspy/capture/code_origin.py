"""Says where a worker's code is: its interpreter's own words, and what installers have noted there.

A place that modules come from may hold a program together with its packages: a zip file, or a
folder that was filled with ``pip install --target``. Which names there are packages stands in the
``*.dist-info`` folders. They are read inside the target's own root and with its own rights, as its
source lines are.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import IO

from waitspy.kernel import calls, file_rights, procfs
from waitspy.model.code_origin import CodePath, CodePathKind, Program
from waitspy.remote.values import ImportFacts

# Names in zip files may be in it. Python loads it from its own files, at the first use: that must
# not happen while another user's rights are taken.
codecs.lookup("cp437")

_PACKAGES = re.compile(
    r"(?:^|/)(?:site-packages|dist-packages|__pypackages__)(?:/|\Z)|\.(?:whl|egg)\Z"
)
_PLATFORM = "/var/runtime"  # of AWS Lambda: its client and what that needs, without notes of them
_PLATFORM_MIXED = ("/var/task", "/opt/python")  # the same service's: a program, and its packages
_LIBRARY = re.compile(r"/lib(?:64)?/(?:python\d+\.zip|python\d+(?:\.\d+)?t?(?:/lib-dynload)?)\Z")
_FROZEN_LIBRARY = re.compile(r"/(?:base_library\.zip|lib-dynload)\Z")
_NOTES = ".dist-info"
_NO_PACKAGES = frozenset({"", ".", "..", "bin", "__pycache__"})
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_MOST_PATHS = 256
_MOST_ENTRIES = 20_000
_MOST_PACKAGES = 1000
_MOST_NAMES = 4000
_LARGEST_NOTE = 4 << 20
_LARGEST_DIRECTORY = 16 << 20
_ZIP_END, _ZIP_END_BYTES = b"PK\5\6", 22  # of the record that ends it, without its comment
_LONGEST_COMMENT = 1 << 16


def program(pid: int, facts: Iterable[ImportFacts]) -> Program:
    """Where the code of that process is, by what its interpreters say."""
    interpreters = list(facts)
    found: list[CodePath] = []
    with suppress(OSError):
        root = procfs.open_root(pid)
        try:
            notes = _Notes(root, procfs.link(pid, "cwd"))
            read = partial(_all_paths, interpreters, notes)
            try:
                found = file_rights.reading(file_rights.of(pid), read)
            except OSError:  # its user's rights cannot be taken
                found = _all_paths(interpreters, None)
        finally:
            os.close(root)
    argv0 = next((one.argv0 for one in interpreters if one.argv0), None)
    return Program(tuple({path.path: path for path in found}.values()), argv0)


def _all_paths(interpreters: Sequence[ImportFacts], notes: _Notes | None) -> list[CodePath]:
    return [path for one in interpreters for path in _paths(one, notes)]


def _paths(told: ImportFacts, notes: _Notes | None) -> Iterator[CodePath]:
    library = None if told.frozen else told.library
    if library:
        yield CodePath(library.rstrip("/"), "library")
    if told.frozen:
        yield CodePath("", "mixed", _installed(told.bundle, notes)[1] if told.bundle else ())
    for path in list(dict.fromkeys(p.rstrip("/") for p in told.path))[:_MOST_PATHS]:
        kind = _kind(path, told)
        if not path or path == library:
            continue
        if kind == "program":
            packed, installed = _installed(path, notes)
            mixed = packed or installed or told.frozen or path.startswith(_PLATFORM_MIXED)
            yield CodePath(path, "mixed" if mixed else "program", installed)
        else:
            yield CodePath(path, kind)


def _installed(path: str, notes: _Notes | None) -> tuple[bool, tuple[str, ...]]:
    return (False, ()) if notes is None else notes.installed(path)


def _kind(path: str, told: ImportFacts) -> CodePathKind:
    """What lies there by its name; a program where that tells nothing else."""
    if _PACKAGES.search(path) or path == _PLATFORM:
        return "packages"
    own = path.startswith(tuple(f"{prefix.rstrip('/')}/" for prefix in told.prefixes if prefix))
    if own and (_FROZEN_LIBRARY if told.frozen else _LIBRARY).search(path):
        return "library"
    return "program"


class _Notes:
    """What installers have noted in the folders and zip files of a target's root."""

    def __init__(self, root: int, cwd: str) -> None:
        self._root = root
        self._cwd = cwd

    def installed(self, path: str) -> tuple[bool, tuple[str, ...]]:
        """Whether that is, or is in, a zip file; and the names that an installer has put there."""
        place, inside = os.path.normpath(os.path.join(self._cwd, path)), ""
        with suppress(OSError):
            while True:
                try:
                    fd = calls.openat2_in_root(self._root, place, _READ)
                    break
                except NotADirectoryError:  # it goes on inside of a file
                    place, _, last = place.rpartition("/")
                    inside = f"{last}/{inside}"
            mode = os.fstat(fd).st_mode
            if stat.S_ISREG(mode):
                with open(fd, "rb") as file:
                    return _in_zip(file, inside)
            try:
                return False, self._in_folder(fd, place) if stat.S_ISDIR(mode) else ()
            finally:
                os.close(fd)
        return False, ()

    def _in_folder(self, fd: int, place: str) -> tuple[str, ...]:
        with os.scandir(fd) as entries:
            first = (entry.name for entry in islice(entries, _MOST_ENTRIES))
            notes = sorted(name for name in first if name.endswith(_NOTES))
        found: set[str] = set()
        for name in notes[:_MOST_PACKAGES]:
            with suppress(OSError):
                note = calls.openat2_in_root(self._root, f"{place}/{name}/RECORD", _READ)
                with open(note, "rb") as file:
                    found |= _names(file)
        return _most(found)


def _in_zip(file: IO[bytes], inside: str) -> tuple[bool, tuple[str, ...]]:
    if not _is_small_zip(file):
        return False, ()
    found: set[str] = set()
    try:
        with zipfile.ZipFile(file) as archive:
            for name in archive.namelist():
                folder, _, last = name.removeprefix(inside).rpartition("/")
                noted = folder.endswith(_NOTES) and "/" not in folder and last == "RECORD"
                if noted and name.startswith(inside) and len(found) < _MOST_NAMES:
                    with archive.open(name) as note:
                        found |= _names(note)
    except Exception:  # noqa: BLE001  (what a zip file of the target's breaks has no bounds)
        return True, ()
    return True, _most(found)


def _is_small_zip(file: IO[bytes]) -> bool:
    """Whether it ends as a zip file does, with a list of files that can be read at once."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _ZIP_END_BYTES - _LONGEST_COMMENT))
    end = file.read()
    at = end.rfind(_ZIP_END)
    if at < 0 or at + _ZIP_END_BYTES > len(end):
        return False
    return int.from_bytes(end[at + 12 : at + 16], "little") <= _LARGEST_DIRECTORY


def _names(note: IO[bytes]) -> set[str]:
    """The first parts of the paths in a RECORD: its package's folders and modules."""
    found = set()
    for line in note.read(_LARGEST_NOTE).decode("utf-8", "replace").splitlines():
        path = line.split(",", 1)[0].strip('"')
        top, slash, _ = path.partition("/")
        is_folder = slash and not top.endswith(_NOTES) and top not in _NO_PACKAGES
        if is_folder or top.endswith(".py"):
            found.add(top)
    return found


def _most(names: set[str]) -> tuple[str, ...]:
    return tuple(sorted(names)[:_MOST_NAMES])
