"""What the runs gave, as Markdown tables, and whether the goals are met. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.accuracy.scoring import Score, Scores
from waitspy.model.clock import NS
from waitspy.model.kinds import KINDS, NO_CPU


@dataclass(frozen=True, slots=True)
class Goals:
    """The least shares, and the largest error of starved seconds (a share too; None: any).

    ``kept_error`` is that of times without CPU.
    """

    precision: float
    recall: float
    blame: float
    starved_error: float | None
    kept_error: float | None


HELD = frozenset({"held-lock", "exhausted-connections", "deadlock", "gc-pause"})
"""Kinds that are about who holds what others wait for: they have goals of their own."""

GOALS = Goals(precision=0.995, recall=0.99, blame=0.99, starved_error=0.02, kept_error=0.04)
HELD_GOALS = Goals(precision=0.995, recall=0.99, blame=0.99, starved_error=None, kept_error=None)
"""On an idle machine and while all cores are busy."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The quotients of a score; None where there was nothing to divide by."""

    precision: float | None
    recall: float | None
    blame: float | None
    root: float | None
    starved_error: float | None
    bound_s: float | None
    worst_bound_s: float | None


def measured(score: Score) -> Measured:
    """Shares between 0 and 1; of the bounds' errors the median and the 95th percentile."""
    bounds = sorted(score.bounds_ns)
    return Measured(
        precision=_share(score.right, score.right + score.false),
        recall=_share(score.found, score.expected),
        blame=_share(score.blamed, score.blamable),
        root=_share(score.rooted, score.rootable),
        starved_error=_share(score.starved_error_ns, score.starved_ns),
        bound_s=statistics.median(bounds) / NS if bounds else None,
        worst_bound_s=bounds[len(bounds) * 95 // 100] / NS if bounds else None,
    )


def total(scores: Iterable[Scores]) -> Scores:
    """All of them added up by kind."""
    sums: Scores = {}
    for one in scores:
        for kind, score in one.items():
            sums.setdefault(kind, Score()).add(score)
    return sums


def whole(scores: Scores) -> Score:
    """All kinds added up."""
    sum_ = Score()
    for score in scores.values():
        sum_.add(score)
    return sum_


def parted(scores: Scores) -> tuple[Scores, Scores]:
    """The scores of kinds that are ``HELD``, and of all others."""
    held = {kind: score for kind, score in scores.items() if kind in HELD}
    return held, {kind: score for kind, score in scores.items() if kind not in HELD}


def by_kind(scores: Scores) -> str:
    """One row for each kind, and one for all."""
    rows = [(f"`{kind}`", scores[kind]) for kind in KINDS if kind in scores]
    return _markdown("finding", [*rows, ("**all**", whole(scores))])


def by_setting(settings: Sequence[tuple[str, Scores]]) -> str:
    """One row for each interpreter and loop."""
    return _markdown("on", [(name, whole(scores)) for name, scores in settings])


def missed_goals(idle: Scores, busy: Scores | None = None, goals: Goals = GOALS) -> list[str]:
    """In words, which goals were missed on an idle machine and on a busy one."""
    found = _missed(idle, goals, "")
    if busy is not None:
        found += _missed(busy, goals, ", all cores busy")
        more = whole(busy).false - whole(idle).false
        if more > 0:
            found.append(f"{more} false alarms more while all cores are busy")
    return found


def _missed(scores: Scores, goals: Goals, where: str) -> list[str]:
    got = measured(whole(scores))
    rows = [
        ("precision", got.precision, goals.precision),
        ("recall", got.recall, goals.recall),
        ("blame", got.blame, goals.blame),
    ]
    found = [
        f"{name} {value:.3f}, goal {goal:.3f}{where}"
        for name, value, goal in rows
        if value is not None and value < goal
    ]
    kept = {kind: score for kind, score in scores.items() if kind == NO_CPU.name}
    others = {kind: score for kind, score in scores.items() if kind != NO_CPU.name}
    for part, what, goal in (
        (others, "starved seconds", goals.starved_error),
        (kept, "seconds without CPU", goals.kept_error),
    ):
        error = measured(whole(part)).starved_error
        if goal is not None and error is not None and error > goal:
            found.append(f"{what} off by {error:.1%}{where}")
    return found


def _markdown(first: str, rows: Sequence[tuple[str, Score]]) -> str:
    root = ["root"] if any(score.rootable for _, score in rows) else []
    head = (
        first, "stalls", "precision", "recall", "blame", *root, "starved seconds off by",
        "bounds off by (median, 95 %)",
    )  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name, score in rows:
        got = measured(score)
        cells = [
            name,
            str(score.expected),
            f"{_quotient(got.precision)} ({score.false} false)",
            _quotient(got.recall),
            _quotient(got.blame),
            *([_quotient(got.root)] if root else []),
            "-" if got.starved_error is None else f"{got.starved_error:.1%}",
            _bounds(got),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _bounds(got: Measured) -> str:
    if got.bound_s is None or got.worst_bound_s is None:
        return "-"
    return f"{got.bound_s * 1000:.0f} ms, {got.worst_bound_s * 1000:.0f} ms"


def _quotient(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _share(part: int, of: int) -> float | None:
    return part / of if of else None
