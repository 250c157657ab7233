"""What samplers have in common that start no process: there is nothing to pause, and no bill."""

from __future__ import annotations


class InProcess:
    """The part of ``Sampler`` that is the same for all of them."""

    def dump(self, now_ns: int) -> bool:
        """See ``Sampler.dump``: there is nothing that their looks do not tell."""
        del now_ns
        return False

    def pause(self, now_ns: int) -> None:
        """See ``Sampler.pause``: they have started nothing that could be ended."""

    def cpu_ns(self) -> int:
        """See ``Sampler.cpu_ns``: nothing, as what they use is the caller's."""
        return 0

    def rss_bytes(self) -> int:
        """See ``Sampler.rss_bytes``: nothing, as for ``cpu_ns``."""
        return 0
