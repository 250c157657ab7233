"""A pipe, a device, a folder or a socket lies in the place of a file of the recording.

Nothing is waited for and no device is read: without its main file it is one clear error, without
another one the rest is reported, with what was lost and why.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.reading import lost, refused, reported
from tests.faults.recording.changing import files, meta_file


def fifo(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        pytest.skip("may not make devices")


def folder(path: Path) -> None:
    path.mkdir()


def bound_socket(path: Path) -> None:
    before = os.getcwd()
    os.chdir(path.parent)  # its path may be too long for an address
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(before)


KINDS = [
    (fifo, "it is not a regular file"),
    (device, "it is not a regular file"),
    (folder, "it is not a regular file"),
    (bound_socket, "No such device or address"),
]


@pytest.mark.parametrize(("make", "why"), KINDS, ids=lambda kind: getattr(kind, "__name__", ""))
def test_it_is_said_and_the_rest_is_reported(
    rec: Path, make: Callable[[Path], None], why: str
) -> None:
    meta, *others = files(rec)
    for file in others:
        file.unlink()
        make(file)
    report = reported(rec)
    losses = lost(report)
    assert len(losses) == len(others), losses
    assert all(why in told for _, told in losses), losses
    assert report["findings"] == []
    meta.unlink()
    make(meta)
    refused(rec, str(meta_file(rec)), why, "it is damaged, or was not written by waitspy")
