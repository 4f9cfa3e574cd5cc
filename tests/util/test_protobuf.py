"""Protocol buffers without a schema, against Google's own implementation."""

import pytest
from google.protobuf import descriptor_pb2, wrappers_pb2

from mar.util import protobuf

INTEGERS = [0, 1, 127, 128, 300, 16_383, 16_384, 2**32, 2**63 - 1, 2**64 - 1]


@pytest.mark.parametrize("value", INTEGERS)
def test_varints_are_those_of_protobuf(value):
    message = wrappers_pb2.UInt64Value(value=value).SerializeToString()
    if value:  # a default is not written
        assert message == b"\x08" + protobuf.varint(value)
    data = b"before" + protobuf.varint(value) + b"after"
    assert protobuf.read_varint(data, 6) == (value, len(data) - 5)


@pytest.mark.parametrize("value", [-(2**63), -1, 5, 2**63 - 1])
def test_integers_are_signed(value):
    message = wrappers_pb2.Int64Value(value=value).SerializeToString()
    assert protobuf.integers(message, (0, len(message))) == [value]


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 9, b"\xff" * 11])
def test_numbers_that_are_none_are_refused(data):
    with pytest.raises(ValueError, match="truncated within a number|more than 64 bits"):
        protobuf.read_varint(data, 0)


def message():
    """Strings, integers (of varint type) and, within an option, a double (of fixed width)."""
    option = descriptor_pb2.UninterpretedOption(double_value=0.5, identifier_value="é" * 100)
    option.name.add(name_part="part", is_extension=True)
    field = descriptor_pb2.FieldDescriptorProto(name="one", number=300)
    field.options.uninterpreted_option.append(option)
    return descriptor_pb2.DescriptorProto(name="two", field=[field, {"name": "three"}])


def test_fields_lie_where_protobuf_writes_them():
    data = message().SerializeToString()
    everything = (0, len(data))
    ((start, end),) = protobuf.spans(data, everything, number=1)
    assert data[start:end] == b"two"
    first, second = protobuf.spans(data, everything, number=2)
    parsed = descriptor_pb2.FieldDescriptorProto.FromString(data[slice(*first)])
    assert (parsed.name, parsed.number) == ("one", 300)
    ((start, end),) = protobuf.spans(data, second, number=1)
    assert data[start:end] == b"three"
    (options,) = protobuf.spans(data, first, number=8)
    (option,) = protobuf.spans(data, options, number=999)
    (double,) = [f for f in protobuf.fields(data, *option) if f.wire_type == protobuf.FIXED64]
    assert double.end - double.start == 8
    ((start, end),) = protobuf.spans(data, option, number=3)
    assert data[start:end].decode() == "é" * 100


def test_protobuf_parses_the_fields_that_we_write():
    inner = protobuf.field(1, "é".encode() * 100)
    data = protobuf.field(2, inner) + protobuf.tag(1, 3) + b"two"
    parsed = descriptor_pb2.DescriptorProto.FromString(data)
    assert parsed.name == "two"
    assert parsed.field[0].name == "é" * 100


def test_a_truncated_message_is_refused_wherever_it_ends():
    """It ends between two fields, and is then a shorter message, or it is refused."""
    data = message().SerializeToString()
    ends = {field.end for field in protobuf.fields(data)}
    for length in range(1, len(data)):
        if length in ends:
            continue
        with pytest.raises(ValueError, match="truncated|longer than what encloses it"):
            list(protobuf.fields(data[:length]))
