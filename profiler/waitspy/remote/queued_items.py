"""What the items of a queue refer to: who handed one in may wait for something in it, or be a
client whose connection it has.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping

from waitspy.remote.memory import Unreadable
from waitspy.remote.objects import Objects

NAMED = 8  # items of a queue that are looked into
_MOST_WORDS = 64
_SOCKET = "socket"


class QueuedItems:
    """Looks into items; OSError from every method."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def kinds(self, items: Iterable[int], steps: int) -> dict[int, frozenset[str]]:
        """What they lead to in so many steps, each with the names of its class and its bases."""
        return {word: self._bases(word) for word in self.inside(items, steps)}

    def inside(self, items: Iterable[int], steps: int) -> list[int]:
        """What items refer to in a few steps: those in tuples, and attributes."""
        found = dict.fromkeys(items)
        left = list(found)
        for _ in range(steps):
            following: list[int] = []
            for word in left:
                with contextlib.suppress(Unreadable):
                    following += self._parts(word)
            left = [word for word in dict.fromkeys(following) if word not in found]
            left = left[: max(0, _MOST_WORDS - len(found))]
            found.update(dict.fromkeys(left))
        return list(found)

    def _parts(self, word: int) -> list[int]:
        kind = self._objects.type_of(word)
        if kind.name in {"tuple", "list"}:
            return self._objects.sequence(word, _MOST_WORDS)
        return list(self._objects.attributes(word).values()) if kind.heap else []

    def _bases(self, word: int) -> frozenset[str]:
        """The names of an object's type and of its bases, without their modules."""
        with contextlib.suppress(Unreadable):
            return frozenset(name.rpartition(".")[2] for name in self._objects.bases(word))
        return frozenset()


def have_connection(kinds: Mapping[int, Collection[str]]) -> bool:
    """Whether a socket is among these."""
    return any(_SOCKET in names for names in kinds.values())
