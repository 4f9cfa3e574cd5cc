"""Copies of music as they lie around: the same piece, that an embedding should know again.

Each copy is a file, so that it is decoded and resampled as any other. But for MP3 it is a WAV of
32-bit floats, in which louder music is not clipped. The list is that of mir_ref (Plachouras,
Alonso-Jiménez and Bogdanov, 2023), with lead-in and speed.
"""

import pathlib
from collections.abc import Callable
from typing import NamedTuple

import av
import numpy as np
import soundfile
import soxr

Samples = np.ndarray  # (samples, channels) float32
Change = Callable[[Samples, int, np.random.Generator], tuple[Samples, int]]

_LEAD_IN_SECONDS = 0.3, 1.2
_MP3_RATES = (32000, 44100, 48000)


class Deformation(NamedTuple):
    """A kind of copy.

    Attributes:
        name: of its folder, and in tables.
        about: what it is, in a few words.
        write: function of samples, their rate in Hz, a generator of random numbers and a path
            without suffix: writes the copy, and returns where it is.
    """

    name: str
    about: str
    write: Callable[[Samples, int, np.random.Generator, pathlib.Path], pathlib.Path]


def write_wav(
    samples: Samples, rate: int, path: pathlib.Path, subtype: str = "PCM_16"
) -> pathlib.Path:
    """Writes `<path>.wav`, of 16-bit integers unless told otherwise, and returns where it is."""
    file = path.with_name(f"{path.name}.wav")
    soundfile.write(file, samples, rate, subtype)
    return file


def _wav(name: str, about: str, change: Change) -> Deformation:
    def write(samples, rate, generator, path):
        return write_wav(*change(samples, rate, generator), path, "FLOAT")

    return Deformation(name, about, write)


def _mp3(kilobits: int) -> Deformation:
    def write(samples, rate, generator, path):
        wanted = rate if rate in _MP3_RATES else _MP3_RATES[1]
        return encoded(samples, rate, path, "libmp3lame", "mp3", wanted, 1000 * kilobits)

    return Deformation(f"mp3_{kilobits}", f"MP3 at {kilobits} kb/s (LAME)", write)


def encoded(
    samples: Samples,
    rate: int,
    path: pathlib.Path,
    codec: str,
    container: str,
    wanted_rate: int | None = None,
    bit_rate: int | None = None,
) -> pathlib.Path:
    """Writes `<path>.<container>` with FFmpeg's libraries, and returns where it is.

    Args:
        samples: of one or two channels; of more the first two are taken.
        rate: Hz, of these.
        path: without suffix.
        codec: such as "libmp3lame", by FFmpeg's name.
        container: likewise, such as "mp3".
        wanted_rate: Hz, that the file has; None for the samples' own.
        bit_rate: bits per second; None for a codec without loss.
    """
    samples = np.ascontiguousarray(samples[:, :2])
    layout = ("mono", "stereo")[samples.shape[1] - 1]
    file = path.with_name(f"{path.name}.{container}")
    with av.open(str(file), "w", format=container.replace("mka", "matroska")) as opened:
        stream = opened.add_stream(codec, rate=wanted_rate or rate)
        stream.layout = layout
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        kind = "flt" if samples.dtype == np.float32 else "s16"
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format=kind, layout=layout)
        frame.sample_rate, frame.pts = rate, 0  # Matroska has times
        resampler = av.AudioResampler(
            format=stream.format, layout=layout, rate=wanted_rate or rate, frame_size=1152
        )
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            for packet in stream.encode(piece):
                opened.mux(packet)
    return file


def _gained(decibels: float) -> Change:
    return lambda samples, rate, _: (samples * np.float32(10 ** (decibels / 20)), rate)


def _at_speed(factor: float) -> Change:
    """Played faster, as a turntable does: the pitch rises too."""
    return lambda samples, rate, _: (samples, round(rate * factor))


def _led_in(samples, rate, generator):
    silence = round(generator.uniform(*_LEAD_IN_SECONDS) * rate)
    return np.pad(samples, ((silence, 0), (0, 0))), rate


def _mono(samples, rate, _):
    return samples.mean(axis=1, keepdims=True), rate


def _at_22_khz(samples, rate, _):
    return soxr.resample(samples, rate, 22050), 22050


def _noisy(samples, rate, generator):
    level = np.sqrt(np.mean(np.square(samples, dtype=np.float64))) / 10  # −20 dB
    noise = level * generator.standard_normal(samples.shape)
    return (samples + noise).astype(np.float32), rate


DEFORMATIONS = (
    _mp3(128),
    _mp3(64),
    _wav("lead_in", "0.3 to 1.2 s of silence before it", _led_in),
    _wav("louder", "gain of 6 dB", _gained(6)),
    _wav("quieter", "gain of −6 dB", _gained(-6)),
    _wav("mono", "channels averaged", _mono),
    _wav("22_khz", "sample rate of 22.05 kHz", _at_22_khz),
    _wav("noise", "white noise, 20 dB below it", _noisy),
    _wav("faster", "speed and pitch 2 % up", _at_speed(1.02)),
    _wav("slower", "speed and pitch 2 % down", _at_speed(0.98)),
)


# ------------------------------------------------------------ copies whose embedding is the same


def _flac(samples, rate, _, path):
    file = path.with_name(f"{path.name}.flac")
    soundfile.write(file, samples, rate, "PCM_16")
    return file


def _matroska(samples, rate, _, path):
    integers = np.round(np.clip(samples * 32768, -32768, 32767)).astype(np.int16)
    return encoded(integers, rate, path, "flac", "mka")


CONTAINERS = (
    Deformation("flac", "the same samples as FLAC", _flac),
    Deformation("matroska", "the same samples as FLAC in Matroska", _matroska),
)
