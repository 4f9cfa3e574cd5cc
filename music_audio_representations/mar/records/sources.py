"""What data sets are made from: audio files."""

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mar.audio import decode, isolated
from mar.errors import InputError
from mar.util.names import spelled

if TYPE_CHECKING:
    from mar.audio.logmel import LogMel


@dataclass(frozen=True)
class AudioSource:
    """Log-mel spectrograms of audio files; each track has a `path`.

    Attributes:
        root: the folder that paths are relative to.
        front_end: resolved configuration of a `LogMel`.
        dtype: of the spectrograms.
    """

    root: str = field(repr=False)
    front_end: Mapping[str, Any]
    dtype: str

    def read(self, track: Mapping[str, Any]) -> np.ndarray:
        """All frames of a track's file, `(frames, n_mels)` of `dtype`.

        Raises:
            InputError: it cannot be read; the message has the path as the track gives it, without
                `root`.
        """
        path, log_mel = self._path(track), self._log_mel
        try:
            with np.errstate(over="ignore"):  # the writer refuses what is not finite
                blocks = [block.astype(self.dtype) for block in log_mel.stream(path)]
        except InputError as error:
            reason = str(error).removeprefix(f"{decode.shown(path)}: ")
            raise InputError(f"{decode.shown(track['path'])}: {reason}") from None
        return np.concatenate(blocks)

    def seconds(self, track: Mapping[str, Any]) -> float | None:
        """Length of a track's file as far as its header tells it, which is enough to plan shards.

        Decoded where the header tells nothing; None if it is unreadable.
        """
        path = self._path(track)
        try:
            with isolated.decoder() as decoder:
                header = decoder.info(path)
                if header.duration_seconds is not None:
                    return header.duration_seconds
                _, samples = decoder.open(path)
                return sum(map(len, samples)) / header.sample_rate
        except InputError:
            return None

    def _path(self, track: Mapping[str, Any]) -> str:
        """Where a track's file is; the disk may spell its name in another Unicode form."""
        return os.path.join(self.root, spelled(self.root, track["path"]))

    @functools.cached_property
    def _log_mel(self) -> "LogMel":
        from mar.audio.logmel import LogMel

        return LogMel.from_config(self.front_end)
