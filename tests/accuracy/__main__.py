"""How often waitspy is right, measured on targets that log their own stalls.

Runs every case on every CPython, or Node.js, that is found and prints, per kind of finding and in all: how many
findings are right (precision), how many stalls are found (recall), whether the right line is
blamed, and how far the starved seconds and the bounds of the episodes are off.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.accuracy import nodes, runner, table
from tests.accuracy.cases import CASES, Case
from tests.accuracy.runner import Outcome, Setting
from tests.accuracy.scoring import Score, Scores
from tests.remote import interpreters
from waitspy.samplers.registry import AUTO, SAMPLERS


def main() -> None:
    """Runs, or shows what earlier runs gave; exit code 1 when a goal is missed."""
    options = _arguments()
    if options.show:
        rows = [json.loads(line) for file in options.show for line in file.open()]
    else:
        rows = []
        for outcome in _run(options):
            row = _row(outcome)
            rows.append(row)
            _tell(outcome)
            if options.json:
                with options.json.open("a") as file:
                    print(json.dumps(row), file=file)
    sys.exit(1 if _print(rows) else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.accuracy", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="a case, or a pattern")
    parser.add_argument(
        "--python", action="append", metavar="VERSION", help="like 3.12; no Node.js"
    )
    parser.add_argument("--node", action="append", metavar="PATH", help="a node besides PATH's")
    parser.add_argument("--uvloop", action="store_true", help="on uvloop instead of asyncio")
    parser.add_argument("--load", action="store_true", help="while all cores are busy")
    parser.add_argument("--sampler", choices=SAMPLERS, default=AUTO, help="what reads stacks")
    parser.add_argument("--everything", action="store_true", help="both loops, idle and busy")
    parser.add_argument("--quick", action="store_true", help="a few cases only")
    parser.add_argument("--jobs", type=int, default=3, metavar="N", help="so many at a time")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep recordings and truth")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add what each run gave to it")
    parser.add_argument("--show", type=Path, nargs="+", metavar="FILE", help="only show such files")
    return parser.parse_args()


def _run(options: argparse.Namespace) -> Iterator[Outcome]:
    cases = [case for case in CASES if _wanted(case, options)]
    pythons = [
        python.with_libraries()
        for python in interpreters.with_modules()
        if not options.python
        or any(f"{python.version}.".startswith(f"{v}.") for v in options.python)
    ]
    loops = ("asyncio", "uvloop") if options.everything else _one(options.uvloop)
    loads = (False, True) if options.everything else (options.load,)
    of_python = [case for case in cases if not case.on_node]
    of_node = [case for case in cases if case.on_node]
    for load in loads:
        with runner.busy_machine() if load else contextlib.nullcontext():
            for python in pythons:
                for loop in loops:
                    yield from _run_all(
                        of_python, Setting(python, loop, load, options.sampler), options
                    )
            for node in () if options.python else nodes.found(options.node or ()):
                yield from _run_all(of_node, Setting(node, nodes.LOOP, load), options)


def _run_all(
    cases: Sequence[Case], setting: Setting, options: argparse.Namespace
) -> Iterator[Outcome]:
    """Several at a time, then those that need the CPU one by one."""
    with ThreadPoolExecutor(options.jobs) as pool:
        together = [case for case in cases if not case.alone]
        yield from pool.map(lambda case: runner.run(case, setting, options.keep), together)
    for case in cases:
        if case.alone:
            yield runner.run(case, setting, options.keep)


def _one(uvloop: bool) -> tuple[str, ...]:
    return ("uvloop",) if uvloop else ("asyncio",)


def _wanted(case: Case, options: argparse.Namespace) -> bool:
    if options.quick and not case.quick:
        return False
    return not options.only or any(fnmatch.fnmatch(case.name, name) for name in options.only)


def _row(outcome: Outcome) -> dict[str, Any]:
    return {
        "case": outcome.case.name,
        "on": str(outcome.setting),
        "busy": outcome.setting.load,
        "skipped": outcome.skipped,
        "wrong": outcome.wrong,
        "scores": {kind: asdict(score) for kind, score in outcome.scores.items()},
    }


def _tell(outcome: Outcome) -> None:
    score = table.whole(outcome.scores)
    said = f"{score.found} of {score.expected} found, {score.false} false"
    print(f"{outcome.setting}: {outcome.case.name}: {outcome.skipped or said}", flush=True)
    for line in outcome.wrong:
        print(f"    {line}")


def _print(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Prints the tables; gives the goals that were missed."""
    ran = [row for row in rows if not row["skipped"]]
    totals: dict[bool, tuple[Scores, Scores]] = {}
    for busy in (False, True):
        some = [row for row in ran if row["busy"] == busy]
        if not some:
            continue
        scores = {
            on: table.total(_scores(row) for row in some if row["on"] == on)
            for on in dict.fromkeys(row["on"] for row in some)
        }
        sums = table.total(scores.values())
        totals[busy] = table.parted(sums)
        print(f"\n{'All cores busy' if busy else 'Idle machine'}, {len(some)} runs:\n")
        print(table.by_kind(sums), end="\n\n")
        print(table.by_setting(list(scores.items())))
    missed: list[str] = []
    for n, goals in enumerate((table.HELD_GOALS, table.GOALS)):
        of_both = {load: parts[n] for load, parts in totals.items()}
        missed += table.missed_goals(of_both.get(False, {}), of_both.get(True), goals)
    missed += [
        f"{row['case']} on {row['on']} {wrong}"
        for row in ran
        for wrong in row["wrong"]
        if wrong.startswith(runner.DID_NOT_RUN)
    ]
    print("\nmissed goals: " + ("; ".join(missed) or "none"))
    return missed


def _scores(row: dict[str, Any]) -> dict[str, Score]:
    return {kind: Score(**score) for kind, score in row["scores"].items()}


main()
