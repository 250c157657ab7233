"""The sampler that a capture uses; another one touches its file and this one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from waitspy.samplers import Sampler
from waitspy.samplers.pyspy import START_COST_NS, PySpySampler

__all__ = ["START_COST_NS", "make_sampler"]


def make_sampler(
    pid: int,
    folder: str,
    *,
    keep: Sequence[int],
    blocking: bool,
    first_segment: int,
    may_spend: Callable[[int], bool],
) -> Sampler:
    """A sampler of one process, whose segments go into ``folder``, counted from ``first_segment``.

    ``keep`` are descriptors without which a child cannot find the folder. ``blocking`` lets it stop
    the process for each sample. ``may_spend`` grants nanoseconds of CPU time.

    Raises:
        SamplerError: what it needs is not there.
    """
    return PySpySampler(
        pid,
        folder,
        keep=keep,
        blocking=blocking,
        first_segment=first_segment,
        may_spend=may_spend,
    )
