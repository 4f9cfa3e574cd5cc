"""What a record holds: one track's log-mel spectrogram, its id and its labels.

A record is a `tf.train.Example` with the features `id` (bytes), `dtype` (bytes: "float16" or
"float32"), `frames` (int), `labels` (ints, indices into the vocabulary) and `log_mel` (bytes:
row-major `[frame, mel]`, little-endian). Records that others wrote may name them differently, may
lack all but the spectrogram, and may hold it as a `float_list`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mar.records import example
from mar.records.example import Feature
from mar.util.protobuf import Span

FEATURES = {
    "id": "id",
    "spectrogram": "log_mel",
    "labels": "labels",
    "dtype": "dtype",
    "frames": "frames",
}


@dataclass(frozen=True)
class Record:
    """A record, taken apart.

    Attributes:
        start, end: where in the record's data the spectrogram's bytes lie.
        id: str, or None where the records have none.
        labels: indices into the vocabulary, or names.
        stated: the `dtype` and the number of `frames` that the record itself states; None where it
            states none.
    """

    start: int
    end: int
    id: str | None
    labels: Sequence[int] | Sequence[str]
    stated: Mapping[str, str | int | None]


def front(id: str, labels: Sequence[int], frames: int, dtype: str, size: int) -> bytes:
    """What precedes the spectrogram's `size` bytes in a record's data."""
    features: dict[str, bytes | Sequence[int]] = {
        FEATURES["id"]: id.encode(),
        FEATURES["dtype"]: dtype.encode(),
        FEATURES["frames"]: [frames],
        FEATURES["labels"]: labels,
    }
    return example.encode(features, FEATURES["spectrogram"], size)


def parse(data: bytes, names: Mapping[str, str | None], dtype: str) -> Record:
    """Takes a record's data apart.

    Args:
        data: the record.
        names: names of the features by role, as in `FEATURES`; None for one that is not there.
        dtype: of the spectrogram.

    Raises:
        ValueError: not an Example, or a feature is missing or of another kind.
    """
    features = example.decode(data)

    def feature(role: str) -> Feature | None:
        name = names.get(role)
        if name is None:
            return None
        if name not in features:
            raise ValueError(f"no feature {name!r}, expected as {role}; has {[*features]}")
        return features[name]

    def text(role: str) -> str | None:
        value = feature(role)
        if value is None:
            return None
        if value.kind != "bytes_list" or len(value.spans) != 1:
            raise ValueError(f"the feature {names[role]!r}: expected one string")
        return data[slice(*value.spans[0])].decode()

    frames = feature("frames")
    if frames is not None and len(frames.integers) != 1:
        raise ValueError(f"the feature {names['frames']!r}: expected one integer")
    stated = {"dtype": text("dtype"), "frames": None if frames is None else frames.integers[0]}
    spectrogram = feature("spectrogram")
    if spectrogram is None:
        raise ValueError("no name for the feature that holds the spectrogram")
    start, end = _span(spectrogram, names["spectrogram"], dtype)
    return Record(start, end, text("id"), _labels(data, feature("labels")), stated)


def _span(feature: Feature, name: str | None, dtype: str) -> Span:
    if feature.kind == "int64_list":
        raise ValueError(f"the feature {name!r}: expected a bytes_list or a float_list, got ints")
    if len(feature.spans) != 1:
        raise ValueError(f"the feature {name!r}: expected one value, got {len(feature.spans)}")
    if feature.kind == "float_list" and np.dtype(dtype) != np.float32:
        raise ValueError(f"the feature {name!r} is a float_list, which is float32, not {dtype}")
    return feature.spans[0]


def _labels(data: bytes, feature: Feature | None) -> Sequence[int] | Sequence[str]:
    if feature is None:
        return []
    if feature.kind == "float_list":
        raise ValueError("labels: expected ints or strings, got floats")
    if feature.kind == "int64_list":
        return feature.integers
    return [data[start:end].decode() for start, end in feature.spans]
