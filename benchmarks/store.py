"""Bytes and CPU seconds of a folder of embeddings: written, compacted, read, and found up to date.

    python benchmarks/store.py [--rows 20000]

Embeddings are noise of 1,728 dimensions, which is harder to compress than music's. The folder is
written as a year of nights leaves it, in parts of 100 rows, and compacted then. `opened` reads the
paths, `read` all embeddings, `one` one of them; `nothing to do` compares the data set with a folder
of as many files of a byte each, which is walked, and is done as `mar embed` does it.
"""

import pathlib
import tempfile
import time

import numpy as np
import pyarrow.parquet as pq
from absl import app, flags

from mar.embedding import changes, files, upkeep
from mar.embedding.rows import Row
from mar.embedding.store import Embeddings
from mar.embedding.writer import Writer

FLAGS = flags.FLAGS
flags.DEFINE_integer("rows", 20_000, "Files in the data set.")

DIMENSIONS, NIGHT = 1728, 100
MADE = {"model": "noise", "dimensions": DIMENSIONS, "store": "mean", "format": "parquet"}


def write(library, folder, count):
    """Makes the files, and rows of Gaussian noise of them."""
    generator = np.random.default_rng(0)
    with Writer(folder, MADE) as writer:
        for number in range(count):
            path = library / f"{number // NIGHT:05}" / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
            status, key = path.stat(), str(path.relative_to(library))
            values = generator.standard_normal((1, DIMENSIONS)).astype(np.float32)
            known = {"size": 1, "mtime_ns": status.st_mtime_ns, "folder": str(library)}
            known |= {"audio_hash": f"{number:064}", "times": np.ones(1, np.float32)}
            writer.add(Row(key, "ok", **known, values=values))
            if number % NIGHT == NIGHT - 1:
                writer.flush()


def measure(what, function):
    """Prints the CPU seconds that a function takes; returns its result."""
    began = time.process_time()
    result = function()
    print(f"{time.process_time() - began:8.2f} CPU s  {what}")
    return result


def up_to_date(library, folder):
    """What `mar embed` does where nothing is to be done."""
    items = files.find([str(library)])
    with Writer(folder, MADE) as writer:
        plan = changes.plan(items, writer.known, writer.is_kept)
    assert plan == ([], len(items), [])


def report(library, folder):
    """Prints what the data set takes as it lies."""
    parts = list(folder.glob("*.parquet"))
    size = sum(part.stat().st_size for part in parts)
    print(f"{len(parts)} parts, {size / FLAGS.rows:.0f} bytes a row")
    embeddings = measure("opened", lambda: Embeddings(folder))
    measure("read", lambda: sum(len(paths) for paths, _ in embeddings.vectors()))
    measure("one", lambda: embeddings.mean(embeddings.paths[FLAGS.rows // 2]))
    measure("nothing to do", lambda: up_to_date(library, folder))


def main(argv):
    if argv[1:]:
        raise app.UsageError(f"expected flags alone, got {argv[1:]}")
    with tempfile.TemporaryDirectory() as place:
        folder, library = pathlib.Path(place) / "set", pathlib.Path(place) / "music"
        measure("written", lambda: write(library, folder, FLAGS.rows))
        report(library, folder)
        measure("compacted", lambda: upkeep.compact(folder))
        report(library, folder)
        for part in folder.glob("*.parquet"):
            pq.write_table(pq.read_table(part), part)  # pyarrow's defaults
        size = sum(part.stat().st_size for part in folder.glob("*.parquet"))
        print(f"with pyarrow's defaults {size / FLAGS.rows:.0f} bytes a row")


if __name__ == "__main__":
    app.run(main)
