"""waitspy.kernel.procfs: what /proc says, from literal bytes and from this very process."""

from __future__ import annotations

import os
import threading

import pytest

from waitspy.kernel import procfs

PLAIN = (
    b"4242 (python3) S 1 4242 4242 0 -1 4194560 1934 0 0 0 12 3 0 0 20 0 7 0 196709 "
    b"28045312 3500 18446744073709551615 94370234 94370999 140722 0 0 0 0 16781312 2 0 0 0 17 1 "
    b"0 0 0 0 0 0 0 0 0 0 0 0 0\n"
)
STATUS = (
    b"Name:\tpython3\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t4242\nPid:\t4243\nPPid:\t1\n"
    b"TracerPid:\t0\nUid:\t1000\t1001\t1002\t1003\nGid:\t5\t5\t5\t5\nNSpid:\t4242\t17\t1\n"
    b"Threads:\t9\nCapEff:\t0000000000080000\nNoNewPrivs:\t0\nSeccomp:\t2\n"
)


def test_a_plain_stat_line_is_read_field_by_field() -> None:
    assert procfs.parse_stat(PLAIN) == procfs.Stat(
        pid=4242,
        name="python3",
        state="S",
        ppid=1,
        kernel_thread=False,
        threads=7,
        start_ticks=196709,
        image=(94370234, 140722),
    )


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"a b", "a b"),
        (b"a) S 99 (b", "a) S 99 (b"),
        (b"(sd-pam)", "(sd-pam)"),
        (b"evil\nname", "evil\nname"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"", ""),
    ],
)
def test_hostile_process_names_do_not_shift_the_fields(raw: bytes, name: str) -> None:
    stat = procfs.parse_stat(PLAIN.replace(b"python3", raw))
    assert (stat.name, stat.ppid, stat.start_ticks) == (name, 1, 196709)


def test_kernel_threads_and_zombies_are_told_apart() -> None:
    kernel = procfs.parse_stat(PLAIN.replace(b"4194560", b"2129984"))
    assert kernel.kernel_thread
    assert not kernel.zombie
    zombie = procfs.parse_stat(PLAIN.replace(b") S ", b") Z "))
    assert zombie.zombie
    assert not zombie.kernel_thread


def test_the_image_is_unknown_when_the_kernel_hides_the_addresses() -> None:
    assert (
        procfs.parse_stat(PLAIN.replace(b"94370234", b"1").replace(b"140722", b"0")).image is None
    )


def test_a_program_that_is_being_loaded_has_no_image_yet() -> None:
    loaded = PLAIN.replace(b"94370234", b"0")
    assert (procfs.parse_stat(loaded).image, procfs.parse_stat(loaded).in_exec) == (None, True)
    hidden = PLAIN.replace(b"94370234", b"1").replace(b"140722", b"0")
    kernel = loaded.replace(b"4194560", b"2129984")
    for other in (PLAIN, hidden, kernel, loaded.replace(b") S ", b") Z ")):
        assert not procfs.parse_stat(other).in_exec


@pytest.mark.parametrize("raw", [b"", b"4242 (python3", b"4242 (python3) S 1 2 3", b"no stat"])
def test_an_incomplete_stat_line_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="not a line"):
        procfs.parse_stat(raw)


def test_status_gives_users_namespaced_pids_and_capabilities() -> None:
    status = procfs.parse_status(STATUS)
    assert status.tgid == 4242
    assert status.uids == (1000, 1001, 1002, 1003)
    assert status.pids == (4242, 17, 1)
    assert (status.threads, status.seccomp, status.tracer_pid) == (9, 2, 0)
    assert status.has_capability(procfs.CAP_SYS_PTRACE)
    assert not status.has_capability(procfs.CAP_SYS_PTRACE + 1)


def test_status_gives_the_peak_of_its_memory() -> None:
    assert procfs.parse_status(STATUS).peak_rss_bytes is None
    assert procfs.parse_status(STATUS + b"VmHWM:\t   12345 kB\n").peak_rss_bytes == 12345 * 1024


def test_status_of_an_old_kernel_leaves_unknown_what_it_does_not_say() -> None:
    lines = [line for line in STATUS.splitlines() if not line.startswith((b"NSpid", b"Seccomp"))]
    status = procfs.parse_status(b"\n".join(lines))
    assert status.pids == (4242,)
    assert status.seccomp is None


def test_status_without_users_is_refused() -> None:
    with pytest.raises(ValueError, match="Uid"):
        procfs.parse_status(STATUS.replace(b"Uid:", b"Xid:"))


@pytest.mark.parametrize(
    ("raw", "argv"),
    [
        (b"", ()),
        (b"\0\0\0", ()),
        (b"python\0-c\0pass\0", ("python", "-c", "pass")),
        (b"python\0\0x\0", ("python", "", "x")),
        (b"gunicorn: worker [app]\0\0\0\0\0", ("gunicorn: worker [app]",)),
        (b"title without end", ("title without end",)),
        (b"a\xffb\0<b>\n\x1b[31m\0", ("a\ufffdb", "<b>\n\x1b[31m")),
    ],
)
def test_command_lines(raw: bytes, argv: tuple[str, ...]) -> None:
    assert procfs.parse_cmdline(raw) == argv


def test_inodes_of_links() -> None:
    assert procfs.parse_namespace("net:[4026531833]") == 4026531833
    assert procfs.parse_namespace("/dev/null") is None
    assert procfs.parse_socket("socket:[77]") == 77
    assert procfs.parse_socket("pipe:[77]") is None


def test_shown_text_is_one_printable_line_of_bounded_length() -> None:
    assert procfs.shown("a\nb\x1b[31m\u202ec\ud800") == "a\ufffdb\ufffd[31m\ufffdc\ufffd"
    long = procfs.shown("x" * 10_000)
    assert len(long) == 80
    assert long.endswith("…")


def test_this_process_is_read() -> None:
    pid = os.getpid()
    stat, status = procfs.read_stat(pid), procfs.read_status(pid)
    assert (stat.pid, stat.ppid, status.tgid) == (pid, os.getppid(), pid)
    assert status.uids[:2] == (os.getuid(), os.geteuid())
    assert pid in procfs.pids()
    assert os.getppid() in procfs.ancestors(pid)
    assert threading.get_native_id() in procfs.threads(pid)
    assert procfs.owner(pid) == os.geteuid()
    reader, writer = os.pipe()
    try:
        assert procfs.fds(pid)[reader] == f"pipe:[{os.fstat(reader).st_ino}]"
    finally:
        os.close(reader)
        os.close(writer)
    assert procfs.namespace(pid, "net") == os.stat("/proc/self/ns/net").st_ino
    assert procfs.namespace(pid, "nonsense") is None


def test_what_is_gone_raises_or_is_left_out() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    for read in (procfs.read_stat, procfs.read_status, procfs.read_cmdline, procfs.fds):
        with pytest.raises(ProcessLookupError):
            read(child)
    for kind in procfs.NAMESPACES:
        with pytest.raises(ProcessLookupError):
            procfs.namespace(child, kind)
    assert procfs.stats([child, os.getpid()]).keys() == {os.getpid()}
    assert procfs.children(child) == ()
    assert procfs.ancestors(child) == ()


def test_threads_of_this_pid_namespace_are_known_by_the_same_ids() -> None:
    with_another = threading.Thread(target=(stop := threading.Event()).wait)
    with_another.start()
    try:
        tids = procfs.inner_tids(os.getpid())
        assert {os.getpid(), with_another.native_id} <= tids.keys()
        assert all(inner == outer for inner, outer in tids.items())
    finally:
        stop.set()
        with_another.join()


def test_how_far_a_time_namespace_is_off() -> None:
    told = b"monotonic      864000         5\nboottime       -1000         0\n"
    assert procfs.parse_timens_offsets(told) == 864_000_000_000_005
    assert procfs.parse_timens_offsets(b"monotonic  -2  500000000\n") == -1_500_000_000
    with pytest.raises(ValueError, match="no clock"):
        procfs.parse_timens_offsets(b"")
    assert procfs.monotonic_offset_ns(os.getpid()) >= 0
