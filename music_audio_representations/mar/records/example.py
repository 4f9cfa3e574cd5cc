"""`tf.train.Example` on the wire, without TensorFlow: where in it each feature's bytes lie.

Example {1: Features}    Features {1: entry}…    entry {1: name, 2: Feature}
Feature {1: BytesList | 2: FloatList | 3: Int64List}    list {1: value}…
"""

import struct
from dataclasses import dataclass

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_KINDS = {1: "bytes_list", 2: "float_list", 3: "int64_list"}


@dataclass(frozen=True)
class Feature:
    """One feature of a serialised Example.

    Attributes:
        kind: "bytes_list", "float_list" or "int64_list".
        values: of a bytes_list, the `(start, end)` of each value in the serialised bytes; of a
            float_list, the `(start, end)` of each run of packed float32; of an int64_list, ints.
    """

    kind: str
    values: list


def encode(values, last, size):
    """A serialised Example, up to the value of its last feature.

    The Example is what is returned, followed by that value: so its offset is the length of what is
    returned.

    Args:
        values: feature values by name, each bytes or a list of ints (at least 0).
        last: name of the last feature, a bytes_list of one value.
        size: length of that value.
    """
    entries = b"".join(_field(1, _entry(name, value)) for name, value in values.items())
    # From the value outwards: what is in front of it, and how long what encloses it becomes.
    front = _tag(1, size)
    for number in (1, 2):
        front = _tag(number, len(front) + size) + front
    front = _field(1, last.encode()) + front
    front = entries + _tag(1, len(front) + size) + front
    return _tag(1, len(front) + size) + front


def decode(data):
    """The features of a serialised Example, by name.

    Raises:
        ValueError: `data` is not one.
    """
    features = {}
    try:
        for message in _values(data, 0, len(data), number=1):
            for entry in _values(data, *message, number=1):
                ((start, end),) = _values(data, *entry, number=1)
                (value,) = _values(data, *entry, number=2) or [(end, end)]
                features[data[start:end].decode()] = _feature(data, *value)
    except (IndexError, struct.error, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"not a tf.train.Example ({error})") from None
    return features


def _entry(name, value):
    if isinstance(value, bytes):
        feature = _field(1, _field(1, value))
    else:
        feature = _field(3, _field(1, b"".join(map(_varint, value))) if value else b"")
    return _field(1, name.encode()) + _field(2, feature)


def _field(number, payload):
    return _tag(number, len(payload)) + payload


def _tag(number, length):
    return _varint(number << 3 | _BYTES) + _varint(length)


def _varint(value):
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _feature(data, start, end):
    for number, kind in _KINDS.items():
        for span in _values(data, start, end, number):
            integers = kind == "int64_list"
            return Feature(kind, _integers(data, *span) if integers else _values(data, *span, 1))
    return Feature("bytes_list", [])


def _integers(data, start, end):
    """Int64List, packed or not."""
    integers = []
    for _, wire, value in _fields(data, start, end):
        if wire == _VARINT:
            integers.append(value)
            continue
        position, stop = value
        while position < stop:
            integer, position = _read_varint(data, position)
            integers.append(integer)
    return [value - 2**64 if value >= 2**63 else value for value in integers]


def _values(data, start, end, number):
    """The `(start, end)` of the length-delimited fields with this number."""
    return [
        value
        for found, wire, value in _fields(data, start, end)
        if found == number and wire == _BYTES
    ]


def _fields(data, start, end):
    """Yields `(number, wire type, value)`: an integer, or the `(start, end)` of what is longer."""
    while start < end:
        tag, start = _read_varint(data, start)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, start = _read_varint(data, start)
        else:
            length, start = _length(data, start, wire)
            value = (start, start + length)
            start += length
        if start > end:
            raise ValueError("a field is longer than what encloses it")
        yield number, wire, value


def _length(data, start, wire):
    if wire == _BYTES:
        return _read_varint(data, start)
    if wire in (_FIXED32, _FIXED64):
        return (4 if wire == _FIXED32 else 8), start
    raise ValueError(f"wire type {wire}")


def _read_varint(data, position):
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
