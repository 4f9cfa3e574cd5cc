"""Audio files, and their tags."""

import zlib

import numpy as np

from helpers import signals
from soak.kinds.kind import kind


def audio(name):
    """A second of music in a format, which an isolated decoder reads to its end."""

    def make(folder):
        ending = name.rpartition(".")[2]
        rate = 48000 if name == "opus" else 44100
        return signals.write(folder / f"song.{ending}", name, signals.music(1.0, rate), rate)

    def read(path):
        from mar.audio import isolated

        with isolated.decoder() as decoder:
            _, blocks = decoder.open(path)
            samples = np.concatenate([np.zeros(0, np.float32), *blocks])
        assert np.isfinite(samples).all(), "values that are not finite"
        return samples.shape, zlib.crc32(samples.tobytes())

    return lambda: (make, read)


for _format in signals.FORMATS:
    kind(f"audio {_format}")(audio(_format))


def tags(name):
    """The same file's tags."""

    def read(path):
        from mar.audio import file_tags as written_tags
        from mar.tasks import file_tags

        said = file_tags.tags(path)
        assert all(isinstance(value, str) for value in said.values())
        return written_tags.changes(path, {"genre": ("Jazz",), "MAR_x": ("1",)})

    return lambda: (audio(name)()[0], read)


for _format in ("mp3", "flac", "ogg", "opus", "m4a", "aiff", "pcm16.wav"):
    kind(f"tags {_format}")(tags(_format))
