"""System calls on this very process: what they give, and what they raise."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from waitspy.kernel import calls

ME = os.getpid()
NOBODY = 0x7FFFFFFF
UNMAPPED = 1


def test_memory_is_read_from_many_places_up_to_the_first_that_is_not_mapped() -> None:
    buffer = bytearray(b"x" * 20)
    places = [id(None), id(True), UNMAPPED]
    assert calls.process_vm_readv(ME, places[:2], [8, 8], buffer, 2) == 16
    assert buffer[:2] + buffer[18:] == b"xxxx"
    assert buffer[2:10] != b"x" * 8
    assert calls.process_vm_readv(ME, places, [4] * 3, bytearray(12)) == 8
    assert calls.process_vm_readv(ME, [UNMAPPED], [8], bytearray(8)) == 0


def test_a_duplicate_is_the_same_file_and_is_not_inherited() -> None:
    reader, writer = os.pipe()
    me = os.pidfd_open(ME)
    copy = calls.pidfd_getfd(me, reader)
    assert not os.get_inheritable(copy)
    os.write(writer, b"x")
    assert os.read(copy, 1) == b"x"
    assert calls.kcmp_file(ME, reader, ME, copy) == 0
    assert calls.kcmp_file(ME, reader, ME, writer) != 0
    for fd in (reader, writer, me, copy):
        os.close(fd)


def test_a_link_does_not_lead_out_of_the_root(tmp_path: Path) -> None:
    (tmp_path / "inside").write_text("ours")
    (tmp_path / "link").symlink_to("/inside")
    (tmp_path / "out").symlink_to("/etc/passwd")
    root = os.open(tmp_path, os.O_PATH)
    with open(calls.openat2_in_root(root, "/link", os.O_RDONLY)) as file:
        assert file.read() == "ours"
    with pytest.raises(FileNotFoundError):
        calls.openat2_in_root(root, "/out", os.O_RDONLY)
    os.close(root)


@pytest.mark.parametrize(
    ("call", "number"),
    [
        (lambda: calls.process_vm_readv(NOBODY, [UNMAPPED], [1], bytearray(1)), errno.ESRCH),
        (lambda: calls.pidfd_getfd(-1, 0), errno.EBADF),
        (lambda: calls.kcmp_file(NOBODY, 0, ME, 0), errno.ESRCH),
        (lambda: calls.openat2_in_root(-1, "x", os.O_RDONLY), errno.EBADF),
        (lambda: calls.enter_network(-1), errno.EBADF),
    ],
)
def test_a_call_that_fails_raises_what_the_kernel_says(
    call: Callable[[], object], number: int
) -> None:
    with pytest.raises(OSError, match=os.strerror(number)) as raised:
        call()
    assert raised.value.errno == number


def test_an_unknown_machine_has_no_kcmp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_KCMP", None)
    with pytest.raises(OSError, match="not known") as raised:
        calls.kcmp_file(ME, 0, ME, 0)
    assert raised.value.errno == errno.ENOSYS
