"""The sound of the tracks of a data set: where their files are, and as WAV what browsers lack."""

import os
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from mar.audio import isolated
from mar.audio.decode import shown
from mar.embedding import files
from mar.errors import InputError
from mar.records import storage

if TYPE_CHECKING:
    from mar.embedding.store import Embeddings

RATE = 44100
_HEADER_BYTES, _SAMPLE_BYTES = 44, 2


def location(embeddings: "Embeddings", path: str, audio: str | os.PathLike | None) -> bytes:
    """Where the file of a track is.

    Args:
        embeddings: the `mar.Embeddings`, which has it.
        path: of the track.
        audio: folder that paths are relative to, if it is not where it was embedded.

    Raises:
        InputError: it is not there, or nowhere on a disk.
    """
    folder = embeddings.row(path).get("folder") if audio is None else os.fspath(audio)
    if folder is None:
        raise InputError(f"{shown(path)}: it was not noted where it is; --audio FOLDER says so")
    if storage.is_remote(folder):
        raise InputError(f"{shown(path)}: lies in a bucket; --audio FOLDER names a copy on a disk")
    place = files.place_of(path, folder)
    if os.path.isfile(place):
        return place
    name = os.path.join(folder, path)
    raise InputError(f"{shown(name)}: there is no such file any more; --audio says if it was moved")


class Wave:
    """A file as mono WAV, 16 bits, which is decoded while it is read.

    Args:
        place: of the file.
        seconds: how long it is; None where the data set does not know.

    Raises:
        InputError: the data set does not know.
    """

    def __init__(self, place: bytes, seconds: float | None) -> None:
        if seconds is None:
            raise InputError(
                f"{shown(place)}: cannot be played as WAV, as its data set does not say how long "
                f"it is; a browser that plays its format does without"
            )
        self._place = place
        self._samples = round(seconds * RATE)

    def __len__(self) -> int:
        """How many bytes it has."""
        return _HEADER_BYTES + _SAMPLE_BYTES * self._samples

    def read(self, first: int) -> Iterator[bytes]:
        """Yields its bytes from some byte on; what the decoder does not give is silence."""
        size, left = _SAMPLE_BYTES * self._samples, len(self)
        header = struct.pack(
            "<4sI4s4sIHHIIHH4sI",
            *(b"RIFF", size + _HEADER_BYTES - 8, b"WAVE", b"fmt ", 16, 1, 1, RATE),
            *(RATE * _SAMPLE_BYTES, _SAMPLE_BYTES, 8 * _SAMPLE_BYTES, b"data", size),
        )
        begin = 0
        for part in self._parts(header):
            part = part[:left]
            left -= len(part)
            if begin + len(part) > first:
                yield part[max(first - begin, 0) :]
            begin += len(part)
        silence = left - max(first - begin, 0)
        if silence > 0:
            yield bytes(silence)

    def _parts(self, header: bytes) -> Iterator[bytes]:
        yield header
        for block in isolated.blocks(self._place, sample_rate=RATE):
            yield (np.clip(block, -1, 1) * 32767).astype("<i2").tobytes()
