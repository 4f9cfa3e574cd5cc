"""The two libraries that read audio files, as one: blocks of samples as the file holds them.

libsndfile reads what takes the same number of bytes for every sample, and what FFmpeg's libraries
do not know. FFmpeg's libraries read the rest: they give a file to its end whatever its header
estimates, and tell where they could not.
"""

import contextlib
import io
import itertools
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import av
import numpy as np
import soundfile

from mar.audio import announced
from mar.audio.losses import Losses, words
from mar.errors import InputError

# Containers that tell the length exactly (others estimate it), and the seconds by which whole
# files are shorter nonetheless: padding that is cut, a few frames that were lost.
_HEADERLESS = {"amrnb", "amrwb"}  # which FFmpeg takes web pages for
_TELL_LENGTH = {
    "flac": 1e-6,
    "tta": 1e-6,
    "wv": 0.5,
    "ape": 0.5,
    "mp3": 0.5,
    "mov,mp4,m4a,3gp,3g2,mj2": 0.5,
}
_FAILURES = (av.FFmpegError, ValueError, OSError)  # OSError: it seeks to before the file
_TYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}


class Damaged(InputError):
    """Audio of a file cannot be decoded, and it is more than can be left out."""


class Truncated(Damaged):
    """A file ends before its audio does."""


class NotFinite(InputError):
    """Samples of a file are NaN or infinite."""


class SoundFile:
    """libsndfile.

    Attributes:
        sample_rate: Hz.
        channels: number of channels.
        seconds: length that the header tells exactly, or None.
        tolerance: seconds by which whole files may be shorter.
        damaged_seconds: what could not be decoded, so far.
        reason: the decoder's words about it.
    """

    reader = "soundfile"
    tolerance, damaged_seconds, reason = 1e-6, 0.0, ""

    def __init__(self, path: str | bytes | os.PathLike) -> None:
        self._file = soundfile.SoundFile(os.fsencode(path))
        self.sample_rate, self.channels = self._file.samplerate, self._file.channels
        self.seconds = self._file.frames / self.sample_rate

    @property
    def counts_frames(self) -> bool:
        """Whether it knows how many there are, rather than guess."""
        sizes = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
        return (
            self._file.format != "FLAC"
            and self._file.subtype.startswith(sizes)
            and self._file.frames > 0
        )

    def blocks(self, seconds: float) -> Iterator[tuple[np.ndarray, int]]:
        """Yields float32 `(samples, channels)` of about so many seconds, and their rate in Hz.

        Raises:
            InputError: it cannot be read to its end (without the file's name).
        """
        try:
            frames = max(1, int(seconds * self.sample_rate))
            while len(block := self._file.read(frames, dtype="float32", always_2d=True)):
                yield block, self.sample_rate
        except soundfile.LibsndfileError as error:
            reason = error.error_string.rstrip(".")
            raise Damaged(f"damaged or truncated: {reason}") from None

    def close(self) -> None:
        self._file.close()


class FFmpeg:
    """FFmpeg's libraries; attributes as of `SoundFile`.

    Raises:
        InputError: the file is not known, or has no audio (without the file's name).
    """

    reader = "PyAV"

    def __init__(self, file: BinaryIO) -> None:
        # FFmpeg's demuxer refuses a chain whose links differ.
        bounds = [0, *announced.ogg_links(file)[1:], os.fstat(file.fileno()).st_size]
        self._parts = [_Part(file, begin, end) for begin, end in itertools.pairwise(bounds)]
        self._file = file
        self._losses: list[Losses] = []  # of each part
        self._demux(self._parts[0])
        stream = self._stream
        self._first_packet: Any = None
        self._decoded = self._frames()
        # What the first frame says, not the header: half the rate is announced for some AAC.
        self._first = next(self._decoded, None)
        self.sample_rate = self._first.sample_rate if self._first else stream.rate
        self.channels = (self._first or stream.codec_context).layout.nb_channels
        self.seconds = self._announced_seconds()
        self.tolerance = _TELL_LENGTH.get(self._format, 0.0)

    @property
    def damaged_seconds(self) -> float:
        """What could not be decoded, so far."""
        return sum(losses.seconds for losses in self._losses)

    @property
    def reason(self) -> str:
        """The decoder's words about it."""
        return next((losses.reason for losses in self._losses[::-1] if losses.reason), "")

    def blocks(self, seconds: float) -> Iterator[tuple[np.ndarray, int]]:
        """See `SoundFile.blocks`; a block ends where rate or channels change."""
        if self._first is None:
            return
        frames: list[Any] = []
        held = 0
        for frame in itertools.chain([self._first], self._decoded):
            if frames and (held >= seconds * frames[0].sample_rate or not _alike(frames[0], frame)):
                yield _samples(frames), frames[0].sample_rate
                frames, held = [], 0
            frames.append(frame)
            held += frame.samples
        yield _samples(frames), frames[0].sample_rate

    def close(self) -> None:
        self._container.close()

    def _demux(self, file):
        self._container = demuxed(file)
        self._format = self._container.format.name
        if self._format in _HEADERLESS:
            raise InputError(f"not recognised as audio (it may be headerless {self._format})")
        self._stream = audio_stream(self._container)
        if self._stream is None:
            self._container.close()
            raise InputError(f"has no audio stream (format {self._format})")
        if self._format == "flac":  # else a damaged frame is noise
            self._stream.codec_context.options = {"err_detect": "crccheck+explode"}
        self._losses.append(Losses(self._container, file))

    def _frames(self):
        """Frames to the end of the file; what cannot be decoded is left out, and counted."""
        try:
            yield from self._frames_of_part()
            for part in self._parts[1:]:
                self._container.close()
                self._demux(part)
                yield from self._frames_of_part()
        except _FAILURES as error:
            raise Damaged(f"damaged or truncated: {words(error)}") from None

    def _frames_of_part(self):
        losses = self._losses[-1]
        for packet in self._container.demux(self._stream):
            self._first_packet = self._first_packet or packet
            try:
                frames = packet.decode()
            except _FAILURES as error:
                losses.fail(packet, error)
            else:
                losses.decode(packet, frames)
                yield from frames
        losses.end()

    def _announced_seconds(self):
        first = self._first_packet
        if self._format == "mp3":
            count = first and first.pos and announced.mp3_frames(self._file, first.pos)
            return float(count * first.duration * first.time_base) if count else None
        if self._format in _TELL_LENGTH and self._stream.duration:
            return float(self._stream.duration * self._stream.time_base)
        return None


def demuxed(file: BinaryIO) -> Any:
    """The packets of a file.

    No protocol is allowed, so that a playlist cannot open other files.
    """
    return av.open(file, options={"protocol_whitelist": "none"})


def audio_stream(container: Any) -> Any:
    """The stream that is decoded, and hashed."""
    return container.streams.best("audio")


@contextlib.contextmanager
def opened(path: str | bytes | os.PathLike, file: BinaryIO) -> Iterator[SoundFile | FFmpeg]:
    """What reads a file best, closed afterwards.

    Raises:
        InputError: neither knows it, or it has no audio (without the file's name).
    """
    known, refusal = None, ""
    try:
        known = SoundFile(path)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: headerless `.raw`
        refusal = getattr(error, "error_string", "no header").rstrip(".")
        if "possibly a pipe" in refusal:  # what it says of any content that it does not know
            refusal = "format not recognised"
    source: SoundFile | FFmpeg
    if known is not None and known.counts_frames:
        source = known
    else:
        try:
            source = FFmpeg(file)
        except _FAILURES as error:
            if known is None and isinstance(error, InputError):
                raise
            if known is None:
                raise InputError(
                    f"not recognised as audio (libsndfile: {refusal}; FFmpeg: {words(error)})"
                ) from None
            source = known
        else:
            if known is not None:
                known.close()
    with contextlib.closing(source):
        yield source


def _alike(one, other):
    """Whether two frames have one rate, one number of channels and one type of samples."""
    return (
        one.sample_rate == other.sample_rate
        and one.layout.nb_channels == other.layout.nb_channels
        and one.format.name == other.format.name
    )


def _samples(frames):
    """float32 `(samples, channels)`, full scale ±1, of frames that are alike.

    All at once: an MP3 has forty a second, and one by one they cost two thirds of their decoding.
    """
    channels, kind = frames[0].layout.nb_channels, frames[0].format.name.removesuffix("p")
    if kind not in _TYPES:
        raise InputError(f"has samples of an unknown type ({kind})")
    width = 1 if frames[0].format.is_planar else channels  # values of a sample in one plane
    pieces = [(frame.planes, frame.samples * width) for frame in frames]
    # Not `to_ndarray`: of eight channels PyAV 18 lists nine planes, the last one nowhere.
    rows = [
        np.concatenate([np.frombuffer(planes[n], _TYPES[kind], count) for planes, count in pieces])
        for n in range(channels // width)
    ]
    array = np.stack(rows).T if width == 1 else rows[0].reshape(-1, channels)
    if array.dtype.kind == "f":
        return array.astype(np.float32, copy=False)
    floats = array.astype(np.float32) / np.float32(2.0 ** (8 * array.dtype.itemsize - 1))
    return floats - 1 if array.dtype.kind == "u" else floats


class _Part(io.RawIOBase):
    """The bytes of a file from `begin` to `end`, as a file."""

    def __init__(self, file, begin, end):
        self._file, self._begin, self.size, self._at = file, begin, end - begin, 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def read(self, count=-1):
        left = max(0, self.size - self._at)
        content = self.at(self._at, left if count is None or count < 0 else min(count, left))
        self._at += len(content)
        return content

    def at(self, offset, count):
        return os.pread(self._file.fileno(), count, self._begin + offset)

    def seek(self, offset, whence=os.SEEK_SET):
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            return -1  # FFmpeg's way to say that it cannot
        self._at = base + offset
        return self._at

    def tell(self):
        return self._at
