"""What decoding in a process of its own costs, and what reading MP3 with FFmpeg's libraries does.

    python benchmarks/decode.py [--seconds 180] [--repeats 9]

Of one file of stereo music at 44.1 kHz, as WAV and as MP3, in turns, CPU seconds of this process
and the decoder's together:

decoding     from the file to 16 kHz mono, by the warm decoder that all commands share, and here
to log-mel   the same and its log-mel spectrogram: the cheapest embedding, `logmel_mean`, needs it
reading      to the file's own samples, by the reader of `mar` and by soundfile

The first file is opened by a decoder that starts, the second by the one that is warm.
"""

import pathlib
import tempfile
import time

import numpy as np
import soundfile
from absl import app, flags

from mar.audio import decode, isolated, readers
from mar.audio.logmel import LogMel

FLAGS = flags.FLAGS
flags.DEFINE_integer("seconds", 180, "Length of the file.")
flags.DEFINE_integer("repeats", 9, "Timed turns.")

RATE = 44100
LOG_MEL = LogMel()


def music(seconds):
    """Chords with some noise, `(samples, 2)`."""
    rng = np.random.default_rng(0)
    beat = np.arange(RATE) / RATE
    beats = [
        np.exp(-5 * beat)[:, None]
        * np.sin(2 * np.pi * rng.uniform(55, 1760, (6, 1, 2)) * beat[:, None])
        for _ in range(seconds)
    ]
    signal = np.concatenate([0.1 * chord.sum(axis=0) for chord in beats])
    return (signal + 0.02 * rng.standard_normal(signal.shape)).astype(np.float32)


def drain(blocks):
    """Reads all blocks."""
    for _ in blocks:
        pass


def read_ours(path):
    """The file's own samples."""
    with open(path, "rb") as file, readers.opened(path, file) as source:
        drain(source.blocks(decode.BLOCK_SECONDS))


def read_soundfile(path):
    """The same by soundfile alone."""
    with soundfile.SoundFile(path) as file:
        while len(file.read(int(decode.BLOCK_SECONDS * RATE), dtype="float32", always_2d=True)):
            pass


def cpu_seconds():
    """Of this process and the decoder's, so that what runs beside them does not count."""
    with isolated.decoder() as decoder:
        child = ~decoder._process.pid << 3 | 2  # clock_getcpuclockid(3)
    return time.process_time() + time.clock_gettime(child)


def compare(what, one, other):
    """Prints the CPU seconds of two ways, medians, and of their ratio."""
    one(), other()
    taken = []
    for turn in range(FLAGS.repeats):
        cost = {}
        for way in (one, other) if turn % 2 else (other, one):
            begun = cpu_seconds()
            way()
            cost[way] = cpu_seconds() - begun
        taken.append((cost[one], cost[other]))
    first, second = np.median(taken, axis=0)
    ratio = np.median([a / b for a, b in taken])
    print(f"  {what:38} {first:7.3f} s, {second:7.3f} s, ratio {ratio:.3f}")


def of_file(path):
    """All comparisons on one file."""

    def samples(room):
        return room.blocks(path, **LOG_MEL.decoding)

    compare(
        "decoding: isolated, in this process",
        lambda: drain(samples(isolated)),
        lambda: drain(samples(decode)),
    )
    compare(
        "to log-mel: isolated, in this process",
        lambda: drain(LOG_MEL.stream_blocks(samples(isolated))),
        lambda: drain(LOG_MEL.stream_blocks(samples(decode))),
    )
    compare("reading: mar, soundfile", lambda: read_ours(path), lambda: read_soundfile(path))


def main(argv):
    if argv[1:]:
        raise app.UsageError(f"expected flags alone, got {argv[1:]}")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("wav", "mp3"):
            path = str(pathlib.Path(folder) / f"music.{name}")
            soundfile.write(path, music(FLAGS.seconds), RATE)
            begun = time.perf_counter()
            with isolated.decoder() as decoder:
                decoder.info(path)
            print(f"{name}, {FLAGS.seconds} s (opened in {time.perf_counter() - begun:.3f} s)")
            of_file(path)


if __name__ == "__main__":
    app.run(main)
