"""The command: ``python -m waitspy_scenarios.buffer_vs_job [options]``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

import waitspy_scenarios.buffer_vs_job as scenario
from waitspy_scenarios.buffer_vs_job.children import ChildFailedError
from waitspy_scenarios.buffer_vs_job.run import InterruptedRunError, Run
from waitspy_scenarios.buffer_vs_job.settings import resolve
from waitspy_scenarios.buffer_vs_job.table import format_table, to_json


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the workload; the exit code is 0, 1 (a child failed), 2 (usage) or 128 + signal."""
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    target = given.pop("json")
    try:
        settings = resolve(given)
    except ValueError as error:
        parser.error(str(error))
    if target is not None and not os.access(os.path.dirname(target) or ".", os.W_OK):
        parser.error(f"cannot write {target}")
    try:
        summaries = Run(settings, lambda line: print(line, file=sys.stderr, flush=True)).measure()
    except ChildFailedError as error:
        print(f"buffer_vs_job: {error}", file=sys.stderr)
        return 1
    except InterruptedRunError as error:
        return 128 + error.signum
    except KeyboardInterrupt:
        return 130
    print(format_table(settings.title, summaries))
    if target is not None:
        with open(target, "w", encoding="utf-8") as stream:
            json.dump(to_json(settings, summaries), stream, indent=1)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m waitspy_scenarios.buffer_vs_job",
        description=scenario.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--healthy",
        action="store_const",
        const="off",
        dest="park",
        help="the same without the harm: --park off",
    )
    add(
        "--park",
        metavar="block|cap:SECONDS|off",
        help="where idle workers wait: inbox (block), inbox but only so long, or loop (off)",
    )
    add(
        "--rate",
        metavar="low|high|SECONDS|every:SECONDS",
        help="how events arrive: mean gap 1 s (40 events), 0.02 s (3000), that mean, that gap",
    )
    add("--workers", type=int, help="workers per via (2)")
    add("--delay", type=float, metavar="SECONDS", help="what the endpoint takes (0.4)")
    add("--timeout", type=float, metavar="SECONDS", help="how long a plugin waits for it (2.4)")
    add("--retry", type=float, metavar="SECONDS", help="before the first retry (0.24)")
    add("--events", type=int, help="how many are measured")
    add("--rows", type=int, help="how many the buffer collects before it flushes (1)")
    add("--seed", type=int, help="of the arrivals (1)")
    add("--pool", choices=("process", "thread"), help="what a worker is (process)")
    add("--via", choices=("both", "buffer", "job"), help="how rows are exported (both)")
    add("--full", action="store_true", help="5 s delay, 30 s timeout, mean gap 12.5 s, 80 events")
    add("--small", action="store_true", help="a short run that still shows it, about 25 s")
    add("--json", metavar="FILE", help="also write the table with all latencies")
    return parser


if __name__ == "__main__":
    sys.exit(main())
