"""Columns: a row's value goes in and comes out, None and words above 2**63 included."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from waitspy.model.columns import UNKNOWN, int64s, known, known_word, thin, words

NUMBERS = st.integers(1 - 2**63, 2**63 - 1)
WORDS = st.integers(0, 2**64 - 1).filter(lambda word: word != 2**63)  # stands for None


@given(st.lists(st.none() | NUMBERS))
def test_values_come_out_as_they_went_in(values: list[int | None]) -> None:
    assert [known(value) for value in int64s(values).tolist()] == values


@given(st.lists(st.none() | WORDS))
def test_so_do_words_of_64_bits(values: list[int | None]) -> None:
    assert [known_word(value) for value in words(values).tolist()] == values


def test_a_small_word_is_the_same_number_in_its_column() -> None:
    assert words([5, None, 2**64 - 1]).tolist() == [5, UNKNOWN, -1]
    assert words([]).tolist() == int64s([]).tolist() == []


def test_a_damaged_word_is_cut_to_its_bits() -> None:
    assert words([2**64 + 5, -3, None]).tolist() == [5, -3, UNKNOWN]


@given(st.lists(NUMBERS) | st.tuples(NUMBERS, st.integers(0, 9)).map(lambda one: [one[0]] * one[1]))
def test_a_thin_column_is_the_same(values: list[int]) -> None:
    assert thin(int64s(values)).tolist() == values


def test_where_all_values_are_the_same_it_takes_no_room() -> None:
    assert thin(int64s([7] * 1_000)).strides == (0,)
    assert thin(int64s([7, 8])).strides == (8,)
