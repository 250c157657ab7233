"""The memory of another process, read with process_vm_readv(2): many places in one call."""

from __future__ import annotations

import contextlib
import errno
import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from waitspy.kernel import calls

_LOWEST, _BEYOND = 1 << 12, 1 << 48  # user addresses: 47 bits on x86_64, 48 on aarch64
_LARGEST = 16 << 20
_PAGE = 4096  # the smallest there is: what is not mapped are whole ones
_AFTER_A_BAD_ONE = 16  # places in a call, where more may be bad: each call names one
_FINAL = frozenset({errno.EPERM, errno.ESRCH})  # what another address would not change
_NUMBERS = {code: struct.Struct(f"<{code}") for code in "bBiIqQ"}


class Unreadable(Exception):  # noqa: N818  (an outcome of torn pointers, not a failure of ours)
    """An address is not mapped: a torn or foreign pointer was followed."""


class Torn(Unreadable):
    """What was read contradicts itself: it changed meanwhile, or is not what a pointer promised."""


class Unavailable(Exception):  # noqa: N818  (an outcome to report, not a failure of ours)
    """This process cannot be read at all; ``why`` says why, in a few words for the report."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Memory:
    """Reads of one process.

    Raises:
        Unreadable: from every method, when an address is not mapped.
        OSError: no permission (EPERM), or the process is gone (ESRCH).
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._small = calls.SmallReads(pid)
        self._kept: list[tuple[int, bytes]] = []

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """Within it, what was kept is not read again: many small reads of one thing, say."""
        try:
            yield
        finally:
            self._kept.clear()

    def keep(self, addresses: Sequence[int], size: int) -> None:
        """Keeps ``size`` bytes from each place, until ``keeping`` ends; what can be read of it."""
        pieces = zip(addresses, self.many(addresses, size), strict=True)
        self._kept += [(at, piece) for at, piece in pieces if piece is not None]
        self._kept.sort(key=_address)

    def read(self, address: int, size: int) -> bytes:
        """``size`` bytes from one place."""
        if self._kept:
            n = bisect_right(self._kept, address, key=_address) - 1
            at, piece = self._kept[n]
            if n >= 0 and address + size <= at + len(piece) and size > 0:
                return piece[address - at : address - at + size]
        if not _LOWEST <= address < _BEYOND or not 0 < size <= _LARGEST:
            raise Unreadable(hex(address))
        if size <= self._small.MOST:
            return self._read_small(address, size)
        buffer = bytearray(size)
        if self._into([address], [size], buffer, 0) != size:
            raise Unreadable(hex(address))
        return bytes(buffer)

    def _read_small(self, address: int, size: int) -> bytes:
        try:
            raw = self._small.read_at(address, size)
        except OSError as error:
            if error.errno in _FINAL:
                raise
            raw = b""
        if len(raw) != size:
            raise Unreadable(hex(address))
        return raw

    def word(self, address: int) -> int:
        """An unsigned 64-bit word."""
        return int.from_bytes(self.read(address, 8), "little")

    def many(self, addresses: Sequence[int], size: int) -> list[bytes | None]:
        """``size`` bytes from each place; None where it is not mapped."""
        buffer, missing = self.gather(addresses, size)
        raw = bytes(buffer)
        found: list[bytes | None] = [raw[at : at + size] for at in range(0, len(raw), size)]
        for n in missing:
            found[n] = None
        return found

    def gather(self, addresses: Sequence[int], size: int) -> tuple[bytearray, set[int]]:
        """``size`` bytes from each place, one after the other, and the indices of those that are
        not mapped (zeros stand for them).
        """
        count = len(addresses)
        if count * size > _LARGEST:
            raise Unreadable(f"{count} places of {size} bytes")
        buffer = bytearray(count * size)
        safe = [a if _LOWEST <= a < _BEYOND else 0 for a in addresses]
        missing: set[int] = set()
        at = 0
        while at < count:
            part = safe[at : at + calls.IOV_MAX]
            sizes = array("Q", [size]) * len(part)
            done = self._into(part, sizes, buffer, at * size) // size
            if done < len(part):  # the call stops at the first bad one
                missing.add(at + done)
                buffer[(at + done) * size : (at + done + 1) * size] = bytes(size)
                done += 1
            at += done
        return buffer, missing

    def pieces(self, places: Sequence[tuple[int, int]]) -> list[bytes | None]:
        """The bytes at each address and of each size, read in this order as closely one after the
        other as can be; None where it is not mapped.
        """
        addresses = [a if _LOWEST <= a < _BEYOND else 0 for a, _ in places]
        sizes = [size for _, size in places]
        if sizes and (min(sizes) <= 0 or sum(sizes) > _LARGEST):
            raise Unreadable(f"{len(places)} places")
        found: list[bytes | None] = []
        gone: set[int] = set()  # pages that are not mapped: what else lies there is not asked for
        most = calls.IOV_MAX
        while len(found) < len(sizes):
            if _touches(gone, addresses[len(found)], sizes[len(found)]):
                found.append(None)
                continue
            part = slice(len(found), len(found) + most)
            buffer = bytearray(sum(sizes[part]))
            got, at = self._into(addresses[part], sizes[part], buffer, 0), 0
            whole = bytes(buffer)
            most = min(2 * most, calls.IOV_MAX)
            for size in sizes[part]:
                if at + size > got:  # the call stops at the first bad one
                    gone.add((addresses[len(found)] + got - at) // _PAGE)
                    most = _AFTER_A_BAD_ONE
                    found.append(None)
                    break
                found.append(whole[at : at + size])
                at += size
        return found

    def same(self, places: Sequence[tuple[int, int]]) -> SamePlaces:
        """Places that are read again and again, and all at once.

        Raises:
            Unreadable: they are too many, or no places of a process.
        """
        right = all(_LOWEST <= at < _BEYOND and 0 < size <= _LARGEST for at, size in places)
        if not right or len(places) > calls.IOV_MAX:
            raise Unreadable(f"{len(places)} places")
        return SamePlaces(calls.SameReads(self._pid, places))

    def _into(
        self, addresses: Sequence[int], sizes: Sequence[int], buffer: bytearray, at: int
    ) -> int:
        try:
            return calls.process_vm_readv(self._pid, addresses, sizes, buffer, at)
        except OSError as error:
            if error.errno in _FINAL:
                raise
            return 0


class SamePlaces:
    """Places of a process that are read again and again; ``size`` is that of all of them."""

    def __init__(self, reads: calls.SameReads) -> None:
        self._read = reads.read
        self.size = reads.size

    def read(self) -> bytes | None:
        """The bytes of one place after the other; None where not all of it is mapped.

        Raises:
            OSError: as of ``Memory``.
        """
        try:
            raw = self._read()
        except OSError as error:
            if error.errno in _FINAL:
                raise
            return None
        return raw if len(raw) == self.size else None


def _touches(pages: set[int], address: int, size: int) -> bool:
    return any(n in pages for n in range(address // _PAGE, (address + size - 1) // _PAGE + 1))


def _address(kept: tuple[int, bytes]) -> int:
    return kept[0]


def word_at(raw: bytes | bytearray, at: int, code: str = "Q") -> int:
    """The number at that offset of what was read; ``code`` is its type as struct writes it.

    Raises:
        Torn: it lies outside: the layout contradicts itself.
    """
    try:
        number: int = _NUMBERS[code].unpack_from(raw, at)[0]
    except struct.error:
        raise Torn(f"no field at {at}") from None
    return number


def packed(fields: Sequence[tuple[int, str]]) -> tuple[struct.Struct, tuple[int, ...]]:
    """What unpacks numbers at these offsets, and where each of them is among the unpacked ones.

    Raises:
        Torn: they overlap: the target lies about where they are.
    """
    text, at = "<", 0
    order = sorted(range(len(fields)), key=fields.__getitem__)
    for n in order:
        offset, kind = fields[n]
        if offset < at:
            raise Torn("fields that overlap")
        text += f"{offset - at}x{kind}"
        at = offset + struct.calcsize(f"<{kind}")
    places = [0] * len(fields)
    for place, n in enumerate(order):
        places[n] = place
    return struct.Struct(text), tuple(places)
