"""Many workers for long, each of which stalls now and then: what is lost, and what watching costs.

``python -m tests.benchmarks.many_workers [SECONDS [BEAT_S]]``: ten minutes, and two heartbeats of
the workers one after the other, if nothing else is said. A stall counts from when its worker was
watched; one is lost if no episode ends when it did, and an episode is untrue if no stall was there
then.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import waitspy
from tests.live.running import TARGETS, starved_by_itself, target
from tests.live.session import meta, session

_WORKERS, _STALL_S, _EVERY_S = 64, 0.25, 3.0
_BEATS_S = (0.05, 0.01)
_NEAR_S = 0.15


def main() -> None:
    """One line for each heartbeat of the workers."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600.0
    print(
        f"{'workers':>7} {'beat':>6} {'seconds':>7} {'stalls':>7} {'lost':>5} {'untrue':>6}"
        f" {'not looked':>10} {'watched after':>13} {'CPU':>6} {'memory':>7} {'report':>7}"
    )
    for beat_s in [float(beat) for beat in sys.argv[2:]] or _BEATS_S:
        _line(seconds, beat_s)


def _line(seconds: float, beat_s: float) -> None:
    argv = [sys.executable, TARGETS / "many_workers.py", _WORKERS, _STALL_S, _EVERY_S, beat_s]
    with tempfile.TemporaryDirectory() as folder, target(argv) as server:
        what = "record", server.pid, "-d", seconds, "-o", "rec"
        with session(Path(folder), *what) as process:
            _, err = process.communicate()
        if (process.returncode, err) != (0, ""):
            sys.exit(f"waitspy ended with {process.returncode}: {err}")
        log = server.read_log()
        written = meta(Path(folder) / "rec")
        began_s = time.monotonic()
        report = json.loads(waitspy.load(Path(folder) / "rec").report("json"))
        report_s = time.monotonic() - began_s
    cost = written["cost"]
    unseen_ns = sum(end_ns - start_ns for start_ns, end_ns in written["gaps"])
    watched_s = {worker["pid"]: worker["watched_from_s"] for worker in report["workers"]}
    begin_s = report["recording"]["monotonic_start_s"]
    end_s = begin_s + report["recording"]["duration_s"]
    stalls, told = defaultdict[int, list[float]](list), defaultdict[int, list[float]](list)
    for stall in log:
        if watched_s[stall["pid"]] < stall["start"] and stall["end"] < end_s:
            stalls[stall["pid"]].append(stall["end"])
    every = [stall for stall in log if stall["end"] > begin_s]
    untrue = 0
    for finding in starved_by_itself(report):
        for episode in finding["episodes"]:
            told[episode["pid"]].append(episode["end_s"])
            untrue += not any(
                s["pid"] == episode["pid"]
                and s["start"] - _NEAR_S < episode["end_s"] < s["end"] + _NEAR_S
                for s in every
            )
    lost = sum(
        not any(abs(end - one) < _NEAR_S for one in told[pid])
        for pid, ends in stalls.items()
        for end in ends
    )
    print(
        f"{_WORKERS:7} {beat_s * 1000:3.0f} ms {seconds:7.0f} {sum(map(len, stalls.values())):7}"
        f" {lost:5} {untrue:6} {unseen_ns / 1e9:8.1f} s"
        f" {max(watched_s.values()) - begin_s:11.1f} s {cost['cpu_s'] / seconds:6.1%}"
        f" {cost['peak_rss_mb']:4.0f} MB {report_s:5.1f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
