"""The stage of the scenarios: servers start, are kept busy, and nothing of them stays."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.live.running import wait_until
from waitspy_scenarios.serving.latencies import Latencies, format_latencies, percentile
from waitspy_scenarios.serving.load import Load, get, keep_asking
from waitspy_scenarios.serving.needs import Needs

ROOT = Path(__file__).resolve().parents[2]

_PLAY = """
import sys
from waitspy_scenarios.serving.load import Load, get
from waitspy_scenarios.serving.processes import free_port
from waitspy_scenarios.serving.stage import make_parser, run

async def play(stage):
    port = free_port()
    upstream = await stage.slow_upstream(0.01)
    await stage.start("files", sys.executable, "-m", "http.server", "-b", "127.0.0.1", str(port), {more})
    await stage.load(
        Load("file", get(port, "/LICENSE"), clients=2, gap_s=0.01),
        Load("none", get(port, "/nowhere"), clients=1, gap_s=0.01),
        Load("upstream", get(upstream, "/"), clients=1, gap_s=0.01),
    )

sys.exit(run(play, make_parser("a story")))
"""


def start(*options: str, more: str = "port=port") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _PLAY.format(more=more), *options],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def server_of(process: subprocess.Popen[str]) -> int:
    """The pid of the server, once the load flows."""
    assert process.stderr is not None
    line = process.stderr.readline()
    assert f"pid {process.pid}: files=" in line, line
    return int(line.split("files=")[1].split(";")[0])


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_what_the_clients_saw_is_told_at_the_end() -> None:
    process = start("--seconds", "2")
    server = server_of(process)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert is_gone(server)
    head, *rows = [line.split() for line in out.splitlines()]
    assert head[:3] == ["answered", "failed", "waiting"]
    told = {row[0]: [int(cell) for cell in row[1:4]] for row in rows}
    assert told["file"][0] > 2
    assert told["file"][1] == 0
    assert told["none"][0] == 0 < told["none"][1]
    assert told["upstream"][0] > 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_servers_as_well(number: signal.Signals) -> None:
    process = start("--seconds", "60")
    server = server_of(process)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert is_gone(server)


def test_a_killed_scenario_takes_its_servers_with_it() -> None:
    process = start("--seconds", "60")
    server = server_of(process)
    process.kill()
    process.communicate(timeout=60)
    wait_until(lambda: is_gone(server), "the server lives")


def test_a_server_that_ends_is_told_with_its_last_words() -> None:
    process = start("--seconds", "60")
    os.kill(server_of(process), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "files (pid " in err
    assert "ended with exit code -9" in err


def test_a_server_that_never_gets_ready_is_told_with_its_last_words() -> None:
    process = start(more="'--no-such-option', ready='never said'")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert "ended with exit code 2" in err
    assert "unrecognized arguments: --no-such-option" in err


def test_what_is_missing_is_said_in_one_line() -> None:
    needs = Needs(("asyncio", "no_such_module"), {"sh": "dash", "no-such-server": "some-package"})
    assert needs.missing() == (
        "no_such_module, no-such-server missing; "
        "to install: pip install 'waitspy[scenarios]' && apt-get install some-package"
    )
    assert Needs(("asyncio",), {"sh": "dash"}).missing() is None


def test_without_clients_the_servers_are_left_alone_for_that_time() -> None:
    began_s = time.monotonic()
    seen = asyncio.run(keep_asking([Load("nobody", get(1, "/"), clients=0)], 0.2))
    assert seen == {"nobody": Latencies()}
    assert time.monotonic() - began_s >= 0.2


def test_the_table_tells_percentiles_in_milliseconds() -> None:
    seen = {
        "slow": Latencies([0.001 * n for n in range(1, 101)], failed=1, waiting=2),
        "never": Latencies(),
    }
    rows = [line.split() for line in format_latencies(seen).splitlines()]
    assert rows[1] == ["slow", "100", "1", "2", "50", "99", "100"]
    assert rows[2] == ["never", "0", "0", "0", "-", "-", "-"]


@pytest.mark.parametrize(
    ("size", "share", "rank"), [(1, 50, 1), (4, 50, 2), (77, 99, 77), (100, 99, 99), (100, 90, 90)]
)
def test_percentiles_are_nearest_rank(size: int, share: int, rank: int) -> None:
    assert percentile(range(1, size + 1), share) == rank
