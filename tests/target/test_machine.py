"""waitspy.target.machine: every check runs here; the judgement of system calls from their errors."""

from __future__ import annotations

import errno
import os

import pytest

from waitspy.target import machine


def test_every_check_gives_one_line_and_a_remedy_where_it_fails() -> None:
    checks = machine.examine_machine()
    names = [check.name for check in checks]
    assert len(names) == len(set(names))
    assert {"system", "user", "yama", "seccomp", "hidepid", "pidfd_getfd", "schedstat"} <= {*names}
    for check in checks:
        assert check.found
        assert "\n" not in check.found
        assert check.remedy or check.status not in {"warn", "fail"}


def failing(code: int) -> machine.Check:
    def call() -> None:
        raise OSError(code, os.strerror(code))

    return machine._system_call("the_call", call, "what is lost", "a newer kernel")


@pytest.mark.parametrize(
    ("code", "status", "remedy"),
    [
        (errno.ENOSYS, "fail", "a newer kernel"),
        (errno.EPERM, "fail", "SYS_PTRACE"),
        (errno.EACCES, "fail", "SYS_PTRACE"),
        (errno.EIO, "unknown", None),
    ],
)
def test_the_error_of_a_system_call_decides(code: int, status: str, remedy: str | None) -> None:
    check = failing(code)
    assert check.status == status
    assert "what is lost" in check.found
    assert remedy is None or remedy in (check.remedy or "")


def test_a_system_call_that_works_is_ok() -> None:
    assert machine._system_call("x", lambda: 0, "lost", "newer") == machine.Check(
        "x", "ok", "works"
    )


def test_a_check_that_may_not_look_is_unknown() -> None:
    def check() -> machine.Check:
        raise PermissionError(errno.EACCES, "no\nway")

    found = machine.safely("x", check)
    assert found.status == "unknown"
    assert "\n" not in found.found
