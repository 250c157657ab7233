"""Objects of this very process, read as if from outside."""

from __future__ import annotations

import collections
import os
import sys
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waitspy.remote import layouts
from waitspy.remote.memory import Memory, Torn, Unreadable
from waitspy.remote.objects import Objects
from waitspy.remote.type_facts import LONGEST_TEXT


@pytest.fixture(scope="module")
def objects() -> Objects:
    return made()


def made() -> Objects:
    return Objects(Memory(os.getpid()), layouts.of_version(sys.version_info[:2]))


class Plain:
    def __init__(self) -> None:
        self.first = 1
        self.second = "two"


class Slotted:
    __slots__ = ("one", "two")

    def __init__(self) -> None:
        self.one = 1


class Both(Slotted):
    def __init__(self) -> None:
        super().__init__()
        self.three = 3


@given(st.text(max_size=LONGEST_TEXT))
def test_text(text: str) -> None:
    # lone surrogates cannot be printed: they are replaced, one or more characters for one
    if any(0xD800 <= ord(c) < 0xE000 for c in text):
        made().text(id(text)).encode()
    else:
        assert made().text(id(text)) == text
        assert made().texts([id(text), id(text)]) == [text, text]


@pytest.mark.parametrize("letter", ["a", "é", "語", "🐍"])
def test_long_text_is_cut(objects: Objects, letter: str) -> None:
    text = letter * 10_000
    assert objects.text(id(text)) == letter * LONGEST_TEXT


@given(st.integers(-(1 << 119), 1 << 119))
def test_integers(number: int) -> None:
    assert made().integer(id(number)) == number


def test_bools_and_not_ints(objects: Objects) -> None:
    assert (objects.integer(id(True)), objects.integer(id(False))) == (1, 0)
    enormous = 1 << 500
    for thing in (1.5, "1", None, enormous):
        with pytest.raises(Torn):
            objects.integer(id(thing))


@given(st.lists(st.integers(), max_size=50))
def test_sequences_and_sets(numbers: list[int]) -> None:
    objects = made()
    assert objects.sequence(id(numbers)) == [id(n) for n in numbers]
    row = tuple(numbers)
    assert objects.sequence(id(row)) == [id(n) for n in row]
    members = set(numbers)
    assert sorted(objects.set_items(id(members))) == sorted(id(n) for n in members)
    for number in numbers[::2]:
        members.discard(number)
    assert sorted(objects.set_items(id(members))) == sorted(id(n) for n in members)


@given(st.dictionaries(st.text(max_size=70) | st.integers(), st.integers(), max_size=300))
def test_dicts(content: dict[Any, int]) -> None:
    objects = made()
    assert objects.dict_items(id(content)) == [(id(k), id(v)) for k, v in content.items()]
    for key in list(content)[::3]:
        del content[key]
    assert objects.dict_items(id(content)) == [(id(k), id(v)) for k, v in content.items()]
    assert objects.dict_size(id(content)) == len(content)


def test_subclasses_of_dict(objects: Objects) -> None:
    ordered = collections.OrderedDict(a=1, b=2)
    ordered.move_to_end("a")
    assert len(objects.dict_items(id(ordered))) == 2
    counts = collections.defaultdict(int, x=3)
    assert objects.named(objects.dict_items(id(counts))) == {"x": id(counts["x"])}


@pytest.mark.parametrize("touched", [False, True])
def test_attributes(objects: Objects, touched: bool) -> None:
    plain, both = Plain(), Both()
    if touched:  # from here on the dict exists
        assert plain.__dict__
        assert both.__dict__
    assert objects.attributes(id(plain)) == {
        "first": id(plain.first),
        "second": id(plain.second),
    }
    assert objects.attributes(id(plain), {"second"}) == {"second": id(plain.second)}
    assert objects.attributes(id(both)) == {"one": id(both.one), "three": id(both.three)}
    assert set(objects.attribute_values(id(plain))) == {id(plain.first), id(plain.second)}


def test_many_attributes(objects: Objects) -> None:
    plain = Plain()
    for n in range(100):
        setattr(plain, f"attribute_{n}", n)
    found = objects.attributes(id(plain))
    assert found == {name: id(value) for name, value in vars(plain).items()}


def test_slots(objects: Objects) -> None:
    slotted = Slotted()
    assert objects.members(objects.type_of(id(slotted))).keys() == {"one", "two"}
    assert objects.attributes(id(slotted)) == {"one": id(1)}


def test_types(objects: Objects) -> None:
    both = Both()
    kind = objects.type_of(id(both))
    assert (kind.name, kind.heap, kind.is_class) == ("Both", True, False)
    assert kind.mro == tuple(id(base) for base in Both.__mro__)
    assert kind.is_a(id(Slotted))
    assert not kind.is_a(id(Plain))
    assert not kind.is_a(None)
    assert objects.type_of(id(Both)).is_class
    assert (objects.type_of(id(1)).name, objects.type_of(id(1)).heap) == ("int", False)
    plain = Plain()
    found = objects.types_of([id("x"), 0, id(plain)])
    assert [kind and kind.name for kind in found] == ["str", None, "Plain"]


def test_what_is_no_object(objects: Objects) -> None:
    block = (1234567).to_bytes(8, "little") * 64
    for address in (0, 1, 1 << 20, 1 << 60, -8, id(block) + 64):
        with pytest.raises(Unreadable):
            objects.type_of(address)
        assert objects.texts([address]) == [None]


def test_weak_references(objects: Objects) -> None:
    plain = Plain()
    ref = weakref.ref(plain)
    assert objects.referents([id(ref)]) == [id(plain)]
    del plain
    assert objects.referents([id(ref)]) in ([id(None)], [])


def test_a_set_that_is_being_filled_is_torn(objects: Objects) -> None:
    members = set(range(100))
    used = id(members) + objects.layout.set_used

    class Meanwhile(Memory):
        def read(self, address: int, size: int) -> bytes:
            raw = super().read(address, size)
            at = used - address
            if 0 <= at < size:
                raw = raw[:at] + (99).to_bytes(8, "little") + raw[at + 8 :]
            return raw

    with pytest.raises(Torn):
        Objects(Meanwhile(os.getpid()), objects.layout).set_items(id(members))


def test_items_are_bounded(objects: Objects) -> None:
    many = list(range(1000))
    keyed, members = dict.fromkeys(many), set(many)
    with pytest.raises(Torn):
        objects.sequence(id(many), 999)
    with pytest.raises(Torn):
        objects.dict_items(id(keyed), 100)
    with pytest.raises(Torn):
        objects.set_items(id(members), 100)
