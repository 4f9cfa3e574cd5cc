"""Audio files to mono samples, block by block: memory does not grow with a file's length."""

import contextlib
import functools
import hashlib
import itertools
import operator
import os
import stat
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import av
import numpy as np

from mar.audio import announced, readers
from mar.audio.readers import Damaged, NotFinite, Truncated
from mar.audio.resampling import resample
from mar.errors import InputError

BLOCK_SECONDS = 10.0
LARGEST_DAMAGE = 0.05  # share of a file's length; what lost more fails

Downmix = Literal["mean", "sum"]
Path = str | bytes | os.PathLike


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says.

    Attributes:
        sample_rate: Hz.
        channels: number of channels.
        duration_seconds: announced length; None where the header does not tell it exactly.
        reader: what decodes it: "soundfile" or "PyAV".
    """

    sample_rate: int
    channels: int
    duration_seconds: float | None
    reader: str


@dataclass(frozen=True)
class Condition:
    """What is known of a file at its end.

    Attributes:
        notes: what was remarkable, such as "changes to 48000 Hz, 2 channels at 11.05 s".
        damaged_seconds: of audio, that could not be decoded and is left out.
        remarks: lines that libraries wrote to standard error, where a process of its own decodes.
    """

    notes: tuple[str, ...] = ()
    damaged_seconds: float = 0.0
    remarks: tuple[str, ...] = ()

    @property
    def told(self) -> list[str]:
        """The notes, and how many remarks there are, with the first of them."""
        if not self.remarks:
            return [*self.notes]
        return [*self.notes, f"{len(self.remarks)} remarks of its decoder: {self.remarks[0]}"]


def info(path: Path) -> AudioInfo:
    """The `AudioInfo` of an audio file.

    Raises:
        InputError: it cannot be read, or is not audio.
    """
    with _open(path) as (source, _):
        return AudioInfo(source.sample_rate, source.channels, source.seconds, source.reader)


def estimated_seconds(path: Path) -> float | None:
    """Length of an audio file as its header announces or suggests it; None where it does neither.

    Raises:
        InputError: it cannot be read, or is not audio.
    """
    with _open(path) as (source, file):
        if source.seconds is not None or isinstance(source, readers.SoundFile):
            return source.seconds
        file.seek(0)
        with readers.demuxed(file) as container:
            return container.duration / av.time_base if container.duration else None


def audio_hash(path: Path, goes_on: Callable[[], None] = lambda: None) -> str:
    """SHA-256 (hex) of the audio in a file, whatever its tags, cover and name.

    Of the packets of its audio stream, as they are: nothing is decoded. Of the samples where
    FFmpeg's libraries do not know the format.

        song.mp3, and the same with another title      equal
        song.wav, and song.flac made of it             differ: other packets

    Args:
        path: str, bytes or os.PathLike.
        goes_on: is called after every packet or block, as a large file takes minutes.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with _regular_file(path) as file:
            return _hash_of_packets(file, goes_on)
    except (InputError, av.FFmpegError, ValueError, OSError):
        with _open(path) as (source, _):
            digest = hashlib.sha256(f"samples {source.sample_rate} {source.channels} ".encode())
            for block, _ in source.blocks(BLOCK_SECONDS):
                digest.update(np.ascontiguousarray(block).data)
                goes_on()
            return digest.hexdigest()


def blocks(
    path: Path,
    sample_rate: int | None = None,
    downmix: Downmix = "mean",
    observe: Callable[[np.ndarray, int], None] | None = None,
    **resampling: Any,
) -> Generator[np.ndarray, None, Condition]:
    """Mono samples of an audio file, to its end.

    The content tells the format, not the name. A stream that changes its rate or channels is
    brought to the rate it begins with. What is damaged is left out.

    Args:
        path: str, bytes or os.PathLike.
        sample_rate: Hz wanted; None keeps the file's own.
        downmix: "mean" or "sum" of the channels.
        observe: is given the samples as the file holds them, before they are checked: blocks
            `(samples, channels)` and their rate in Hz.
        **resampling: see `mar.audio.resampling.resample`.

    Yields:
        float32 arrays `(samples,)`, full scale ±1 (of one channel), about ten seconds each.

    Returns:
        The file's `Condition`.

    Raises:
        InputError: it cannot be read, is not audio, is truncated, has no samples, has samples that
            are not finite, or more than `LARGEST_DAMAGE` of it is damaged. A later defect shows
            only after the blocks before it.
    """
    notes: list[str] = []
    with _open(path) as (source, file):
        if missing := announced.missing_bytes(file):
            raise Truncated(f"truncated: lacks {missing} bytes of what its header announces")
        damaged, given = 0.0, 0

        def mono():
            nonlocal damaged
            damaged = yield from _checked(source, downmix, notes, observe)

        rate = source.sample_rate
        for block in resample(mono(), rate, sample_rate or rate, **resampling):
            given += len(block)
            yield block
        if given == 0:
            raise InputError(f"too short for one sample at {sample_rate} Hz")
    return Condition(tuple(notes), damaged)


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


def _checked(source, downmix, notes, observe):
    """The source's blocks as mono at its first rate, and the seconds that are damaged.

    Refuses what an embedding would silently suffer from.
    """
    seconds = 0.0

    def mono():
        nonlocal seconds
        formats = [(source.sample_rate, source.channels)]
        for block, rate in source.blocks(BLOCK_SECONDS):
            if (kind := (rate, block.shape[1])) not in formats:
                formats.append(kind)
                channels = "1 channel" if kind[1] == 1 else f"{kind[1]} channels"
                notes.append(f"changes to {rate} Hz, {channels} at {seconds:.2f} s")
            with np.errstate(over="ignore", invalid="ignore"):  # told below
                if observe is not None:
                    observe(block, rate)
                mixed = mix(block, downmix)
            if not np.isfinite(mixed).all():
                at = seconds + int(np.argmin(np.isfinite(mixed))) / rate
                raise NotFinite(f"NaN or infinite samples, the first at {at:.3f} s")
            seconds += len(block) / rate
            yield mixed, rate

    for rate, group in itertools.groupby(mono(), key=operator.itemgetter(1)):
        yield from resample((block for block, _ in group), rate, source.sample_rate)
    damaged, shortfall = source.damaged_seconds, (source.seconds or 0.0) - seconds
    if damaged:  # what a demuxer passes without a word is known by the length alone
        damaged = max(damaged, shortfall)
    elif shortfall > source.tolerance:
        raise Truncated(
            f"truncated: {seconds:.2f} s of the {source.seconds:.2f} s that its header announces"
        )
    if damaged > LARGEST_DAMAGE * (seconds + damaged):
        words = f": {source.reason}" if source.reason else ""
        raise Damaged(
            f"damaged or truncated: {damaged:.2f} s of {seconds + damaged:.2f} s could not be "
            f"decoded{words}"
        )
    if seconds == 0:
        raise InputError("holds no audio (0 samples)")
    return damaged


@contextlib.contextmanager
def _open(path):
    """A reader of the file, and the file; what is wrong with it is said with its name."""
    with _regular_file(path) as file:
        try:
            with readers.opened(path, file) as source:
                yield source, file
        except InputError as error:
            raise type(error)(f"{shown(path)}: {error}") from None


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


def _hash_of_packets(file: BinaryIO, goes_on: Callable[[], None]) -> str:
    with readers.demuxed(file) as container:
        if (stream := readers.audio_stream(container)) is None:
            raise ValueError("no audio stream")
        codec = stream.codec_context
        parts = (codec.codec.id, codec.sample_rate, codec.layout.nb_channels)
        digest = hashlib.sha256(" ".join(map(str, parts)).encode())
        for packet in container.demux(stream):
            digest.update(packet)
            goes_on()
        return digest.hexdigest()
