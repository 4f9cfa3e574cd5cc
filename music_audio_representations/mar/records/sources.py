"""What data sets are made of: audio files."""

import functools
import os
from dataclasses import dataclass, field

import numpy as np

from mar.audio import decode
from mar.audio.isolated import IsolatedDecoder
from mar.errors import InputError


@dataclass(frozen=True)
class AudioSource:
    """Log-mel spectrograms of audio files; items have a `path`.

    Attributes:
        root: the folder that paths are relative to.
        front_end: resolved configuration of a `LogMel`.
        dtype: of the spectrograms.
    """

    root: str = field(repr=False)
    front_end: dict
    dtype: str

    def read(self, item):
        """All frames of the file, `(frames, n_mels)`.

        Raises:
            InputError: it cannot be read; the path in it is the item's own, wherever `root` is.
        """
        path, log_mel = os.path.join(self.root, item["path"]), self._log_mel
        try:
            _, samples = _decoder().open(path, **log_mel.decoding)
            with np.errstate(over="ignore"):  # the writer refuses what is not finite
                blocks = [block.astype(self.dtype) for block in log_mel.stream_blocks(samples)]
        except InputError as error:
            reason = str(error).removeprefix(f"{decode.shown(path)}: ")
            raise InputError(f"{decode.shown(item['path'])}: {reason}") from None
        return np.concatenate(blocks)

    def seconds(self, item):
        """Length of the file as its header says, or as it decodes; None if it is unreadable."""
        path = os.path.join(self.root, item["path"])
        try:
            header = _decoder().info(path)
            if header.duration_seconds is not None:
                return header.duration_seconds
            _, samples = _decoder().open(path)
            return sum(map(len, samples)) / header.sample_rate
        except InputError:
            return None

    @functools.cached_property
    def _log_mel(self):
        from mar.audio.logmel import LogMel

        return LogMel.from_config(self.front_end)


_decoder = functools.cache(IsolatedDecoder)  # one for the process, in which it outlives a shard
