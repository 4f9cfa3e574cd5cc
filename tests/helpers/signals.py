"""Short signals and audio files in many formats, made for the tests that share them."""

import functools

import av
import numpy as np
import soundfile

from helpers import quick


def music(seconds=3.0, sample_rate=44100, channels=2, seed=0):
    """Chords with decaying partials over some noise: `(samples, channels)` float32 within ±1."""
    return _music(seconds, sample_rate, channels, seed).copy()


@functools.lru_cache(maxsize=8)
def _music(seconds, sample_rate, channels, seed):
    rng = np.random.default_rng(seed)
    signal = 0.02 * rng.standard_normal((round(seconds * sample_rate), channels))
    chords = [
        (
            55 * 2 ** rng.uniform(0, 5),
            rng.uniform(0, seconds),
            rng.uniform(1, 8),
            rng.random(channels),
        )
        for _ in range(12)
    ]
    for first in range(0, len(signal), 8192):  # of which all stays in the processor's cache
        block = signal[first : first + 8192]
        time = np.arange(first, first + len(block)) / sample_rate
        for pitch, start, decay, gains in chords:
            since = time - start
            envelope = 0.1 * np.exp((np.floor(since) - since) * decay)  # again every second
            block += np.outer(envelope * _partials(2 * np.pi * pitch * time), gains)
    return (0.8 * signal / np.abs(signal).max()).astype(np.float32)


def _partials(phase, count=5):
    """The sum of sin(k x) / k; sin(k x) = 2 cos(x) sin((k - 1) x) - sin((k - 2) x)."""
    before, partial, twice = np.zeros_like(phase), np.sin(phase), 2 * np.cos(phase)
    total = partial.copy()
    for k in range(2, count + 1):
        before, partial = partial, twice * partial - before
        total += partial / k
    return total


def write_with_ffmpeg(path, samples, sample_rate, codec, container):
    """Encodes `(samples, channels)` with FFmpeg's libraries."""
    quick.refuse("starts an encoder")
    layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[samples.shape[1]]
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=sample_rate)
        stream.layout, stream.bit_rate = layout, 128_000
        # Packed: of eight planes PyAV 18 takes nine.
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples).reshape(1, -1), format="flt", layout=layout
        )
        frame.sample_rate = sample_rate
        wanted = av.AudioResampler(
            format=stream.format, layout=layout, rate=sample_rate, frame_size=1024
        )
        for piece in [*wanted.resample(frame), *wanted.resample(None), None]:
            for packet in stream.encode(piece):
                file.mux(packet)


# One entry a format: name, writer of (path, samples, sample rate), and the lowest correlation with
# the original that its loss allows.
FORMATS = {
    "pcm8.wav": (lambda p, x, r: soundfile.write(p, x, r, "PCM_U8"), 0.999),
    "pcm16.wav": (lambda p, x, r: soundfile.write(p, x, r, "PCM_16"), 0.99999),
    "pcm24.wav": (lambda p, x, r: soundfile.write(p, x, r, "PCM_24"), 0.99999),
    "float.wav": (lambda p, x, r: soundfile.write(p, x, r, "FLOAT"), 0.99999),
    "double.wav": (lambda p, x, r: soundfile.write(p, x, r, "DOUBLE"), 0.99999),
    "flac": (lambda p, x, r: soundfile.write(p, x, r), 0.99999),
    "aiff": (lambda p, x, r: soundfile.write(p, x, r), 0.99999),
    "ogg": (lambda p, x, r: soundfile.write(p, x, r), 0.98),
    "mp3": (lambda p, x, r: soundfile.write(p, x, r), 0.98),
    "opus": (lambda p, x, r: soundfile.write(p, x, r, "OPUS", format="OGG"), 0.98),
    "m4a": (lambda p, x, r: write_with_ffmpeg(p, x, r, "aac", "ipod"), 0.98),
    "alac.m4a": (lambda p, x, r: write_with_ffmpeg(p, x, r, "alac", "ipod"), 0.99999),
    "aac": (lambda p, x, r: write_with_ffmpeg(p, x, r, "aac", "adts"), 0.98),
    "wma": (lambda p, x, r: write_with_ffmpeg(p, x, r, "wmav2", "asf"), 0.98),
    "mkv": (lambda p, x, r: write_with_ffmpeg(p, x, r, "ac3", "matroska"), 0.98),
}


def write(path, name, samples, sample_rate):
    """Writes `samples` in the format `name` of `FORMATS`; returns the path."""
    if not name.endswith(("wav", "flac")):
        quick.refuse("starts an encoder")
    FORMATS[name][0](str(path), samples, sample_rate)
    return path
