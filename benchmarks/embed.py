"""What embedding files costs beside the network itself.

    python benchmarks/embed.py MODEL FILE… [--repeats 3]

Prints, measured in turns and in one process: the seconds that the network takes for as many windows
as the files have, the seconds from the files to their embeddings, and the ratio (its median).
"""

import time

import keras
import numpy as np
from absl import app, flags

import mar
from mar.embedding import catalogue, files

FLAGS = flags.FLAGS
flags.DEFINE_integer("repeats", 3, "Timed repetitions.")


def main(argv):
    if len(argv) < 3:
        raise app.UsageError("expected a model and audio files or folders")
    job = catalogue.Catalogue()
    embedder = job.embedder(mar.load_model(argv[1]))
    items = files.find(argv[2:])
    rows = list(job.rows(embedder, items))
    failed = [row for row in rows if row.status != "ok"]
    if failed:
        raise SystemExit(f"failed: {failed}")
    windows = sum(len(row.values) for row in rows)
    shape = (windows, embedder.windows.length, embedder.log_mel.n_mels)
    snippets = np.random.default_rng(0).uniform(0, 3, shape).astype(np.float32)
    seconds = []
    for _ in range(FLAGS.repeats):
        marks = [time.perf_counter()]
        embedder.network(snippets)
        marks.append(time.perf_counter())
        list(job.rows(embedder, items))
        marks.append(time.perf_counter())
        seconds.append(np.diff(marks))
    network, whole = np.median(seconds, axis=0)
    ratio = np.median([b / a for a, b in seconds])
    audio = sum(row.duration for row in rows)
    print(f"{keras.backend.backend()}, {len(items)} files, {audio:.0f} s, {windows} windows")
    print(f"network {network:.1f} s; files to embeddings {whole:.1f} s; ratio {ratio:.2f}")


if __name__ == "__main__":
    app.run(main)
