"""What a report costs, from the folder on disk to the finished text: by workers, and by length.

Each recording is judged by a process of its own, so that its peak memory is known.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import large_recording

_THREADS = 10
_WHOLE = (64, 60.0)
_BY_WORKERS = ((8, 15.0), (64, 15.0), (256, 15.0))
_BY_LENGTH = ((2, 60.0), (2, 600.0), (2, 3_600.0))
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


def main() -> None:
    """Three tables: the whole of 64 workers, then what a worker's second costs by either."""
    print(
        f"{'workers':>7} {'seconds':>7} {'load':>7} {'report':>7} {'memory':>8} {'worker-second':>14}"
    )
    for shapes in ((_WHOLE,), _BY_WORKERS, _BY_LENGTH):
        for workers, seconds in shapes:
            _line(workers, seconds)
        print()


def _line(workers: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        large_recording.write(Path(folder) / "rec", workers, _THREADS, seconds)
        argv = [sys.executable, "-c", _JUDGE, f"{folder}/rec"]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        load_s, whole_s, peak_mb = json.loads(done.stdout)
    each_ms = whole_s * 1000 / (workers * seconds)
    print(
        f"{workers:7} {seconds:7.0f} {load_s:5.2f} s {whole_s:5.2f} s {peak_mb:5.0f} MB"
        f" {each_ms:11.2f} ms",
        flush=True,
    )


if __name__ == "__main__":
    main()
