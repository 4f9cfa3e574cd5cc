"""How many tracks a second mar.tag labels from stored means, and its memory.

    python benchmarks/tag.py [TRACKS]

Writes a data set of random means of 1,728 dimensions (100,000 tracks by default), and labels it as
`python -m mar.tag --top 5` does, with heads of 512 hidden units and 50 labels: one, and three. A
process each; its seconds include its start.
"""

import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import app

from mar.embedding import rows as kept
from mar.probing.calibration import Rule, uncalibrated
from mar.probing.dense import Layers
from mar.probing.head import Head, Parts

DIMENSIONS, HIDDEN, LABELS = 1728, 512, 50
PROVENANCE = {
    **{"model": "random vectors", "dimensions": DIMENSIONS, "store": "mean", "format": "parquet"},
    **{"front_end": "none", "front_end_config": {}},
}


def write_store(folder, tracks, rng):
    folder.mkdir()
    for first in range(0, tracks, 1000):
        rows = [
            kept.Row(
                f"album {number // 12}/{number}.flac",
                "ok",
                duration=200.0,
                times=np.zeros(1, np.float32),
                values=values[None],
            )
            for number, values in enumerate(
                rng.normal(size=(min(1000, tracks - first), DIMENSIONS)).astype(np.float32), first
            )
        ]
        kept.write(folder / f"part-{first:09d}.parquet", PROVENANCE, rows, 0)


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


def main(argv):
    tracks = int(argv[1]) if len(argv) > 1 else 100_000
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        write_store(folder / "embeddings", tracks, rng)
        heads = [folder / f"{number}.safetensors" for number in range(3)]
        for number, path in enumerate(heads):
            write_head(path, f"task {number}", rng)
        for count in (1, 3):
            command = [sys.executable, "-m", "mar.tag", "--top", "5", "--output"]
            command += [folder / "tags.parquet", *(f"--head={path}" for path in heads[:count])]
            started = time.perf_counter()
            subprocess.run([*command, folder / "embeddings"], check=True)
            seconds = time.perf_counter() - started
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            print(
                f"{count} heads: {tracks} tracks in {seconds:.1f} s, {tracks / seconds:.0f} a "
                f"second, {count * tracks / seconds:.0f} per head; peak {peak:.0f} MB"
            )


if __name__ == "__main__":
    app.run(main)
