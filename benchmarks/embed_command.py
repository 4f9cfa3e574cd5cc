"""Seconds and memory of `python -m mar.embed`, start to exit.

    python -m benchmarks.embed_command MODEL [--minutes 3,120]

For each length, makes a stereo MP3 and embeds it in a new process. Prints the seconds, and the peak
memory of the process and its largest child; the last line is the difference from first to last.
"""

import os
import pathlib
import sys
import tempfile
import time

from absl import app, flags

from benchmarks.audio import song

FLAGS = flags.FLAGS
flags.DEFINE_list("minutes", ["3", "120"], "Lengths of the files.")


def embed(model, path, output):
    """Runs the command; returns (seconds, peak MB)."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "mar.embed", "--model", model, "--output", output, path]
    process = os.posix_spawn(sys.executable, command, os.environ)
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"the command failed: {command}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def main(argv):
    if len(argv) != 2:
        raise app.UsageError("expected one model")
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for minutes in map(int, FLAGS.minutes):
            path = song(folder / f"{minutes}.mp3", minutes)
            seconds, peak = embed(argv[1], str(path), str(folder / "out"))
            peaks.append(peak)
            print(f"{minutes} min of audio: {seconds:.1f} s, peak memory {peak:.0f} MB", flush=True)
    print(f"peak memory, last − first: {peaks[-1] - peaks[0]:.0f} MB")


if __name__ == "__main__":
    app.run(main)
