"""Bytes and seconds of a folder of embeddings, beside what version 0.1.0's way of writing takes.

    python benchmarks/store.py [--rows 2000]

Embeddings are noise of 1,728 dimensions, which is harder to compress than music's.
"""

import pathlib
import tempfile
import time

import numpy as np
import pyarrow.parquet as pq
from absl import app, flags

from mar.embedding.rows import Row
from mar.embedding.store import Embeddings
from mar.embedding.writer import Writer

FLAGS = flags.FLAGS
flags.DEFINE_integer("rows", 2000, "Files in the data set.")

DIMENSIONS = 1728
MADE = {"model": "noise", "dimensions": DIMENSIONS, "store": "mean", "format": "parquet"}


def rows(count):
    """Rows of Gaussian noise."""
    generator = np.random.default_rng(0)
    for number in range(count):
        values = generator.standard_normal((1, DIMENSIONS)).astype(np.float32)
        yield Row(f"{number}.wav", "ok", times=np.ones(1, np.float32), values=values)


def main(argv):
    if argv[1:]:
        raise app.UsageError(f"expected flags alone, got {argv[1:]}")
    with tempfile.TemporaryDirectory() as folder:
        marks = [time.perf_counter()]
        with Writer(folder, MADE) as writer:
            for row in rows(FLAGS.rows):
                writer.add(row)
        marks.append(time.perf_counter())
        embeddings = Embeddings(folder)
        embeddings.means(embeddings.paths)
        marks.append(time.perf_counter())
        parts = list(pathlib.Path(folder).glob("*.parquet"))
        size = sum(part.stat().st_size for part in parts)
        for part in parts:
            pq.write_table(pq.read_table(part), part)  # pyarrow's defaults
        earlier = sum(part.stat().st_size for part in parts)
    written, read = np.diff(marks)
    print(
        f"{size / FLAGS.rows:.0f} bytes a row, with pyarrow's defaults {earlier / FLAGS.rows:.0f}"
    )
    print(f"{FLAGS.rows} rows: written in {written:.2f} s, read in {read:.2f} s")


if __name__ == "__main__":
    app.run(main)
