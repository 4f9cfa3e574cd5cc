"""Audio files to mono samples, block by block: memory does not grow with a file's length."""

import contextlib
import functools
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import av
import numpy as np
import soundfile

from mar.audio.resampling import resample
from mar.errors import InputError

BLOCK_SECONDS = 10.0
# A damaged MP3 loses a few frames, and libsndfile gives less than the header announces of some
# Vorbis and Opus files that are whole. A larger shortfall means truncated.
_SHORTFALL_SECONDS = 0.5

Downmix = Literal["mean", "sum"]
Path = str | bytes | os.PathLike


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says.

    Attributes:
        sample_rate: Hz.
        channels: number of channels.
        duration_seconds: announced length; None where the header does not tell.
        reader: what decodes it: "soundfile" or "PyAV".
    """

    sample_rate: int
    channels: int
    duration_seconds: float | None
    reader: str


def info(path: Path) -> AudioInfo:
    """The `AudioInfo` of an audio file.

    Raises:
        InputError: it cannot be read, or is not audio.
    """
    with _open(path) as source:
        frames = source.frames
        seconds = None if frames is None else frames / source.sample_rate
        return AudioInfo(source.sample_rate, source.channels, seconds, source.reader)


def audio_hash(path: Path) -> str:
    """SHA-256 (hex) of the audio in a file, whatever its tags, cover and name.

    Of the packets of its audio stream, as they are: nothing is decoded. Of the samples where
    FFmpeg's libraries do not know the format.

        song.mp3, and the same with another title      equal
        song.wav, and song.flac made of it             differ: other packets

    Raises:
        InputError: it cannot be read.
    """
    try:
        with _regular_file(path) as file:
            return _hash_of_packets(file)
    except (InputError, av.FFmpegError, ValueError):
        with _open(path) as source:
            digest = hashlib.sha256(f"samples {source.sample_rate} {source.channels} ".encode())
            for block in source.blocks(int(BLOCK_SECONDS * source.sample_rate)):
                digest.update(np.ascontiguousarray(block).data)
            return digest.hexdigest()


def blocks(
    path: Path, sample_rate: int | None = None, downmix: Downmix = "mean", **resampling: Any
) -> Iterator[np.ndarray]:
    """Mono samples of an audio file.

    libsndfile reads WAV, FLAC, OGG, Opus, MP3 and AIFF, FFmpeg's libraries read the rest (M4A,
    AAC, WMA, the sound of videos …). The content tells the format, not the name.

    Args:
        path: str, bytes or os.PathLike.
        sample_rate: Hz wanted; None keeps the file's own.
        downmix: "mean" or "sum" of the channels.
        **resampling: see `mar.audio.resampling.resample`.

    Yields:
        float32 arrays `(samples,)`, full scale ±1 (of one channel), about ten seconds each.

    Raises:
        InputError: it cannot be read, is not audio, is truncated, has no samples, or has NaN
            samples. A later defect shows only after the blocks before it.
    """
    with _open(path) as source:
        mono, rate, given = _checked(path, source, downmix), source.sample_rate, 0
        for block in resample(mono, rate, sample_rate or rate, **resampling):
            given += len(block)
            yield block
        if given == 0:
            raise InputError(f"{shown(path)}: too short for one sample at {sample_rate} Hz")


def mix(samples: np.ndarray, downmix: Downmix = "mean") -> np.ndarray:
    """`(samples, channels)` or `(samples,)` → mono `(samples,)`, by mean or sum of the channels."""
    if samples.ndim == 1:
        return samples
    total = functools.reduce(np.add, samples.T)  # NumPy sums short rows thirty times slower
    return total / samples.shape[1] if downmix == "mean" else total


def shown(path: Path) -> str:
    """A path as it can be printed on one line, whatever bytes it has."""
    name = os.fsdecode(path)
    return name if name.isprintable() else repr(name)


def _checked(path, source, downmix):
    """The source's blocks as mono, refusing what an embedding would silently suffer from."""
    frames, rate = 0, source.sample_rate
    for block in source.blocks(int(BLOCK_SECONDS * rate)):
        if not np.isfinite(block).all():
            at = frames + int(np.argmin(np.isfinite(block).all(axis=1)))
            raise InputError(
                f"{shown(path)}: NaN or infinite samples, the first at {at / rate:.3f} s"
            )
        frames += len(block)
        yield mix(block, downmix)
    if frames == 0:
        raise InputError(f"{shown(path)}: holds no audio (0 samples)")
    if source.frames is not None and source.frames - frames > source.tolerance:
        raise InputError(
            f"{shown(path)}: truncated: {frames / rate:.2f} s of the "
            f"{source.frames / rate:.2f} s that its header announces"
        )


@contextlib.contextmanager
def _open(path):
    """The first of the two decoders that takes the file, closed afterwards."""
    with _regular_file(path) as file:
        source: _SoundFile | _FFmpeg
        try:
            source = _SoundFile(path)
        except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: headerless `.raw`
            refusal = getattr(error, "error_string", "no header")
            if "possibly a pipe" in refusal:  # what it says of any content that it does not know
                refusal = "format not recognised"
            source = _FFmpeg(path, file, refusal)
        try:
            yield source
        finally:
            source.close()


def _regular_file(path):
    """Opens it, so that the system's own reason is the one that is reported."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            closed = "" if os.access(path, os.R_OK) else " that may not be read"
            raise InputError(f"{shown(path)}: expected an audio file, got {kind}{closed}")
        if status.st_size == 0:
            raise InputError(f"{shown(path)}: the file is empty (0 bytes)")
        return open(path, "rb")
    except FileNotFoundError:
        broken = " (a broken link)" if os.path.islink(path) else ""
        raise InputError(f"{shown(path)}: no such file{broken}") from None
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be opened: {error.strerror}") from None


def _hash_of_packets(file: BinaryIO) -> str:
    with _demuxed(file) as container:
        if (stream := _audio_stream(container)) is None:
            raise ValueError("no audio stream")
        codec = stream.codec_context
        parts = (codec.codec.id, codec.sample_rate, codec.layout.nb_channels)
        digest = hashlib.sha256(" ".join(map(str, parts)).encode())
        for packet in container.demux(stream):
            digest.update(packet)
        return digest.hexdigest()


class _SoundFile:
    """libsndfile. `frames` is what the header announces, whatever the file really holds."""

    reader = "soundfile"

    def __init__(self, path):
        self._path = path
        self._file = soundfile.SoundFile(os.fsencode(path))
        self.sample_rate = self._file.samplerate
        self.channels = self._file.channels
        self.frames = self._announced_frames()
        exact = self._file.format not in ("MP3", "OGG")
        self.tolerance = 0 if exact else int(_SHORTFALL_SECONDS * self.sample_rate)

    def blocks(self, frames):
        try:
            while len(block := self._file.read(frames, dtype="float32", always_2d=True)):
                yield block
        except soundfile.LibsndfileError as error:
            reason = error.error_string.rstrip(".")
            raise InputError(f"{shown(self._path)}: damaged or truncated: {reason}") from None

    def close(self):
        self._file.close()

    def _announced_frames(self):
        """libsndfile cuts the count of a truncated WAV or AIFF and tells only its log."""
        for line in self._file.extra_info.splitlines():
            name, _, rest = line.partition(":")
            if name.strip() in ("data", "SSND") and "(should be " in rest:
                announced, actual = (int(word) for word in rest.rstrip(")").split("(should be "))
                if 0 < actual < announced < 2**31 - 2**16:  # above: a stream of unknown length
                    return self._file.frames * announced // actual
        return self._file.frames


def _demuxed(file: BinaryIO) -> Any:
    """No protocol is allowed, so that a playlist cannot open other files."""
    return av.open(file, options={"protocol_whitelist": "none"})


def _audio_stream(container: Any) -> Any:
    """The stream that is decoded, and hashed."""
    return container.streams.best("audio")


class _FFmpeg:
    """FFmpeg's libraries."""

    reader = "PyAV"
    frames = None  # most containers only estimate it

    def __init__(self, path, file, refusal):
        self._path = path
        try:
            self._container = _demuxed(file)
        except (av.FFmpegError, ValueError) as error:
            raise InputError(
                f"{shown(path)}: not recognised as audio "
                f"(libsndfile: {refusal.rstrip('.')}; FFmpeg: {_reason(error)})"
            ) from None
        stream = _audio_stream(self._container)
        if stream is None:
            kind = self._container.format.name
            self._container.close()
            raise InputError(f"{shown(path)}: has no audio stream (format {kind})")
        self._frames = self._decoded(stream)
        # What the first frame says, not the header: half the rate is announced for some AAC.
        self._first = next(self._frames, None)
        self.sample_rate = self._first.sample_rate if self._first else stream.rate
        self.channels = (self._first or stream.codec_context).layout.nb_channels
        if stream.duration and "mp4" in self._container.format.name:
            self.frames = round(stream.duration * stream.time_base * self.sample_rate)
        self.tolerance = int(_SHORTFALL_SECONDS * self.sample_rate)

    def blocks(self, frames):
        pieces, held = [], 0
        while self._first is not None:
            pieces.append(self._first.to_ndarray().T)
            held += len(pieces[-1])
            self._first = next(self._frames, None)
            if held >= frames or self._first is None:
                yield np.concatenate(pieces)
                pieces, held = [], 0

    def close(self):
        self._container.close()

    def _decoded(self, stream):
        """Frames as planar float32, at the rate and layout of the first."""
        planar = av.AudioResampler(format="fltp")
        try:
            for frame in self._container.decode(stream):
                yield from planar.resample(frame)
            yield from planar.resample(None)
        except (av.FFmpegError, ValueError) as error:
            raise InputError(
                f"{shown(self._path)}: damaged or truncated: {_reason(error)}"
            ) from None


def _reason(error):
    return getattr(error, "strerror", None) or str(error)
