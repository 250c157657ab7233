"""What the command line's arguments may be, beyond what click knows by itself."""

from __future__ import annotations

import itertools
import math
import re
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from waitspy.capture.budget import Budget
from waitspy.model.kinds import KINDS
from waitspy.render import escape

if TYPE_CHECKING:
    from waitspy.target.tree import Tree  # takes long, and a report needs none


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


_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> str:
    """``2m``, ``5s`` or ``200ms`` as the number of seconds; what has no unit is left as it is."""
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+) ?(ms|s|m|h)", text.strip(), re.ASCII)
    return text if found is None else str(float(found[1]) * _UNITS_S[found[2]])


class Seconds(Number):
    """A time within its bounds: seconds, or with a unit."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number of seconds, or click's usage error."""
        told = seconds(value) if isinstance(value, str) else value
        try:
            float(told)
        except ValueError:
            self.fail(f"{value!r} is no time: give seconds, or 200ms, 5s, 2m, 1h.", param, ctx)
        return super().convert(told, param, ctx)


def examples(*commands: str) -> str:
    """The end of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  waitspy {command}" for command in commands)


def target_or_pid(ctx: click.Context, target: str | None, pid: int | None) -> str | None:
    """The TARGET, also where it was given as ``-p PID``, as other tools want it."""
    if pid is not None and target is not None:
        raise click.UsageError("give either a TARGET or -p PID", ctx)
    return str(pid) if pid is not None else target


def tell_what_was_taken(target: str | None, tree: Tree) -> None:
    """Says on standard error what a target was taken for, where it could have meant another."""
    if target is not None and tree.taken_as is not None:
        said = escape.terminal(target)
        click.echo(f"waitspy: {said} is taken as {tree.taken_as}", err=True)


pid_option = click.option(
    "-p", "--pid", type=click.IntRange(min=1), metavar="PID", help="The same as TARGET PID."
)


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
        kind, _, after = value.partition(":")
        if kind not in (*KINDS, "any"):
            raise click.BadParameter(f"{kind!r} is no kind; kinds are {', '.join(KINDS)} and any")
        try:
            limit = float(seconds(after)) if after else 0.0
        except ValueError:
            limit = math.nan
        if not 0 <= limit < math.inf:
            raise click.BadParameter(f"{after!r} is no number of seconds")
        limits.append((kind, limit))
    return limits


def budget(ctx: click.Context, param: click.Parameter, value: str) -> Budget:
    """``PER_WORKER[:TOTAL]`` in percent of one core; the total is 25 or more by default."""
    del ctx, param
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)(?::(\d+(?:\.\d+)?))?", value, re.ASCII)
    if parts is None or float(parts[1]) <= 0 or (parts[2] and float(parts[2]) <= 0):
        raise click.BadParameter("give percent of one core: PER_WORKER or PER_WORKER:TOTAL")
    per_worker = float(parts[1]) / 100
    total = float(parts[2]) / 100 if parts[2] else max(Budget().total, per_worker)
    return Budget(per_worker, total)


def folder_names(name: str) -> Iterator[str]:
    """Names for a recording of ``name`` made now, the best one first; they never end."""
    label = re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-.")[:40] or "target"
    wanted = f"waitspy-{label}-{time.strftime('%Y%m%d-%H%M%S')}"
    yield wanted
    for n in itertools.count(2):
        yield f"{wanted}-{n}"
