"""How many tracks a second mar tag labels from stored means, and its memory.

    python benchmarks/tag.py [TRACKS]

Writes a data set of random means of 1,728 dimensions (100,000 tracks by default), and labels it as
`python -m mar.tag --top 5` does, with heads of 512 hidden units and 50 labels: one, and three. A
process each, on as many cores as there are; its start is what it takes for 12 tracks. Before that,
the seconds of one core for each step in turn.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import app
from threadpoolctl import threadpool_limits

from mar.embedding import rows as kept
from mar.embedding.store import Embeddings
from mar.probing import tagging
from mar.probing.calibration import Rule, uncalibrated
from mar.probing.dense import Layers
from mar.probing.head import Head
from mar.probing.head_file import Parts
from mar.util import table_files

DIMENSIONS, HIDDEN, LABELS = 1728, 512, 50
PROVENANCE = {
    **{"model": "random vectors", "dimensions": DIMENSIONS, "store": "mean", "format": "parquet"},
    **{"front_end": "none", "front_end_config": {}},
}


def noise(tracks, rng):
    """Random means of so many tracks, a thousand at a time."""
    for first in range(0, tracks, 1000):
        yield rng.normal(size=(min(1000, tracks - first), DIMENSIONS)).astype(np.float32)


def write_store(folder, batches):
    """A data set of means, a file for each batch `(n, DIMENSIONS)`."""
    folder.mkdir()
    first = 0
    for batch in batches:
        rows = [
            kept.Row(
                f"album {number // 12}/{number}.flac",
                "ok",
                audio_hash=str(number),
                duration=200.0,
                times=np.zeros(1, np.float32),
                values=values[None],
            )
            for number, values in enumerate(batch, first)
        ]
        kept.write(folder / f"part-{first:09d}.parquet", PROVENANCE, rows, 0)
        first += len(batch)


def write_head(path, task, rng):
    def array(*shape):
        return (rng.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32)

    layers = Layers(
        *(np.zeros(DIMENSIONS, np.float32), np.ones(DIMENSIONS, np.float32)),
        *((array(DIMENSIONS, HIDDEN), array(HIDDEN, LABELS)), (array(HIDDEN), array(LABELS))),
        *("relu", "sigmoid", np.zeros(LABELS, np.float32), np.ones(LABELS, np.float32)),
    )
    about = {
        **{"task": task, "kind": "multilabel", "labels": [f"label {n}" for n in range(LABELS)]},
        **{"pooling": "mean", "unit": "", "embeddings": PROVENANCE, "dimensions": DIMENSIONS},
    }
    rule = Rule(uncalibrated(LABELS, exclusive=False), np.full(LABELS, 0.5))
    Head(Parts(layers, rule, about)).save(path)


def steps(heads, embeddings, output):
    """CPU seconds of one core for reading, for computing the tables, and for writing them."""

    with threadpool_limits(1):
        started = time.process_time()
        for _ in embeddings.vectors():
            pass
        reading = time.process_time() - started
        labelling = writing = 0.0
        with table_files.writer(output, tagging.schema(heads)) as write:
            started = time.process_time()
            for table in tagging.tags(heads, embeddings, top=5):
                labelled = time.process_time()
                write(table)
                labelling += labelled - started
                started = time.process_time()
                writing += started - labelled
    return reading, labelling - reading, writing


def run(heads, folder):
    """Wall and CPU seconds, and peak MB, of labelling as users do."""
    command = [
        sys.executable,
        "-m",
        "mar.tag",
        "--top",
        "5",
        "--output",
        folder.with_suffix(".tags.parquet"),
    ]
    before, started = os.times(), time.perf_counter()
    process = subprocess.Popen([*command, *(f"--head={path}" for path in heads), folder])
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: {status}")
    seconds, now = time.perf_counter() - started, os.times()
    cpu = sum(now[2:4]) - sum(before[2:4])
    return seconds, cpu, used.ru_maxrss / 1024


def main(argv):
    tracks = int(argv[1]) if len(argv) > 1 else 100_000
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as temporary:
        few, many = (pathlib.Path(temporary, name) for name in ("few", "many"))
        write_store(few, noise(12, rng))
        write_store(many, noise(tracks, rng))
        heads = [pathlib.Path(temporary, f"{number}.safetensors") for number in range(3)]
        for number, path in enumerate(heads):
            write_head(path, f"task {number}", rng)
        one = tagging.named([Head(heads[0])])
        seconds = steps(one, Embeddings(many), pathlib.Path(temporary, "tags.parquet"))
        names = ("reading", "computing", "writing")
        shares = (f"{name} {each:.2f} s" for name, each in zip(names, seconds, strict=True))
        print(f"one head, {tracks} tracks, one core: {', '.join(shares)}")
        for count in (1, 3):
            start, start_cpu, _ = run(heads[:count], few)
            seconds, cpu, peak = run(heads[:count], many)
            print(
                f"{count} heads: {tracks} tracks in {seconds:.1f} s ({cpu:.1f} s of CPU), start "
                f"{start:.1f} s ({start_cpu:.1f}); per head {count * tracks / seconds:.0f} a "
                f"second, {count * tracks / (seconds - start):.0f} without the start; peak "
                f"{peak:.0f} MB"
            )


if __name__ == "__main__":
    app.run(main)
