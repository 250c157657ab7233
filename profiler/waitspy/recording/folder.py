"""The recording folder: written while it happens, loaded whole, readable however it was cut short.

Layout (schema ``waitspy.recording/2``)::

    meta.json                    everything but the streams; rewritten whole at every change;
                                 ``"end": true`` only when the capture ended in order
    stacks/<pid>-<n>.trace.json  py-spy's output, one file per segment; or our own sampler's,
    stacks/<pid>-<n>.stacks.jsonl  in lines as those of the oracles (see ``stacks``)
    stacks/<pid>.dumps.jsonl     single dumps, one per line
    oracles/<name>/<pid>.jsonl   first line {"type":"start", "columns": …}, then one row per
                                 change (see ``rows``), last line {"type":"end", "why": …}
    sources.json                 source lines of the frames seen, by file and line; no lines of
                                 a file that has changed since the process began

Unknown is a missing key, or null in a row, never zero. Times are CLOCK_MONOTONIC nanoseconds.

It tells command lines, addresses and source: only its owner may read it, and under sudo that is in
the end who has called sudo. It is written through a descriptor of the folder, so that a link put in
its place, or in the place of a folder above it, leads nowhere.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

from waitspy.errors import RecordingError
from waitspy.recording.dumps import DumpRow
from waitspy.recording.rows import Row, RowType, columns, written

SCHEMA = "waitspy.recording/2"
_RESERVE_BYTES = 256 * 1024
_PRIVATE = 0o700
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BUFFER_BYTES = 16 * 1024  # most workers have fewer rows between two flushes


def create(path: str) -> str:
    """Makes the empty folder of a new recording, and gives its absolute path.

    Raises:
        RecordingError: it exists already or cannot be made.
    """
    try:
        return _made(path)
    except FileExistsError:
        raise RecordingError(
            f"{path} exists already", "choose another folder with -o, or remove it first"
        ) from None


def create_first(paths: Iterable[str]) -> str:
    """Makes the first of these folders that does not exist yet, and gives it as it was named.

    Raises:
        RecordingError: it cannot be made.
    """
    for path in paths:
        with contextlib.suppress(FileExistsError):
            _made(path)
            return path
    raise ValueError("no name is free")


def _made(path: str) -> str:
    new: list[str] = []
    try:
        whole = os.path.abspath(path)
        above = os.path.dirname(whole)
        if not os.path.isdir(above):
            new = _missing(above)
            os.makedirs(above)
    except OSError as error:
        _remove(new)
        raise _cannot_create(path, error) from None
    try:
        os.mkdir(whole, _PRIVATE)
    except FileExistsError:
        raise
    except OSError as error:
        _remove(new)
        raise _cannot_create(path, error) from None
    return whole


def _missing(folder: str) -> list[str]:
    """The folders that have to be made so that this one is there, it first."""
    missing = []
    while not os.path.lexists(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    return missing


def _remove(folders: Iterable[str]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def _cannot_create(path: str, error: OSError) -> RecordingError:
    return RecordingError(
        f"cannot create the recording {path}: {error.strerror}",
        "choose a folder that this user may write with -o",
    )


def remedy(error: OSError) -> str:
    """What to do so that it can be written another time."""
    limits = {
        errno.ENOSPC: "free some space on the disk",
        errno.EDQUOT: "free some space, or raise this user's quota",
        errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
        errno.EMFILE: "raise the limit on open files (ulimit -n)",
    }
    known = limits.get(error.errno or 0)
    return known or "use a folder with -o that stays there and stays writable"


def discard(path: str) -> None:
    """Removes a recording in which nothing was kept."""
    shutil.rmtree(path, ignore_errors=True)


class Writer:
    """Writes a recording into the folder made by ``create``, or makes it.

    Every file in it is valid at every moment. ``path`` leads to it for this process, and for
    children to which ``descriptor`` is passed on, until ``release``.

    Raises:
        RecordingError: from the constructor, when the folder is not empty or cannot be made.
        OSError: from every method but ``close``, when the disk is full or fails.
    """

    def __init__(self, path: str, meta: Mapping[str, Any]) -> None:
        self.descriptor = _opened(os.path.abspath(path) if _empty(path) else create(path))
        self.path = f"/proc/self/fd/{self.descriptor}"
        self.meta: dict[str, Any] = {"schema": SCHEMA, **meta}
        self._streams: dict[str, BinaryIO] = {}
        self._written = ""
        try:
            os.mkdir(self.file("stacks"), _PRIVATE)
            self.save_meta(durable=True)
            # Room for the last meta.json when the disk fills up meanwhile.
            with _created(self.file("reserve"), "wb") as f:
                f.write(bytes(_RESERVE_BYTES))
        except OSError as error:
            raise RecordingError(
                f"cannot write to {path}: {error.strerror}", "free some space or use -o"
            ) from None

    def place(self, name: str) -> str:
        """Where it is by now, in the words of ``name`` if that still leads there."""
        with contextlib.suppress(OSError):
            if os.path.samestat(os.lstat(name), os.fstat(self.descriptor)):
                return name
        return os.readlink(self.path)

    def file(self, *parts: str) -> str:
        """The path of a file inside the recording."""
        return os.path.join(self.path, *parts)

    def start_stream(self, oracle: str, pid: int, rows: RowType) -> None:
        """Opens an oracle's stream of such rows for a worker and writes its first line."""
        folder = self.file("oracles", oracle)
        for made in (self.file("oracles"), folder):
            with contextlib.suppress(FileExistsError):
                os.mkdir(made, _PRIVATE)
        self._start(_stream(oracle, pid), {"oracle": oracle, "pid": pid}, rows)

    def append(self, oracle: str, pid: int, rows: Iterable[Row]) -> None:
        """Adds rows to a stream; they are on disk after the next flush."""
        self._streams[_stream(oracle, pid)].write(written(rows))

    def end_stream(self, oracle: str, pid: int, why: str) -> None:
        """Writes a stream's last line and closes it; unknown streams are ignored."""
        self._end(_stream(oracle, pid), why)

    def start_stacks(self, file: str, pid: int, rows: RowType) -> None:
        """Opens a sampler's stream in ``stacks``, which is another for each segment."""
        self._start(f"stacks/{file}", {"pid": pid}, rows)

    def append_stacks(self, file: str, rows: Iterable[Row]) -> int:
        """Adds rows to it, as ``append`` does; gives how many bytes that were."""
        return self._streams[f"stacks/{file}"].write(written(rows))

    def end_stacks(self, file: str, why: str) -> None:
        """Ends it, as ``end_stream`` does."""
        self._end(f"stacks/{file}", why)

    def _start(self, name: str, about: Mapping[str, Any], rows: RowType) -> None:
        stream = self._streams[name] = _created(self.file(name), "ab", _BUFFER_BYTES)
        stream.write(written([{"type": "start", **about, "columns": columns(rows)}]))

    def _end(self, name: str, why: str) -> None:
        stream = self._streams.pop(name, None)
        if stream is not None:
            with stream:
                stream.write(written([{"type": "end", "why": why}]))

    def append_dump(self, pid: int, dump: DumpRow) -> None:
        """Adds one dump of a worker's stacks."""
        with _created(self.file("stacks", f"{pid}.dumps.jsonl"), "ab") as f:
            f.write(written([dump]))

    def flush(self) -> None:
        """Hands everything buffered to the kernel, so that a killed capture keeps it."""
        for stream in self._streams.values():
            stream.flush()

    def save_meta(self, *, durable: bool = False) -> None:
        """Writes meta.json when it changed; the old one stays until the new one is whole.

        ``durable`` waits until it would survive a loss of power.
        """
        text = json.dumps(self.meta)
        if text != self._written:
            _save(self.file("meta.json"), text, durable=durable)
            self._written = text

    def save_file(self, name: str, text: str) -> None:
        """Writes a whole file of the recording at once."""
        _save(self.file(name), text)

    def close(self) -> None:
        """Ends every stream and writes the last meta.json.

        A full disk loses only the rest: without its last meta.json, the recording loads as one
        that was cut short.
        """
        with contextlib.suppress(OSError):
            os.unlink(self.file("reserve"))
        for name in list(self._streams):
            with contextlib.suppress(OSError):
                self._end(name, "the capture ended")
        self._streams.clear()
        self.meta["end"] = True
        with contextlib.suppress(OSError):
            self.save_meta(durable=True)

    def release(self) -> None:
        """Lets go of the folder, with all that was added to it since, for its owner."""
        with contextlib.suppress(OSError, ValueError, OverflowError):  # of what sudo left
            _hand_over(self.descriptor)
        os.close(self.descriptor)


def _stream(oracle: str, pid: int) -> str:
    return f"oracles/{oracle}/{pid}.jsonl"


def save_sources(path: str, sources: Mapping[str, Mapping[int, str]]) -> None:
    """Adds the source lines to a finished recording; without space for them it stays without."""
    with contextlib.suppress(OSError):
        _save(os.path.join(path, "sources.json"), json.dumps(sources))


def _opened(path: str) -> int:
    """A descriptor of an empty folder that is this user's.

    Raises:
        RecordingError: it is something else by now.
    """
    descriptor = None
    with contextlib.suppress(OSError):
        descriptor = os.open(path, _FOLDER)
        if os.fstat(descriptor).st_uid == os.geteuid() and not os.listdir(descriptor):
            os.fchmod(descriptor, _PRIVATE)
            return descriptor
    if descriptor is not None:
        os.close(descriptor)
    raise RecordingError(
        f"{path} is no empty folder of this user", "choose another folder with -o"
    ) from None


def _created(name: str, mode: str, buffering: int = -1) -> Any:
    return open(name, mode, buffering, opener=_opener)


def _opener(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _hand_over(descriptor: int) -> None:
    """Under sudo, makes all of a finished recording its caller's; last the folder itself."""
    uid, gid = (os.environ.get(name, "") for name in ("SUDO_UID", "SUDO_GID"))
    if os.geteuid() != 0 or not (uid.isdecimal() and gid.isdecimal()):
        return
    owner = int(uid), int(gid)
    for _, folders, files, at in os.fwalk(".", topdown=False, dir_fd=descriptor):
        for name in (*folders, *files):
            os.chown(name, *owner, dir_fd=at, follow_symlinks=False)
    os.fchown(descriptor, *owner)


def _empty(path: str) -> bool:
    try:
        return not os.listdir(path)
    except OSError:
        return False


def _save(name: str, text: str, *, durable: bool = False) -> None:
    partial = name + ".partial"
    try:
        with _created(partial, "wb") as f:
            f.write(text.encode())
            if durable:
                f.flush()
                os.fsync(f.fileno())
        os.replace(partial, name)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise
