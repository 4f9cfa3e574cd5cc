"""`tf.train.Example` on the wire, without TensorFlow: where in it each feature's bytes lie.

Example {1: Features}    Features {1: entry}…    entry {1: name, 2: Feature}
Feature {1: BytesList | 2: FloatList | 3: Int64List}    list {1: value}…
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mar.util import protobuf
from mar.util.protobuf import Span

_KINDS = {1: "bytes_list", 2: "float_list", 3: "int64_list"}


@dataclass(frozen=True)
class Feature:
    """One feature of a serialised Example.

    Attributes:
        kind: "bytes_list", "float_list" or "int64_list".
        spans: `(start, end)` in the serialised bytes: of each value of a bytes_list, of each run
            of packed float32 of a float_list; empty for an int64_list.
        integers: the values of an int64_list; empty for the other kinds.
    """

    kind: str
    spans: Sequence[Span] = ()
    integers: Sequence[int] = ()


def encode(values: Mapping[str, bytes | Sequence[int]], last: str, size: int) -> bytes:
    """A serialised Example, up to the value of its last feature.

    The Example is these bytes followed by that value, whose offset in it is therefore their length.

    Args:
        values: feature values by name, each bytes or ints of at least 0.
        last: name of the last feature, a bytes_list of one value.
        size: length of that value, bytes.
    """
    entries = b"".join(protobuf.field(1, _entry(name, value)) for name, value in values.items())
    # From the value outwards: `front` is what precedes it within each enclosing message.
    front = protobuf.tag(1, size)
    for number in (1, 2):
        front = protobuf.tag(number, len(front) + size) + front
    front = protobuf.field(1, last.encode()) + front
    front = entries + protobuf.tag(1, len(front) + size) + front
    return protobuf.tag(1, len(front) + size) + front


def decode(data: bytes) -> dict[str, Feature]:
    """The features of a serialised Example, by name.

    Raises:
        ValueError: `data` is not one.
    """
    features = {}
    try:
        for message in protobuf.spans(data, (0, len(data)), number=1):
            for entry in protobuf.spans(data, message, number=1):
                ((start, end),) = protobuf.spans(data, entry, number=1)
                (value,) = protobuf.spans(data, entry, number=2) or [(end, end)]
                features[data[start:end].decode()] = _feature(data, value)
    except ValueError as error:
        raise ValueError(f"not a tf.train.Example ({error})") from None
    return features


def _entry(name: str, value: bytes | Sequence[int]) -> bytes:
    if isinstance(value, bytes):
        feature = protobuf.field(1, protobuf.field(1, value))
    else:
        packed = b"".join(map(protobuf.varint, value))
        feature = protobuf.field(3, protobuf.field(1, packed) if value else b"")
    return protobuf.field(1, name.encode()) + protobuf.field(2, feature)


def _feature(data: bytes, span: Span) -> Feature:
    for number, kind in _KINDS.items():
        for values in protobuf.spans(data, span, number):
            if kind == "int64_list":
                return Feature(kind, integers=protobuf.integers(data, values))
            return Feature(kind, spans=protobuf.spans(data, values, number=1))
    return Feature("bytes_list")
