"""The sampler that a capture uses; another one touches its file and this one."""

from __future__ import annotations

from waitspy.samplers import Sampler
from waitspy.samplers.pyspy import PySpySampler


def make_sampler(pid: int, folder: str, *, blocking: bool, first_segment: int) -> Sampler:
    """A sampler of one process, whose segments go into ``folder``, counted from ``first_segment``.

    ``blocking`` lets it stop the process for each sample.

    Raises:
        SamplerError: what it needs is not there.
    """
    return PySpySampler(pid, folder, blocking=blocking, first_segment=first_segment)
