"""The samplers that a capture may use; another one touches its file and this one."""

from __future__ import annotations

from collections.abc import Callable

from waitspy.kernel import procfs
from waitspy.model.processes import Worker
from waitspy.recording.folder import Writer
from waitspy.samplers import Sampler
from waitspy.samplers.delta import DeltaSampler
from waitspy.samplers.either import EitherSampler
from waitspy.samplers.node_inspector import NodeInspectorSampler
from waitspy.samplers.nothing import NoSampler
from waitspy.samplers.pyspy import START_COST_NS, PySpySampler

__all__ = ["AUTO", "EITHER", "PYSPY", "SAMPLERS", "START_COST_NS", "chosen", "make_sampler"]

AUTO, DELTA, PYSPY = "auto", "delta", "py-spy"
SAMPLERS = (AUTO, DELTA, PYSPY)
EITHER = "delta, else py-spy"


def chosen(name: str, *, blocking: bool) -> str:
    """The sampler that is meant; only py-spy can stop a process for each sample.

    ``auto`` is our own, and py-spy for processes that it cannot read.
    """
    if blocking:
        return PYSPY
    return EITHER if name == AUTO else name


def make_sampler(
    name: str,
    worker: Worker,
    writer: Writer,
    *,
    blocking: bool,
    first_segment: int,
    may_spend: Callable[[int], bool],
    inspect: bool = False,
) -> Sampler:
    """A sampler of one process, whose segments go into the recording, counted from
    ``first_segment``.

    ``blocking`` lets it stop the process for each sample. ``may_spend`` grants nanoseconds of CPU
    time to what it starts. ``name`` is for a Python: a Node.js has its inspector, with ``inspect``,
    which opens that in it, or no sampler.

    Raises:
        SamplerError: what it needs is not there.
    """
    pid = worker.pid
    if worker.python is None:
        if inspect and worker.node is not None:
            return NodeInspectorSampler(pid, writer, first_segment=first_segment)
        return NoSampler()

    def pyspy() -> Sampler:
        return PySpySampler(
            pid,
            writer.file("stacks"),
            keep=(writer.descriptor,),  # without which a child cannot find the folder
            blocking=blocking,
            first_segment=first_segment,
            may_spend=may_spend,
        )

    if name == PYSPY:
        return pyspy()
    own = DeltaSampler(pid, writer, first_segment=first_segment)
    return own if name == DELTA else EitherSampler(own, pyspy, procfs.age_s(worker.start_ticks))
