"""What embedding files costs beside the network itself.

    python benchmarks/embed.py MODEL FILE… [--repeats 3]

Prints, measured in turns and in one process: the seconds that the network takes for as many windows
as the files have, the seconds from the files to their embeddings, and the ratio (its median).
"""

import time

import keras
import numpy as np
from absl import app, flags

from mar.embedding import engine, files
from mar.embedding.catalogue import Catalogue

FLAGS = flags.FLAGS
flags.DEFINE_integer("repeats", 3, "Timed repetitions.")


def embed(embedder, items):
    """The rows of all items."""
    return list(engine.rows(lambda: embedder, items, engine.InMemory({"format": "parquet"})))


def main(argv):
    if len(argv) < 3:
        raise app.UsageError("expected a model and audio files or folders")
    embedder = Catalogue().embedder(argv[1])
    items = files.find(argv[2:])
    rows = embed(embedder, items)
    failed = [row for row in rows if row.status != "ok"]
    if failed:
        raise SystemExit(f"failed: {failed}")
    windows = sum(len(row.values) for row in rows)
    network = embedder.representation.network
    shape = (windows, *embedder.representation.piece_shape)
    snippets = np.random.default_rng(0).uniform(0, 3, shape).astype(np.float32)
    seconds = []
    for _ in range(FLAGS.repeats):
        marks = [time.perf_counter()]
        network(snippets)
        marks.append(time.perf_counter())
        embed(embedder, items)
        marks.append(time.perf_counter())
        seconds.append(np.diff(marks))
    alone, whole = np.median(seconds, axis=0)
    ratio = np.median([b / a for a, b in seconds])
    audio = sum(row.duration for row in rows)
    print(f"{keras.backend.backend()}, {len(items)} files, {audio:.0f} s, {windows} windows")
    print(f"network {alone:.1f} s; files to embeddings {whole:.1f} s; ratio {ratio:.2f}")


if __name__ == "__main__":
    app.run(main)
