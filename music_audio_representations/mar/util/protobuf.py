"""The wire format of protocol buffers: fields in serialised messages, found without a schema.

A message is a sequence of fields, each a tag (field number and wire type) and a payload. Integers
are varints: seven bits a byte, lowest first, the top bit set in all bytes but the last. So the
bytes `08 96 01` are

    08 = 1 << 3 | VARINT           field 1 is an integer:
    96 01 → 0x16 | 0x01 << 7       150

Source: https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types
_WIDTHS = {FIXED64: 8, FIXED32: 4}
Span = tuple[int, int]


class Field(NamedTuple):
    """One field of a message: its payload is `data[start:end]`."""

    number: int
    wire_type: int
    start: int
    end: int


def varint(value: int) -> bytes:
    """An integer of at least 0 as a varint."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """The varint that begins at `position`, and the position behind it.

    Raises:
        ValueError: it is cut off, or has more than 64 bits.
    """
    value = 0
    for shift in range(0, 64, 7):
        if position >= len(data):
            raise ValueError("truncated within a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number of more than 64 bits")


def tag(number: int, length: int) -> bytes:
    """What precedes a payload of `length` bytes in field `number`, of wire type BYTES."""
    return varint(number << 3 | BYTES) + varint(length)


def field(number: int, payload: bytes) -> bytes:
    """Field `number` with a payload of wire type BYTES: a string or a message."""
    return tag(number, len(payload)) + payload


def fields(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Field]:
    """Yields the fields of the message `data[start:end]`, in order.

    Raises:
        ValueError: it is no message, or it is truncated.
    """
    end = len(data) if end is None else end
    while start < end:
        key, start = read_varint(data, start)
        number, wire_type = key >> 3, key & 7
        if wire_type == VARINT:
            _, stop = read_varint(data, start)
        elif wire_type == BYTES:
            length, start = read_varint(data, start)
            stop = start + length
        elif wire_type in _WIDTHS:
            stop = start + _WIDTHS[wire_type]
        else:
            raise ValueError(f"wire type {wire_type}")
        if stop > end:
            raise ValueError("a field is longer than what encloses it")
        yield Field(number, wire_type, start, stop)
        start = stop


def spans(data: bytes, span: Span, number: int) -> list[Span]:
    """The `(start, end)` of each payload of field `number`, of wire type BYTES, in a message.

    Args:
        data: bytes that hold the message.
        span: where the message lies in them.
        number: of the field.

    Raises:
        ValueError: see `fields`.
    """
    return [
        (field.start, field.end)
        for field in fields(data, *span)
        if field.number == number and field.wire_type == BYTES
    ]


def integers(data: bytes, span: Span) -> list[int]:
    """All integers (int64) of a message that has only those, whether they are packed or not.

    Raises:
        ValueError: see `fields`.
    """
    unsigned = []
    for field in fields(data, *span):
        position = field.start
        while position < field.end:
            value, position = read_varint(data, position)
            unsigned.append(value)
    return [value - 2**64 if value >= 2**63 else value for value in unsigned]
