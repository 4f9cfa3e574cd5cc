"""What a record holds: one track's log-mel spectrogram, its id and its labels.

A record is a `tf.train.Example` with the features `id` (bytes), `dtype` (bytes: "float16" or
"float32"), `frames` (int), `labels` (ints, indices into the vocabulary) and `log_mel` (bytes:
row-major `[frame, mel]`, little-endian). Records that others wrote may name them differently, may
lack all but the spectrogram, and may hold it as a `float_list`.
"""

from dataclasses import dataclass

import numpy as np

from mar.records import example

FEATURES = {
    "id": "id",
    "spectrogram": "log_mel",
    "labels": "labels",
    "dtype": "dtype",
    "frames": "frames",
}


@dataclass(frozen=True)
class Track:
    """A record, taken apart.

    Attributes:
        start, end: where in the record's data the spectrogram's bytes lie.
        id: str, or None where the records have none.
        labels: ints (indices) or strs (names).
        stated: what the record itself says of its spectrogram, of `dtype` and `frames`.
    """

    start: int
    end: int
    id: str | None
    labels: list
    stated: dict


def front(id, labels, frames, dtype, size):
    """What precedes the spectrogram's `size` bytes in a record's data."""
    features = {
        FEATURES["id"]: id.encode(),
        FEATURES["dtype"]: dtype.encode(),
        FEATURES["frames"]: [frames],
        FEATURES["labels"]: labels,
    }
    return example.encode(features, FEATURES["spectrogram"], size)


def parse(data, names, dtype):
    """Takes a record's data apart.

    Args:
        data: bytes.
        names: names of the features, as in `FEATURES`; None for one that is not there.
        dtype: of the spectrogram.

    Returns:
        `Track`.

    Raises:
        ValueError: not an Example, a feature is missing or of another kind.
    """
    features = example.decode(data)

    def feature(role):
        if names.get(role) is None:
            return None
        if names[role] not in features:
            raise ValueError(f"no feature {names[role]!r}, expected as {role}; has {[*features]}")
        return features[names[role]]

    def text(role):
        found = feature(role)
        if found is None:
            return None
        if found.kind != "bytes_list" or len(found.values) != 1:
            raise ValueError(f"the feature {names[role]!r}: expected one string")
        return data[slice(*found.values[0])].decode()

    frames = feature("frames")
    if frames is not None and (frames.kind != "int64_list" or len(frames.values) != 1):
        raise ValueError(f"the feature {names['frames']!r}: expected one integer")
    stated = {"dtype": text("dtype"), "frames": frames and frames.values[0]}
    start, end = _span(feature("spectrogram"), names["spectrogram"], dtype)
    return Track(start, end, text("id"), _labels(data, feature("labels")), stated)


def _span(feature, name, dtype):
    if feature.kind == "int64_list":
        raise ValueError(f"the feature {name!r}: expected a bytes_list or a float_list, got ints")
    if len(feature.values) != 1:
        raise ValueError(f"the feature {name!r}: expected one value, got {len(feature.values)}")
    if feature.kind == "float_list" and np.dtype(dtype) != np.float32:
        raise ValueError(f"the feature {name!r} is a float_list, which is float32, not {dtype}")
    return feature.values[0]


def _labels(data, feature):
    if feature is None:
        return []
    if feature.kind == "float_list":
        raise ValueError("labels: expected ints or strings, got floats")
    if feature.kind == "int64_list":
        return feature.values
    return [data[start:end].decode() for start, end in feature.values]
