"""The types of another process's objects: names, flags, bases, slots."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from waitspy.remote.layouts import Layout
from waitspy.remote.memory import Memory, Torn, Unreadable, word_at

LONGEST_TEXT = 200
"""Characters of a text that are read; the rest is cut off."""

LONGEST_PATH = 4096
"""The same of a path: PATH_MAX of include/uapi/linux/limits.h."""

# Include/object.h, the same in 3.8 to 3.15
INLINE_VALUES, MANAGED_DICT, HEAP_TYPE = 1 << 2, 1 << 4, 1 << 9
IS_INT, IS_LIST, IS_TUPLE, IS_STR, IS_DICT, IS_TYPE = (1 << bit for bit in (24, 25, 26, 28, 29, 31))

_MOST_BASES = 128
_PAGE = 4096


@dataclass(frozen=True, slots=True)
class TypeFacts:
    """A type: its name, what its instances look like, its bases in method resolution order."""

    address: int
    name: str
    basicsize: int
    flags: int
    dictoffset: int
    weaklistoffset: int
    cached_keys: int
    mro: tuple[int, ...]

    @property
    def heap(self) -> bool:
        """Whether it was made at run time: by a class statement, or by a module in C."""
        return bool(self.flags & HEAP_TYPE)

    def is_a(self, other: int | None) -> bool:
        """Whether it is the type at that address or derives from it."""
        return other is not None and (other == self.address or other in self.mro)

    @property
    def is_class(self) -> bool:
        """Whether its instances are types themselves."""
        return bool(self.flags & IS_TYPE)


class Types:
    """The types of one process, remembered until ``forget``.

    Raises:
        Unreadable: from every method: what is there is not what it should be, or not mapped.
        OSError: from every method: no permission, or the process is gone.
    """

    def __init__(self, memory: Memory, layout: Layout) -> None:
        self.memory = memory
        self.layout = layout
        self._types: dict[int, TypeFacts] = {}
        self._slots: dict[int, dict[str, int]] = {}

    def forget(self) -> None:
        """Forgets types that were made at run time: one may be freed and another one made at its
        address. Those of C code stay as long as the process does.
        """
        self._types = {at: kind for at, kind in self._types.items() if kind.mro and not kind.heap}
        self._slots.clear()

    def type_of(self, address: int) -> TypeFacts:
        """The type of an object."""
        return self.type_at(self.memory.word(address + self.layout.ob_type))

    def bases(self, address: int) -> list[str]:
        """The names of an object's class and of all that it derives from, in that order."""
        return [self.type_at(base).name for base in self.type_of(address).mro]

    def type_at(self, address: int) -> TypeFacts:
        """The facts of the type at that address."""
        known = self._types.get(address)
        if known is None:
            known = self._types[address] = self._read_type(address)
        return known

    def _read_type(self, address: int) -> TypeFacts:
        lay = self.layout
        raw = self.memory.read(address, lay.type_mro + 8)
        meta = word_at(raw, lay.ob_type)
        flags = word_at(raw, lay.type_flags)
        if not word_at(self.memory.read(meta + lay.type_flags, 8), 0) & IS_TYPE:
            raise Torn("not a type")
        cached = 0
        if flags & HEAP_TYPE:
            cached = self.memory.word(address + lay.type_cached_keys)
        basicsize, dictoffset, weaklistoffset = (
            word_at(raw, at, "q")
            for at in (lay.type_basicsize, lay.type_dictoffset, lay.type_weaklistoffset)
        )
        if not 0 <= basicsize < 1 << 24:
            raise Torn("a type with instances of no size")
        return TypeFacts(
            address=address,
            name=self.c_text(word_at(raw, lay.type_name)),
            basicsize=basicsize,
            flags=flags,
            dictoffset=dictoffset,
            weaklistoffset=weaklistoffset,
            cached_keys=cached,
            mro=self._mro(word_at(raw, lay.type_mro)),
        )

    def _mro(self, address: int) -> tuple[int, ...]:
        if not address:
            return ()
        size = self.memory.word(address + self.layout.ob_size)
        if not 0 < size <= _MOST_BASES:
            raise Torn("a type with no or too many bases")
        raw = self.memory.read(address + self.layout.tuple_items, 8 * size)
        return struct.unpack(f"<{size}Q", raw)

    def types_of(self, addresses: list[int]) -> list[TypeFacts | None]:
        """The type of each object; None where there is none."""
        at = self.layout.ob_type // 8
        step = max(self.layout.object_size // 8, at + 1)  # a target may lie about where it is
        raw, missing = self.memory.gather(addresses, 8 * step)
        found = memoryview(raw).cast("Q")[at::step].tolist()
        known: dict[int, TypeFacts | None] = {}
        for address in set(found):
            try:
                known[address] = self.type_at(address)
            except Unreadable:
                known[address] = None
        return [None if n in missing else known[address] for n, address in enumerate(found)]

    def members(self, kind: TypeFacts) -> dict[str, int]:
        """Offset in an instance of each of its ``__slots__``, those of its bases too.

        CPython keeps the PyMemberDefs of a class behind the class object, whose ob_size counts
        them (PyHeapType_GET_MEMBERS).
        """
        known = self._slots.get(kind.address)
        if known is None:
            known = {}
            for base in reversed(kind.mro or (kind.address,)):
                known.update(self._own_members(base))
            self._slots[kind.address] = known
        return known

    def _own_members(self, address: int) -> dict[str, int]:
        lay = self.layout
        if not self.type_at(address).heap:
            return {}
        count = self.memory.word(address + lay.ob_size)
        if not 0 < count <= _MOST_BASES:
            return {}
        meta = self.type_of(address)
        raw = self.memory.read(address + meta.basicsize, lay.member_size * count)
        found = {}
        for at in range(0, len(raw), lay.member_size):
            try:
                name = self.c_text(word_at(raw, at + lay.member_name))
            except Unreadable:
                break  # a class of a module in C: no member definitions there
            found[name] = word_at(raw, at + lay.member_offset)
        return found

    def c_text(self, address: int) -> str:
        """A C string, cut at LONGEST_TEXT bytes or the end of what is mapped."""
        size = LONGEST_TEXT
        try:
            raw = self.memory.read(address, size)
        except Unreadable:
            raw = self.memory.read(address, min(size, _PAGE - address % _PAGE))
        return raw.split(b"\0")[0].decode("utf-8", "replace")
