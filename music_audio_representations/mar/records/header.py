"""What a manifest says of a data set as a whole: its front end, its labels, its shards."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mar.errors import ConfigError, InputError
from mar.records.storage import File, Location
from mar.util import plain_data
from mar.util.checksums import crc32c
from mar.util.kinds import NonNegativeInt, PositiveInt

FINGERPRINT_BYTES = 4096
FORMAT = 1
_METADATA = b"mar.records"
_HEADER = {
    **{"front_end": Mapping[str, object], "dtype": Literal["float16", "float32"]},
    **{"vocabulary": tuple[str, ...], "features": Mapping[str, str | None]},
    **{"shards": tuple[object, ...], "made_from": str | None},
}
_FRONT_END = {"n_mels": PositiveInt, "hop_length": PositiveInt, "sample_rate": PositiveInt}
_SHARD = {"name": str, "size": NonNegativeInt, "fingerprint": NonNegativeInt}


@dataclass(frozen=True)
class Shard:
    """A TFRecord file as it was when the manifest was made.

    Attributes:
        name: relative to the manifest's folder, or absolute.
        size: bytes.
        fingerprint: CRC-32C of its first `FINGERPRINT_BYTES` bytes.
        dropped: ids of the tracks in it that the data set has no more.
    """

    name: str
    size: int
    fingerprint: int
    dropped: Sequence[str] = ()


@dataclass(frozen=True)
class Header:
    """What a manifest says of the data set as a whole.

    Attributes:
        front_end: the resolved configuration of the `LogMel` that made the spectrograms.
        dtype: "float16" or "float32", as stored.
        vocabulary: names of the labels; the rows hold indices into it.
        features: names of the features in the records by role, as in `schema.FEATURES`; None for
            one that the records lack.
        shards: in the order of their tracks in the manifest.
        made_from: hash of what it was made from (tracks, configuration), or None.
    """

    front_end: Mapping[str, Any]
    dtype: str
    vocabulary: Sequence[str]
    features: Mapping[str, str | None]
    shards: Sequence[Shard]
    made_from: str | None = None

    @property
    def n_mels(self) -> int:
        """Mel bands of each frame."""
        return self.front_end["LogMel"]["n_mels"]

    @property
    def hop_seconds(self) -> float:
        """Seconds from frame to frame."""
        return self.front_end["LogMel"]["hop_length"] / self.front_end["LogMel"]["sample_rate"]

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame as stored."""
        return self.n_mels * np.dtype(self.dtype).itemsize

    def check_alike(self, other: "Header", ours: Location, theirs: Location) -> None:
        """That spectrograms of another data set may lie beside those of this one.

        Args:
            other: what is said of the other one.
            ours, theirs: where they lie, for the message.

        Raises:
            ConfigError: they were made in another way; the message says in which.
        """
        (one,), (two,) = (list(header.front_end.values()) for header in (self, other))
        one, two = {**one, "dtype": self.dtype}, {**two, "dtype": other.dtype}
        different = [name for name in {**one, **two} if one.get(name) != two.get(name)]
        if different:
            told = ", ".join(
                f"{name} is {one.get(name)}, not {two.get(name)}" for name in different
            )
            raise ConfigError(
                f"{ours}: expected the front end of {theirs}, but {told}; write one of them anew"
            )


def encoded(header: Header) -> dict[bytes, str]:
    """Its place in a Parquet file's metadata."""
    return {_METADATA: json.dumps({"format": FORMAT, **dataclasses.asdict(header)})}


def decoded(metadata: Mapping[bytes, bytes] | None, location: str) -> Header:
    """The header in a Parquet file's metadata.

    Raises:
        InputError: the file has none, or that of a later version.
        ValueError, LookupError, TypeError: it is damaged.
    """
    if not metadata or _METADATA not in metadata:
        raise InputError(
            f"{location}: a Parquet file, but no manifest of TFRecords. For TFRecords that others "
            f"wrote, mar records index makes one"
        )
    fields = plain_data.checked(plain_data.parsed(metadata[_METADATA]), {"format": int})
    if fields.pop("format") > FORMAT:
        raise InputError(f"{location}: made by a newer version of this package")
    plain_data.checked(fields, _HEADER, "its header")
    plain_data.checked(fields["front_end"], {"LogMel": Mapping[str, object]}, "its front end")
    plain_data.checked(fields["front_end"]["LogMel"], _FRONT_END, "its LogMel")
    shards = [
        Shard(**plain_data.checked(shard, _SHARD, f"shard {number}"))
        for number, shard in enumerate(fields.pop("shards"))
    ]
    return Header(**fields, shards=shards)


def fingerprint(file: File) -> int:
    """`Shard.fingerprint` of an open file."""
    return crc32c(file.read(0, FINGERPRINT_BYTES))
