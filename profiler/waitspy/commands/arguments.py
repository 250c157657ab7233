"""What the command line's arguments may be, beyond what click knows by itself."""

from __future__ import annotations

import itertools
import math
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

import click

from waitspy.capture.budget import Budget
from waitspy.model.kinds import KINDS


class Number(click.FloatRange):
    """A finite number within its bounds; click's own range lets ``nan`` through."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number, or click's usage error."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class RecordCommand(click.Command):
    """Splits ``record [OPTIONS] -- COMMAND…`` before click drops the ``--``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Leaves the COMMAND in ``ctx.obj``."""
        if "--" in args:
            at = args.index("--")
            ctx.obj = tuple(args[at + 1 :])
            args = args[:at]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """The two ways to say what is recorded."""
        del ctx
        return ["[OPTIONS]", "(TARGET | -- COMMAND...)"]


def fail_on(
    ctx: click.Context, param: click.Parameter, values: Sequence[str]
) -> list[tuple[str, float]]:
    """Each ``KIND[:SECONDS]`` as a pair; without seconds any such finding counts."""
    del ctx, param
    limits = []
    for value in values:
        kind, _, seconds = value.partition(":")
        if kind not in (*KINDS, "any"):
            raise click.BadParameter(f"{kind!r} is no kind; kinds are {', '.join(KINDS)} and any")
        try:
            limit = float(seconds) if seconds else 0.0
        except ValueError:
            limit = math.nan
        if not 0 <= limit < math.inf:
            raise click.BadParameter(f"{seconds!r} is no number of seconds")
        limits.append((kind, limit))
    return limits


def budget(ctx: click.Context, param: click.Parameter, value: str) -> Budget:
    """``PER_WORKER[:TOTAL]`` in percent of one core; the total is 50 or more by default."""
    del ctx, param
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)(?::(\d+(?:\.\d+)?))?", value, re.ASCII)
    if parts is None or float(parts[1]) <= 0 or (parts[2] and float(parts[2]) <= 0):
        raise click.BadParameter("give percent of one core: PER_WORKER or PER_WORKER:TOTAL")
    per_worker = float(parts[1]) / 100
    total = float(parts[2]) / 100 if parts[2] else max(0.5, per_worker)
    return Budget(per_worker, total)


def folder_names(name: str) -> Iterator[str]:
    """Names for a recording of ``name`` made now, the best one first; they never end."""
    label = re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-.")[:40] or "target"
    wanted = f"waitspy-{label}-{time.strftime('%Y%m%d-%H%M%S')}"
    yield wanted
    for n in itertools.count(2):
        yield f"{wanted}-{n}"
