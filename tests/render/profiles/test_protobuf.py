"""The wire format: what is written is what protobuf's own library reads."""

from __future__ import annotations

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor_pb2 import FileDescriptorSet, SourceCodeInfo
from google.protobuf.wrappers_pb2 import BoolValue, Int64Value, UInt64Value
from hypothesis import given
from hypothesis import strategies as st

from tests.readers import wire
from waitspy.render.profiles import protobuf

INT64 = st.integers(-(2**63), 2**63 - 1)


@given(INT64)
def test_whole_numbers(number: int) -> None:
    assert Int64Value.FromString(protobuf.integer(1, number)).value == number


@given(st.integers(0, 2**64 - 1))
def test_numbers_without_a_sign(number: int) -> None:
    assert UInt64Value.FromString(protobuf.integer(1, number)).value == number


def test_truth_is_a_number() -> None:
    assert BoolValue.FromString(protobuf.integer(1, True)).value is True


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_texts(text: str) -> None:
    assert AnyMessage.FromString(protobuf.text(1, text)).type_url == text


@given(st.lists(st.integers(0, 2**31 - 1)))
def test_packed_numbers_in_a_message_in_a_message(numbers: list[int]) -> None:
    inner = protobuf.message(1, protobuf.packed(1, numbers), protobuf.packed(2, [3, 4]))
    (location,) = SourceCodeInfo.FromString(inner).location
    assert (list(location.path), list(location.span)) == (numbers, [3, 4])


@pytest.mark.parametrize("field", [1, 17, 2047, 2048])
def test_a_field_that_the_schema_does_not_have_is_noticed(field: int) -> None:
    inner = protobuf.message(1, protobuf.text(field, "x"))
    found = wire.unknown(FileDescriptorSet.FromString(inner))
    assert found == ([] if field == 1 else [f"FileDescriptorProto.{field}"])
