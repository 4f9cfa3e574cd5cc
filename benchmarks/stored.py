"""Labels and neighbours of stored tracks, beside NumPy and Faiss.

    python -m benchmarks.stored [--tracks 100000] [--queries 50] [--rounds 2]

The stored means have 1,728 dimensions, of which 64 matter, and lie in clusters, as music does. For
labels, a script in NumPy as anyone would write it (benchmarks/theirs_numpy.py) runs from start to
end, as `mar tag` does. For neighbours, all are in memory, and each query is compared with all of
them; `mar` has its index, of which the recall of the ten nearest is told.
"""

import pathlib
import sys
import tempfile

import faiss
import numpy as np
from absl import app, flags

import mar
from benchmarks import contest, tag

FLAGS = flags.FLAGS
flags.DEFINE_integer("tracks", 100_000, "How many are stored.")
flags.DEFINE_integer("queries", 50, "How many are searched in a turn.")
flags.DEFINE_integer("rounds", 2, "Turns of each.")
K, LATENT, CLUSTERS = 10, 64, 500


def clustered(tracks: int, rng: np.random.Generator):
    """Means of so many tracks, a thousand at a time."""
    centres = 2 * rng.standard_normal((CLUSTERS, LATENT), np.float32)
    directions = rng.standard_normal((LATENT, tag.DIMENSIONS), np.float32)
    for first in range(0, tracks, 1000):
        count = min(1000, tracks - first)
        latent = centres[rng.integers(CLUSTERS, size=count)]
        latent = latent + rng.standard_normal((count, LATENT), np.float32)
        yield latent @ directions + rng.standard_normal((count, tag.DIMENSIONS), np.float32)


def labels(folder: pathlib.Path, stored: pathlib.Path) -> None:
    """The row of `mar tag`."""
    head = folder / "head.safetensors"
    tag.write_head(head, "task", np.random.default_rng(0))
    command = [
        *(sys.executable, "-m", "mar", "tag", "--top=5", "--head", head),
        *("--output", folder / "ours.parquet", stored),
    ]
    numpy = [sys.executable, "-m", "benchmarks.theirs_numpy", head, stored, folder / "its.parquet"]
    contest.run(
        "tag",
        f"Labels of {FLAGS.tracks:,} stored tracks, from start to end of mar tag",
        {
            "mar": lambda: contest.process(command),
            "NumPy": lambda: contest.process(numpy, PYTHONPATH=str(contest.ROOT)),
        },
        aims={"NumPy": 1.0},
        rounds=FLAGS.rounds,
        work=FLAGS.tracks,
        unit="tracks",
    )


def neighbours(stored: pathlib.Path) -> None:
    """The row of `mar.Embeddings.nearest`."""
    embeddings = mar.Embeddings(stored)
    _, seconds = contest.timed(embeddings.index)
    embeddings = mar.Embeddings(stored)  # with its index
    paths, units = embeddings.paths, embeddings.means(embeddings.paths)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    rng = np.random.default_rng(1)
    queries = units[rng.integers(len(units), size=FLAGS.queries)]
    queries = queries + 0.01 * rng.standard_normal(queries.shape, np.float32)
    flat = faiss.IndexFlatIP(units.shape[1])
    flat.add(units)

    def ours():
        return [{near.path for near in embeddings.nearest(query, K)} for query in queries]

    def numpy():
        found = []
        for query in queries:
            similarities = units @ query
            best = np.argpartition(-similarities, K)[:K]
            found.append(best[np.argsort(-similarities[best])])
        return found

    exact = [{paths[number] for number in best} for best in numpy()]
    recall = np.mean([len(a & b) / K for a, b in zip(ours(), exact, strict=True)])
    contest.run(
        "search",
        f"{FLAGS.queries} queries among {len(paths):,} tracks, one at a time; recall {recall:.3f}, "
        f"index made in {seconds:.0f} s",
        {
            "mar": ours,
            "NumPy, all compared": numpy,
            "Faiss, all compared": lambda: [flat.search(query[None], K) for query in queries],
        },
        aims={"NumPy, all compared": 1.0, "Faiss, all compared": 1.0},
        rounds=FLAGS.rounds,
        work=FLAGS.queries,
        unit="queries",
    )


def main(_):
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        stored = folder / "stored"
        tag.write_store(stored, clustered(FLAGS.tracks, np.random.default_rng(0)))
        labels(folder, stored)
        neighbours(stored)


if __name__ == "__main__":
    app.run(main)
