"""Embeddings, their search index, and tables of labels."""

import json

import numpy as np

from helpers import small_embeddings
from soak import mutations
from soak.kinds.kind import kind, written


def embeddings(change_format, store):
    """One file of a data set of embeddings."""

    def make(folder):
        generator = np.random.default_rng(0)
        timelines = {f"a/{n}.mp3": generator.standard_normal((3 + n, 8)) for n in range(5)}
        small_embeddings.write_store(
            folder, timelines, ["bad.mp3"], store=store, format=change_format
        )
        if change_format == "parquet":
            return next(folder.glob("*.parquet"))
        from mar.embedding import npz

        made = {**small_embeddings.PROVENANCE, "store": store}
        for path, values in timelines.items():
            npz.write(folder, made, path, None, np.arange(len(values)), np.float32(values))
        return folder / "a" / "0.mp3.npz"

    def read(path):
        from mar.embedding.store import Embeddings

        data = Embeddings(path.parent if change_format == "parquet" else path.parent.parent)
        paths = data.paths
        hashes, durations = data.audio_hashes(), data.durations()
        means = data.means(paths).tolist()
        windows = [line.values.tolist() for line in data.timelines()] if store != "mean" else None
        times = [data.times(p).tolist() for p in paths]
        return [paths, dict(data.failures), hashes, durations, means, windows, times]

    return lambda: (make, read)


for _store in ("mean", "timeline"):
    kind(f"embeddings, {_store}", [mutations.in_parquet], checked=True)(
        embeddings("parquet", _store)
    )
    kind(f"embeddings, npz of {_store}", [mutations.in_zip], checked=True)(
        embeddings("npz", _store)
    )


def search_index(name):
    """One file of the index of a data set."""

    def make(folder):
        from mar.embedding import indexing
        from mar.embedding.store import Embeddings

        generator = np.random.default_rng(0)
        timelines = {f"{n}.mp3": generator.standard_normal((1, 16)) for n in range(300)}
        small_embeddings.write_store(folder, timelines)
        indexing.SMALLEST = 100
        indexing.index(Embeddings(folder))
        return next((folder / ".search").rglob(name))

    def read(path):
        from mar.embedding import search_index
        from mar.embedding.store import Embeddings

        folder = next(part.parent for part in path.parents if part.name == ".search")
        data = Embeddings(folder)
        search_index._SCANNED = 50  # so that 300 tracks are many
        near = [[track.path for track in data.nearest(path, k=5)] for path in data.paths[:20]]
        return [near, len(data.search_index)]

    return lambda: (make, read)


kind("search index, index.json", [mutations.in_json])(search_index("index.json"))
kind("search index, rows", checked=True)(search_index("rows.arrow"))
kind("search index, kept", checked=True)(search_index("*.npy"))
kind("search index, codes", checked=True)(search_index("codes.faiss"))


@kind("remembered model", [mutations.in_json])
def remembered():
    """What a data set remembers of its model, which is made anew where it is not understood."""

    def make(folder):
        small_embeddings.write_store(folder, {"a.mp3": np.ones((1, 8))})
        noted = {"asked": {"model": "m"}, "made": {"dimensions": 8}, "files": []}
        return written(folder, ".model.json", json.dumps(noted))

    def read(path):
        from mar.embedding import remembered

        made = remembered.recall(path.parent, {"model": "m"})
        assert made is None or isinstance(made, dict)
        return made

    return make, read


@kind("table of labels", [mutations.in_parquet], checked=True)
def labels_table():
    """A table of `mar tag`, which chooses tracks."""

    def make(folder):
        import pyarrow as pa

        from mar.util import table_files

        small_embeddings.write_store(folder, {f"{n}.mp3": np.ones((1, 8)) for n in range(9)})
        table = pa.table({"path": ["1.mp3", "2.mp3"], "label": ["a", "b"]})
        (folder / "labels").mkdir()
        with table_files.writer(folder / "labels" / "tags.parquet", table.schema) as write:
            write(table)
        return folder / "labels" / "tags.parquet"

    def read(path):
        from mar.embedding.selection import select
        from mar.embedding.store import Embeddings

        return sorted(select(Embeddings(path.parent.parent), labels=["a"], tags=path))

    return make, read
