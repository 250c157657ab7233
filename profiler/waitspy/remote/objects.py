"""Decodes CPython objects in another process: text, numbers, containers, attributes.

Everything read may be torn or made up: lengths are bounded, types are checked, text is cut at
200 characters and decoded with replacement. What does not fit raises Torn.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Sequence

from waitspy.remote.memory import Torn, Unreadable, word_at
from waitspy.remote.type_facts import (
    INLINE_VALUES,
    IS_DICT,
    IS_INT,
    IS_LIST,
    IS_STR,
    IS_TUPLE,
    LONGEST_TEXT,
    MANAGED_DICT,
    TypeFacts,
    Types,
)

_MOST_ENTRIES = 1 << 17
_MOST_ATTRIBUTES = 1024
_MOST_OF_CLASS = 1 << 12
_MOST_DIGITS = 4
_SHORT = 56

_DUMMY_HASH = (1 << 64) - 1  # Objects/setobject.c: a removed entry has hash -1
_CODECS = {1: "latin-1", 2: "utf-16-le", 4: "utf-32-le"}


class Objects(Types):
    """The objects of one process.

    Raises:
        Unreadable: from every method: what is there is not what it should be, or not mapped.
        OSError: from every method: no permission, or the process is gone.
    """

    # --- text and numbers -----------------------------------------------------------------

    def text(self, address: int, longest: int = LONGEST_TEXT) -> str:
        """A str, cut at so many characters."""
        lay = self.layout
        if not self.type_of(address).flags & IS_STR:
            raise Torn("not a str")
        raw = self.memory.read(address, lay.str_ascii_size)
        return self._text(address, raw, longest)

    def _text(self, address: int, raw: bytes, longest: int = LONGEST_TEXT) -> str:
        lay = self.layout
        length = word_at(raw, lay.str_length)
        kind, compact, plain = self._text_state(raw)
        if not compact or kind not in _CODECS:
            raise Torn("a str of unknown kind")
        at = address + (lay.str_ascii_size if plain else lay.str_compact_size)
        size = min(length, longest) * kind
        return self.memory.read(at, size).decode(_CODECS[kind], "replace") if size else ""

    def _text_state(self, raw: bytes) -> tuple[int, int, int]:
        lay = self.layout
        state = word_at(raw, lay.str_state, "I")
        return (
            state >> lay.str_kind_shift & 7,
            state >> lay.str_compact_bit & 1,
            state >> lay.str_ascii_bit & 1,
        )

    def texts(self, addresses: list[int]) -> list[str | None]:
        """Many strs at once; None for what is none."""
        lay = self.layout
        head = lay.str_ascii_size
        pieces = self.memory.many(addresses, head + _SHORT)
        found: list[str | None] = []
        kinds: dict[int, bool] = {}
        for address, piece in zip(addresses, pieces, strict=True):
            try:
                if piece is None:  # at the end of a mapping
                    found.append(self.text(address))
                    continue
                kind = word_at(piece, lay.ob_type)
                if kind not in kinds:
                    kinds[kind] = bool(self.type_at(kind).flags & IS_STR)
                length = word_at(piece, lay.str_length)
                if not kinds[kind]:
                    found.append(None)
                elif length <= _SHORT and self._text_state(piece) == (1, 1, 1):
                    found.append(piece[head : head + length].decode("ascii", "replace"))
                else:
                    found.append(self._text(address, piece))
            except Unreadable:
                found.append(None)
        return found

    def integer(self, address: int) -> int:
        """An int or bool, up to 120 bits."""
        head = self.memory.read(address, self.layout.int_digits)
        digits = abs(self._digits(head))
        at = address + self.layout.int_digits
        return self._integer(head + (self.memory.read(at, 4 * digits) if digits else b""))

    def integers(self, addresses: list[int]) -> list[int | None]:
        """Many of them at once; None for what is none."""
        found: list[int | None] = []
        pieces = self.memory.many(addresses, self.layout.int_digits + 4 * _MOST_DIGITS)
        for address, piece in zip(addresses, pieces, strict=True):
            try:  # at the end of a mapping there may be less
                found.append(self.integer(address) if piece is None else self._integer(piece))
            except Unreadable:
                found.append(None)
        return found

    def _integer(self, raw: bytes) -> int:
        digits = self._digits(raw)
        parts = struct.unpack_from(f"<{abs(digits)}I", raw, self.layout.int_digits)
        magnitude = sum(int(part) << 30 * n for n, part in enumerate(parts))
        return magnitude if digits >= 0 else -magnitude

    def _digits(self, head: bytes) -> int:
        """How many digits an int has; less than none of a negative one."""
        lay = self.layout
        if not self.type_at(word_at(head, lay.ob_type)).flags & IS_INT:
            raise Torn("not an int")
        size = word_at(head, lay.int_size, "q")
        if lay.pair >= (3, 12):  # lv_tag: sign in the low bits, 0 positive, 1 zero, 2 negative
            sign = 1 - (size & 3)
            size = sign * (size >> 3)
        if not -_MOST_DIGITS <= size <= _MOST_DIGITS:
            raise Torn("an int of unlikely size")
        return size

    # --- containers -----------------------------------------------------------------------

    def of_type(self, words: Sequence[int], kind: int | None) -> list[int]:
        """Those of the words that are the addresses of objects of just that type."""
        at = self.layout.ob_type
        pieces = self.memory.many(words, at + 8)
        return [
            word
            for word, piece in zip(words, pieces, strict=True)
            if piece is not None and word_at(piece, at) == kind
        ]

    def names_used(self, code: int, limit: int) -> list[str | None]:
        """The names of attributes and globals that code uses, in the order in which they come."""
        names = self.memory.word(code + self.layout.code_names)
        return self.texts(self.sequence(names, limit))

    def sequence(self, address: int, limit: int = _MOST_ENTRIES) -> list[int]:
        """The addresses of the items of a list or tuple."""
        lay = self.layout
        flags = self.type_of(address).flags
        size = self.memory.word(address + lay.ob_size)
        if size > limit:
            raise Torn("a sequence of unlikely length")
        if flags & IS_TUPLE:
            at = address + lay.tuple_items
        elif flags & IS_LIST:
            at = self.memory.word(address + lay.list_items)
        else:
            raise Torn("no list or tuple")
        return list(struct.unpack(f"<{size}Q", self.memory.read(at, 8 * size))) if size else []

    def deque_items(self, address: int, limit: int) -> list[int]:
        """The addresses of the first items of a deque."""
        lay = self.layout
        raw = self.memory.read(address, lay.deque_state + 8)
        if self.type_at(word_at(raw, lay.ob_type)).name != "collections.deque":
            raise Torn("not a deque")
        size, block = word_at(raw, lay.ob_size), word_at(raw, lay.deque_left_block)
        index = word_at(raw, lay.deque_left_index)
        found: list[int] = []
        wanted = min(size, limit)
        while len(found) < wanted and index < lay.deque_block_items:
            count = min(lay.deque_block_items - index, wanted - len(found))
            at = block + lay.deque_block_data + 8 * index
            found += struct.unpack(f"<{count}Q", self.memory.read(at, 8 * count))
            if len(found) < wanted:
                block, index = self.memory.word(block + lay.deque_block_right), 0
        return found

    def dict_size(self, address: int) -> int:
        """How many entries a dict has."""
        if not self.type_of(address).flags & IS_DICT:
            raise Torn("not a dict")
        return self.memory.word(address + self.layout.dict_used)

    def dict_items(self, address: int, limit: int = _MOST_ENTRIES) -> list[tuple[int, int]]:
        """The addresses of keys and values of a dict, in insertion order."""
        lay = self.layout
        if not self.type_of(address).flags & IS_DICT:
            raise Torn("not a dict")
        raw = self.memory.read(address, lay.dict_values + 8)
        entries = self._entries(word_at(raw, lay.dict_keys), limit)
        values = word_at(raw, lay.dict_values)
        if values:
            found = self._split(values, [key for key, _ in entries])
        else:
            found = [(key, value) for key, value in entries if key and value]
        if len(found) != word_at(raw, lay.dict_used):
            raise Torn("a dict that changes")
        return found

    def _split(self, values: int, keys: list[int]) -> list[tuple[int, int]]:
        """Values that lie apart from the keys (those of most instances)."""
        if not keys:
            return []
        if self.layout.pair >= (3, 13):
            values += 8  # struct _dictvalues: four bytes of counts before the values
        raw = self.memory.read(values, 8 * len(keys))
        found = struct.unpack(f"<{len(keys)}Q", raw)
        return [(key, value) for key, value in zip(keys, found, strict=True) if key and value]

    def _entries(self, keys: int, limit: int) -> list[tuple[int, int]]:
        """Key and value addresses of a PyDictKeysObject; both zero where one was removed."""
        lay = self.layout
        head = self.memory.read(keys, lay.keys_indices)
        count = word_at(head, lay.keys_nentries)
        words = 3  # PyDictKeyEntry: hash, key, value
        if lay.pair >= (3, 11):
            # dk_log2_index_bytes, dk_kind (0: general); others leave out the hash
            log2_index, kind = word_at(head, 9, "B"), word_at(head, 10, "B")
            index_bytes = 1 << log2_index if log2_index < 32 else 1 << 32
            words = 3 if kind == 0 else 2
        else:
            size = word_at(head, 8)
            width = 1 if size <= 0xFF else 2 if size <= 0xFFFF else 4
            index_bytes = size * width
        if count > limit or index_bytes > _MOST_ENTRIES * 16:
            raise Torn("a dict of unlikely size")
        if not count:
            return []
        raw = self.memory.read(keys + lay.keys_indices + index_bytes, count * words * 8)
        flat = struct.unpack(f"<{count * words}Q", raw)
        return list(zip(flat[words - 2 :: words], flat[words - 1 :: words], strict=True))

    def named(
        self, items: Iterable[tuple[int, int]], names: Collection[str] | None = None
    ) -> dict[str, int]:
        """Value by name of items whose keys are strs: all, or those of ``names``."""
        pairs = list(items)
        if names is not None:
            pairs = self._as_long_as(pairs, {len(name) for name in names})
        texts = self.texts([key for key, _ in pairs])
        return {
            text: value
            for text, (_, value) in zip(texts, pairs, strict=True)
            if text is not None and (names is None or text in names)
        }

    def _as_long_as(
        self, pairs: list[tuple[int, int]], lengths: Collection[int]
    ) -> list[tuple[int, int]]:
        """Those whose key, if it is a str, has one of these lengths: few are left to be read."""
        at = self.layout.str_length // 8
        raw, _ = self.memory.gather([key for key, _ in pairs], 8 * (at + 1))
        found = memoryview(raw).cast("Q")[at :: at + 1].tolist()
        return [pair for pair, length in zip(pairs, found, strict=True) if length in lengths]

    def set_items(self, address: int, limit: int = _MOST_ENTRIES) -> list[int]:
        """The addresses of the members of a set; the caller knows that it is one.

        A set that grows already shows its new table while the members are still being copied:
        only their number tells.
        """
        lay = self.layout
        raw = self.memory.read(address, lay.set_table + 8)
        mask, table = word_at(raw, lay.set_mask), word_at(raw, lay.set_table)
        if mask & (mask + 1) or mask >= 4 * limit:
            raise Torn("a set of unlikely size")
        flat = memoryview(self.memory.read(table, 16 * (mask + 1))).cast("Q")
        found = [
            key
            for key, digest in zip(flat[0::2].tolist(), flat[1::2].tolist(), strict=True)
            if key and digest != _DUMMY_HASH
        ]
        if len(found) != word_at(raw, lay.set_used):
            raise Torn("a set that changes")
        return found

    def referents(self, weakrefs: list[int]) -> list[int]:
        """What each weak reference refers to; those that died are left out."""
        at = self.layout.weakref_object
        raw, missing = self.memory.gather([ref + at for ref in weakrefs], 8)
        if missing:
            raise Torn("a weak reference that is gone")
        return [address for address in memoryview(raw).cast("Q").tolist() if address]

    # --- attributes -----------------------------------------------------------------------

    def attributes(self, address: int, names: Collection[str] | None = None) -> dict[str, int]:
        """Value by name of an instance's attributes: all, or those of ``names``."""
        kind = self.type_of(address)
        found = self.named(self._dict_of(address, kind), names)
        slots = {n: at for n, at in self.members(kind).items() if names is None or n in names}
        if slots:
            places = [address + at for at in slots.values()]
            raw, missing = self.memory.gather(places, 8)
            values = memoryview(raw).cast("Q").tolist()
            for index, name in enumerate(slots):
                if index not in missing and values[index]:
                    found.setdefault(name, values[index])
        return found

    def attribute_values(self, address: int) -> list[int]:
        """The values in an instance's ``__dict__``."""
        return [value for _, value in self._dict_of(address, self.type_of(address))]

    def inherited(self, kind: TypeFacts, name: str) -> int:
        """What a class, or one of its bases, has by that name; zero: nothing, or those are written
        in C.
        """
        for base in kind.mro:
            if not self.type_at(base).heap:
                break
            names = self.memory.word(base + self.layout.type_dict)
            found = self.named(self.dict_items(names, _MOST_OF_CLASS), {name})
            if found:
                return found[name]
        return 0

    def made_dict(self, address: int) -> int:
        """The dict object of an instance; zero: it has none, or it has never been made."""
        return self._places_of(address, self.type_of(address))[0]

    def _dict_of(self, address: int, kind: TypeFacts) -> list[tuple[int, int]]:
        """Keys and values of the instance's ``__dict__``, which may never have been made."""
        made, values = self._places_of(address, kind)
        if made:
            return self.dict_items(made, _MOST_ATTRIBUTES)
        if not values:
            return []
        entries = self._entries(kind.cached_keys, _MOST_ATTRIBUTES)
        return self._split(values, [key for key, _ in entries])

    def _places_of(self, address: int, kind: TypeFacts) -> tuple[int, int]:
        """Where an instance keeps its attributes: in a dict object, or as values without one."""
        lay = self.layout
        if lay.pair < (3, 11) or not kind.flags & MANAGED_DICT:
            if kind.dictoffset <= 0:
                return 0, 0
            return self.memory.word(address + kind.dictoffset), 0
        if lay.pair == (3, 11):  # before the object: values, dict, GC header
            values, made = struct.unpack("<QQ", self.memory.read(address - 32, 16))
            return made, values
        made = self.memory.word(address - 24)
        if lay.pair == (3, 12):  # one word for both, the lowest bit tells
            return (0, made + 1) if made & 1 else (made, 0)
        values = 0  # the values follow the object, until somebody asks for the dict
        if not made and kind.flags & INLINE_VALUES:
            valid = self.memory.read(address + kind.basicsize, 8)[3]
            values = address + kind.basicsize if valid else 0
        return made, values
