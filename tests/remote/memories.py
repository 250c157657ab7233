"""Memories that lie: made up, cut off, or the truth with errors."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence

from waitspy.remote.memory import Memory, Unreadable


class MadeUp(Memory):
    """Only these stretches of bytes, by address, are mapped."""

    def __init__(self, parts: Mapping[int, bytes]) -> None:
        super().__init__(os.getpid())
        self.parts = dict(parts)

    def _into(
        self, addresses: Sequence[int], sizes: Sequence[int], buffer: bytearray, at: int
    ) -> int:
        done = 0
        for address, size in zip(addresses, sizes, strict=True):
            piece = self._piece(address, size)
            if piece is None:
                break
            buffer[at + done : at + done + size] = piece
            done += size
        return done

    def _piece(self, address: int, size: int) -> bytes | None:
        for start, part in self.parts.items():
            if start <= address and address + size <= start + len(part):
                return part[address - start : address - start + size]
        return None


class Noise(MadeUp):
    """Everything is mapped and means nothing: random words, many of them pointers into itself."""

    def __init__(self, seed: int) -> None:
        super().__init__({})
        self.random = random.Random(seed)

    def _piece(self, address: int, size: int) -> bytes | None:
        del address
        if self.random.random() < 0.01:
            return None
        words = [
            self.random.choice(
                (
                    0,
                    self.random.randrange(1 << 8),
                    self.random.randrange(1 << 16, 1 << 47) & -8,
                    self.random.getrandbits(64),
                    (1 << 64) - 1,
                )
            )
            for _ in range(size // 8 + 1)
        ]
        return b"".join(word.to_bytes(8, "little") for word in words)[:size]


class Small(MadeUp):
    """Small reads see the same."""

    def _read_small(self, address: int, size: int) -> bytes:
        piece = self._piece(address, size)
        if piece is None:
            raise Unreadable(hex(address))
        return piece


class SmallNoise(Noise, Small):
    """The same of noise."""


class Wrong(Memory):
    """The truth, but now and then some bytes are others, or nothing is there at all."""

    def __init__(self, pid: int, seed: int, share: float) -> None:
        super().__init__(pid)
        self.random = random.Random(seed)
        self.share = share

    def _into(
        self, addresses: Sequence[int], sizes: Sequence[int], buffer: bytearray, at: int
    ) -> int:
        got = super()._into(addresses, sizes, buffer, at)
        if self.random.random() < self.share / 4:
            return 0
        for _ in range(3):
            if got and self.random.random() < self.share:
                place = at + self.random.randrange(got)
                width = self.random.choice((1, 2, 8))
                change = self.random.randbytes(width)
                if self.random.random() < 0.3:
                    change = b"\xff" * width
                buffer[place : min(place + width, at + got)] = change[: at + got - place]
        return got
