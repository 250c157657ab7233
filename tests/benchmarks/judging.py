"""What a report costs, from the folder on disk to the finished text: by workers, and by length; of
stacks as our own sampler writes them, and as py-spy does.

Each recording is written and judged by processes of their own: a child's peak memory is never below
that of the process which starts it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile

_THREADS = 10
_WHOLE = ((64, 60), (4, 3_600))
_SAMPLERS = ("delta", "py-spy")
_BY_WORKERS = ((8, 15), (64, 15), (256, 15))
_BY_LENGTH = ((2, 60), (2, 600), (2, 3_600))
_WRITE = """
import sys
from pathlib import Path
from tests.benchmarks import large_recording
workers, threads, seconds = map(int, sys.argv[3:])
large_recording.write(Path(sys.argv[1]), workers, threads, seconds, sys.argv[2])
"""
_JUDGE = """
import io, json, resource, sys, time
from waitspy.judge import analysis
from waitspy.recording import loading
from waitspy.render import REPORTS
began = time.perf_counter()
recording = loading.load(sys.argv[1])
loaded = time.perf_counter()
judged = analysis.analyse(recording)
text = io.StringIO()
REPORTS["text"]().render(judged, text)
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
assert judged.report.findings and not recording.losses
print(json.dumps([loaded - began, time.perf_counter() - began, peak_mb]))
"""
_COMMAND = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
argv = [sys.executable, "-m", "waitspy", "report", sys.argv[1]]
subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(json.dumps([time.perf_counter() - began, peak_mb]))
"""


def main() -> None:
    """Three tables: many workers and an hour, then what a worker's second costs by either."""
    print(
        f"{'sampler':>7} {'workers':>7} {'seconds':>7} {'load':>7} {'report':>7} {'memory':>8}"
        f" {'worker-second':>14} {'command':>8} {'memory':>8}"
    )
    for shapes in (_WHOLE, _BY_WORKERS, _BY_LENGTH):
        for workers, seconds in shapes:
            for sampler in _SAMPLERS:
                _line(sampler, workers, seconds)
        print()


def _line(sampler: str, workers: int, seconds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _run(_WRITE, f"{folder}/rec", sampler, workers, _THREADS, seconds)
        load_s, whole_s, peak_mb = json.loads(_run(_JUDGE, f"{folder}/rec"))
        command_s, command_mb = json.loads(_run(_COMMAND, f"{folder}/rec"))
    each_ms = whole_s * 1000 / (workers * seconds)
    print(
        f"{sampler:>7} {workers:7} {seconds:7} {load_s:5.2f} s {whole_s:5.2f} s {peak_mb:5.0f} MB"
        f" {each_ms:11.2f} ms {command_s:6.2f} s {command_mb:5.0f} MB",
        flush=True,
    )


def _run(program: str, *arguments: object) -> str:
    argv = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    main()
