"""System call numbers, checked against the kernel's headers where they are installed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from waitspy.model import syscalls

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (230, "clock_nanosleep"),
        (202, "futex"),
        (232, "epoll_wait"),
        (281, "epoll_pwait"),
        (7, "poll"),
        (23, "select"),
        (0, "read"),
        (45, "recvfrom"),
        (42, "connect"),
        (288, "accept4"),
        (61, "wait4"),
        (74, "fsync"),
    ],
)
def test_x86_64(number: int, name: str) -> None:
    assert syscalls.name(number, "x86_64") == name


@pytest.mark.parametrize(
    ("number", "name"), [(115, "clock_nanosleep"), (98, "futex"), (22, "epoll_pwait"), (63, "read")]
)
def test_aarch64(number: int, name: str) -> None:
    assert syscalls.name(number, "aarch64") == name


def test_what_is_not_known_has_no_name() -> None:
    assert syscalls.name(None, "x86_64") is None
    assert syscalls.name(-1, "x86_64") is None
    assert syscalls.name(99_999, "x86_64") is None
    assert syscalls.name(202, "riscv64") is None


def test_epoll_waits_are_those_of_the_machine() -> None:
    assert syscalls.epoll_waits("x86_64") == {232, 281, 441}
    assert syscalls.epoll_waits("aarch64") == {22, 441}
    assert syscalls.epoll_waits("riscv64") == frozenset()


@pytest.mark.may_skip
@pytest.mark.parametrize("arch", syscalls.TABLES)
def test_numbers_are_those_of_the_kernels_headers(arch: str) -> None:
    header = HEADERS[arch]
    if not header.exists():
        pytest.skip(f"{header} is not installed (Debian: linux-libc-dev)")
    rows = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text("ascii"))
    known = {int(number): name for name, number in rows}
    mine = syscalls.TABLES[arch]
    assert {n: known[n] for n in mine if n in known} == {n: mine[n] for n in mine if n in known}
    assert len(mine.keys() & known.keys()) >= len(mine) - 2  # headers may be a little older
