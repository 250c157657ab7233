"""``record -- COMMAND``: the command runs as it would without waitspy, whatever happens."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psutil
import pytest

from tests.live.running import WAITSPY, stop_tree
from tests.live.session import (
    environment,
    finished,
    load,
    losses,
    meta,
    nothing_left_behind,
    run,
    running_target,
    sampled,
    session,
)
from tests.live.started import wait_for

pytestmark = pytest.mark.ptrace

SLEEPER = "import time; print('ready', flush=True); time.sleep(60)"


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Iterator[None]:
    with nothing_left_behind():
        yield


def python(script: str, *args: str) -> tuple[str, ...]:
    return "--", sys.executable, "-c", script, *args


def ended(pid: int) -> bool:
    """Gone, or a zombie that its new parent has not collected yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_the_streams_pass_through_unchanged(tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    done = subprocess.run(
        [*WAITSPY, "record", "-o", "rec", "--", "sh", "-c", "cat; echo 'to stderr' >&2"],
        cwd=tmp_path, env=environment(), input=data, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stdout.startswith(data)
    assert b"recording: rec" in done.stdout[len(data) :]
    assert done.stderr == b"to stderr\n"


@pytest.mark.parametrize(
    ("script", "code"),
    [("true", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -SEGV $$", 139)],
)
def test_the_exit_code_is_the_commands(tmp_path: Path, script: str, code: int) -> None:
    got, _, err = run(tmp_path, "record", "-o", "rec", "--", "sh", "-c", script)
    assert (got, err) == (code, "")
    assert load(tmp_path / "rec").losses == ()


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (("no-such-command",), "No such file"),
        (("/",), "Permission denied"),
        (("./no-format",), "Exec format error"),
    ],
)
def test_a_command_that_cannot_be_started(tmp_path: Path, argv: tuple[str, ...], why: str) -> None:
    (tmp_path / "no-format").write_bytes(b"\x7fELF nothing")
    (tmp_path / "no-format").chmod(0o755)
    code, out, err = run(tmp_path, "record", "-o", "rec", "--", *argv)
    assert (code, out) == (1, "")
    what, hint = err.splitlines()
    assert argv[0] in what
    assert why in what
    assert hint.startswith("  try: ")
    assert not (tmp_path / "rec").exists()


def test_a_command_with_the_signals_and_files_it_would_have_without(tmp_path: Path) -> None:
    script = (
        "import os, resource, signal\n"
        "rows = open('/proc/self/status').read().splitlines()\n"
        "print([r for r in rows if r[:3] == 'Sig'], resource.getrlimit(resource.RLIMIT_NOFILE))\n"
        "print(sorted(os.listdir('/proc/self/fd')), os.getppid() == os.getpgrp())\n"
    )
    plain = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, stdin=subprocess.DEVNULL,
        check=True,
    )  # fmt: skip
    _, out, _ = run(tmp_path, "record", "-o", "rec", *python(script), stdin=subprocess.DEVNULL)
    assert out.splitlines()[0] == plain.stdout.splitlines()[0]
    assert out.splitlines()[1].rpartition(" ")[0] == plain.stdout.splitlines()[1].rpartition(" ")[0]


def test_a_very_young_python_is_attached(tmp_path: Path) -> None:
    code, _, err = run(tmp_path, "record", "-o", "rec", *python("import time; time.sleep(1)"))
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    (worker,) = recording.workers
    assert worker.exit == "exited with code 0"
    assert worker.segments
    assert worker.segments[0].threads
    assert recording.losses == ()


@pytest.mark.parametrize("line", ['"$0" -c "$1"; exit 5', '"$0" -c "$1" & wait $!; exit 5'])
def test_python_below_a_command_that_is_not_python(tmp_path: Path, line: str) -> None:
    script = "import time; time.sleep(1)"
    argv = ("sh", "-c", line, sys.executable, script)
    code, _, err = run(tmp_path, "record", "-o", "rec", "--", *argv)
    assert (code, err) == (5, "")
    recording = load(tmp_path / "rec")
    (worker,) = recording.workers
    assert worker.worker.python
    assert worker.segments
    assert recording.losses == ()


# --- the end ---------------------------------------------------------------------------------------


def test_after_the_duration_the_command_and_what_it_runs_is_ended(tmp_path: Path) -> None:
    argv = ("sh", "-c", '"$0" -c "$1"; echo ne""ver', sys.executable, SLEEPER)
    code, out, err = run(tmp_path, "record", "-d", "1", "-o", "rec", "--", *argv)
    assert (code, err) == (0, "")
    assert "never" not in out
    recording = load(tmp_path / "rec")
    assert recording.info.duration_s >= 1
    assert ended(recording.workers[-1].worker.pid)


def test_a_command_may_take_its_time_to_end(tmp_path: Path) -> None:
    script = (
        "import signal, sys, time\n"
        "def bye(*_): time.sleep(0.5); print('goodbye', flush=True); sys.exit(3)\n"
        "signal.signal(signal.SIGTERM, bye)\n"
        "print('ready', flush=True); time.sleep(60)\n"
    )
    code, out, err = run(tmp_path, "record", "-d", "1", "-o", "rec", *python(script))
    assert (code, err) == (0, "")  # it ended because we asked it to
    assert "goodbye" in out


COUNTING = """
import signal, sys, time
got = []
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
    signal.signal(number, lambda number, _: (got.append(number), print('got', number, flush=True)))
print('ready', flush=True)
while not (signal.SIGINT in got or signal.SIGTERM in got):
    time.sleep(0.01)
time.sleep(0.4)  # for what comes twice
print('all', *map(int, got), flush=True)
sys.exit(40 + len(got))
"""


@pytest.mark.parametrize("last", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_the_command(tmp_path: Path, last: signal.Signals) -> None:
    with session(tmp_path, "record", "-o", "rec", *python(COUNTING)) as waitspy:
        wait_for(waitspy, "ready")
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR1, last):
            waitspy.send_signal(number)
            wait_for(waitspy, f"got {int(number)}")
        code, out, err = finished(waitspy)
    assert f"all 10 12 10 {int(last)}\n" in out
    assert (code, err) == (44, "")
    recording = load(tmp_path / "rec")
    assert recording.losses == ()
    assert recording.workers[0].segments


def test_signals_that_were_ignored_stay_ignored(tmp_path: Path) -> None:
    """As under nohup: the hangup is neither waitspy's end nor the command's."""
    argv = [
        "nohup",
        *WAITSPY,
        "record",
        "-o",
        "rec",
        *python(COUNTING.replace(", signal.SIGHUP", "")),
    ]
    process = subprocess.Popen(
        argv, cwd=tmp_path, env=environment(), text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    wait_for(process, "ready")
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGUSR1)
    wait_for(process, "got 10")
    process.send_signal(signal.SIGTERM)
    code, out, _ = finished(process)
    assert "all 10 15\n" in out
    assert code == 42


def test_a_second_interrupt_ends_a_command_that_does_not_want_to(tmp_path: Path) -> None:
    script = (
        "import signal, time\n"
        "signal.signal(signal.SIGINT, lambda *_: print('no', flush=True))\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(1)\n"
    )
    with session(tmp_path, "record", "-o", "rec", *python(script)) as waitspy:
        wait_for(waitspy, "ready")
        sampled(tmp_path / "rec")
        waitspy.send_signal(signal.SIGINT)
        wait_for(waitspy, "no")
        time.sleep(0.2)  # two requests, not one that was sent twice
        waitspy.send_signal(signal.SIGINT)
        code, _, err = finished(waitspy)
    assert (code, err) == (0, "")
    assert load(tmp_path / "rec").workers[0].states


def test_a_command_outlives_a_killed_waitspy_and_goes_on(tmp_path: Path) -> None:
    argv = ("--", sys.executable, str(Path(__file__).parent / "targets" / "alternating.py"))
    with session(tmp_path, "record", "-o", "rec", *argv) as waitspy:
        wait_for(waitspy, "ready")
        sampled(tmp_path / "rec")
        pid = meta(tmp_path / "rec")["workers"][0]["pid"]
        waitspy.kill()
        waitspy.wait()
        command = psutil.Process(pid)
        try:
            wait_for(waitspy, "", times=5)  # it goes on to write to the same pipe
            assert command.status() in {psutil.STATUS_SLEEPING, psutil.STATUS_RUNNING}
        finally:
            command.kill()


# --- on a terminal ---------------------------------------------------------------------------------


class Terminal:
    """A waitspy in the foreground of its own terminal."""

    def __init__(self, cwd: Path, *args: str) -> None:
        self.said = b""
        self.running = True
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.chdir(cwd)
            os.execve(WAITSPY[0], [*WAITSPY, *args], environment(TERM="xterm"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failed: object) -> None:
        if self.running:
            stop_tree(self.pid)
            self.finish()

    def wait_for(self, text: bytes) -> None:
        deadline_s = time.monotonic() + 30
        while text not in self.said:
            assert time.monotonic() < deadline_s, self.said
            self._read()

    def finish(self) -> int:
        while self._read():
            pass
        _, status = os.waitpid(self.pid, 0)
        self.running = False
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)

    def _read(self) -> bool:
        if not select.select([self.fd], [], [], 30)[0]:
            raise TimeoutError(self.said)
        try:
            part = os.read(self.fd, 65536)
        except OSError:  # EIO: everybody has closed it
            return False
        self.said += part
        return bool(part)

    def press(self, key: bytes) -> None:
        os.write(self.fd, key)


CTRL_C, CTRL_BACKSLASH = b"\x03", b"\x1c"


@pytest.mark.parametrize("group", ["", "import os; os.setpgid(0, 0)\n"], ids=["same", "own"])
def test_ctrl_c_reaches_the_command_exactly_once(tmp_path: Path, group: str) -> None:
    with Terminal(tmp_path, "record", "-o", "rec", *python(group + COUNTING)) as terminal:
        terminal.wait_for(b"ready")
        terminal.press(CTRL_C)
        code = terminal.finish()
    assert b"all 2\r\n" in terminal.said
    assert code == 41
    assert b"recording: rec" in terminal.said
    assert load(tmp_path / "rec").losses == ()


def test_the_terminal_is_the_commands(tmp_path: Path) -> None:
    """No progress is drawn over what the command writes, and it can read from the keyboard."""
    script = "import time; print('ready', flush=True); print('read', input()); time.sleep(0.6)"
    with Terminal(tmp_path, "record", "-o", "rec", *python(script)) as terminal:
        terminal.wait_for(b"ready")
        terminal.press(b"hello\n")
        assert terminal.finish() == 0
    before, _, after = terminal.said.partition(b"read hello\r\n")
    # The echo can come before the end of the line that was just written.
    assert sorted(before.replace(b"\r\n", b"")) == sorted(b"readyhello")
    assert b"\x1b[?25l" not in terminal.said  # the cursor was never hidden
    assert b"recording: rec" in after


@pytest.mark.parametrize("key", [CTRL_C, CTRL_BACKSLASH], ids=["Ctrl-C", "Ctrl-backslash"])
def test_a_key_ends_the_recording_of_a_target(tmp_path: Path, key: bytes) -> None:
    with running_target() as target:
        args = ("record", str(target.pid), "-d", "50", "-o", "rec")
        with Terminal(tmp_path, *args) as terminal:
            terminal.wait_for(b"1 worker")
            sampled(tmp_path / "rec")
            terminal.press(key)
            assert terminal.finish() == 0
    assert b"recording: rec" in terminal.said
    recording = load(tmp_path / "rec")
    assert losses(recording) == []
    assert recording.info.duration_s < 40


def test_progress_is_drawn_on_a_terminal_only(tmp_path: Path) -> None:
    with running_target() as target:
        args = ("record", str(target.pid), "-d", "0.6")
        with Terminal(tmp_path, *args, "-o", "seen") as terminal:
            assert terminal.finish() == 0
        _, out, err = run(tmp_path, *args, "-o", "unseen")
    assert b"1 worker," in terminal.said
    assert terminal.said.count(b"\x1b[?25l") == terminal.said.count(b"\x1b[?25h") == 1
    assert err == ""
    assert "\x1b" not in out
