"""What an index for searching costs, and what it misses.

    mar embed --model MODEL --store timeline --set Windows.hop_seconds=1 --output windows/ MUSIC
    python benchmarks/search.py --windows windows/ --folder /tmp/search [--rows 100000]
        [--deformed deformed/] [--engine lancedb] [--queries 200]

The rows are the windows of a data set; or, with --rows, as many mixtures of two near windows of one
track, to which is added what transcoding did to some window: the difference between the windows of
a track in the folder orig of --deformed, embedded likewise, and of those of its name in the others.
Queries are such rows that are not in the set. --engine is mar (`mar.Embeddings.index`, Faiss), or
lancedb or usearch (pip install), of which the setting is taken that the docs compare with it.

Prints seconds and CPU seconds of making it, its memory (of the process, without the files that it
maps) and bytes a row, seconds to open it, and for all rows, a tenth and a hundredth of them, recall
of the 10 nearest and milliseconds of a query, 50 % and 95 % of them.
"""

import os
import pathlib
import shutil
import threading
import time

import numpy as np
from absl import app, flags

from mar.embedding.rows import Row
from mar.embedding.store import Embeddings
from mar.embedding.writer import write_part

FLAGS = flags.FLAGS
flags.DEFINE_string("windows", None, "Data set with timelines.", required=True)
flags.DEFINE_string("deformed", None, "Data set of deformed audio, with timelines.")
flags.DEFINE_integer("rows", 0, "Mixtures; 0 for the windows themselves.")
flags.DEFINE_integer("queries", 200, "Number of queries.")
flags.DEFINE_enum("engine", "mar", ["mar", "lancedb", "usearch"], "What is measured.")
flags.DEFINE_string("folder", None, "Folder for the rows and the index.", required=True)
flags.DEFINE_bool("keep", False, "Take the rows that the folder has already.")

K, BATCH, NEAR = 10, 10_000, 10  # NEAR: windows, of the same track
FOLDERS = {"all": 100, "a tenth": 10, "a hundredth": 1}


def residuals(embeddings):
    """What transcoding did to windows, `(n, dimensions)`."""
    originals = {pathlib.Path(p).stem: p for p in embeddings.paths if p.startswith("orig/")}
    found = []
    for path in embeddings.paths:
        original = originals.get(pathlib.Path(path).stem, path)
        if "trim" not in path and "lead" not in path and original != path:
            one, other = embeddings.timeline(path), embeddings.timeline(original)
            length = min(len(one), len(other))
            found.append(one[:length] - other[:length])
    return np.concatenate(found)


class Source:
    """Rows in batches, and queries that are not among them; the same each time."""

    def __init__(self):
        embeddings = Embeddings(FLAGS.windows)
        self.windows, track_of = embeddings.windows(embeddings.paths)
        self.dimensions = embeddings.dimensions
        firsts = np.searchsorted(track_of, track_of)
        lasts = np.searchsorted(track_of, track_of, "right") - 1
        self._ends = firsts, lasts
        self._residuals = np.zeros((1, self.dimensions), np.float32)
        if FLAGS.deformed:
            self._residuals = residuals(Embeddings(FLAGS.deformed))
        order = np.random.default_rng(0).permutation(len(self.windows))
        self._order, self.rows = order[FLAGS.queries :], FLAGS.rows or len(order) - FLAGS.queries
        self.queries = self.windows[order[: FLAGS.queries]]
        if FLAGS.rows:
            self.queries = self._mixed(np.random.default_rng(1), FLAGS.queries)

    def _mixed(self, generator, count):
        one = generator.integers(0, len(self.windows), count)
        other = np.clip(one + generator.integers(-NEAR, NEAR + 1, count), *self._at(one))
        share = generator.random((count, 1), np.float32)
        added = self._residuals[generator.integers(0, len(self._residuals), count)]
        return share * self.windows[one] + (1 - share) * self.windows[other] + added

    def _at(self, windows):
        return self._ends[0][windows], self._ends[1][windows]

    def batches(self):
        """Yields `(first, rows)`."""
        generator = np.random.default_rng(2)
        for first in range(0, self.rows, BATCH):
            count = min(BATCH, self.rows - first)
            if FLAGS.rows:
                yield first, self._mixed(generator, count)
            else:
                yield first, self.windows[self._order[first : first + count]]


def name(number):
    """The path of a row: in one of a hundred folders."""
    return f"{number % 100:02d}/{number}.wav"


def units(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def truth(source):
    """`{how many of the folders: row numbers (queries, K)}` of the nearest."""
    targets = units(source.queries)
    best = {share: [[] for _ in targets] for share in FOLDERS.values()}
    for first, vectors in source.batches():
        similarities = targets @ units(vectors).T
        numbers = first + np.arange(len(vectors))
        for share, of_share in best.items():
            places = np.flatnonzero(numbers % 100 < share)
            for known, values in zip(of_share, similarities[:, places], strict=True):
                top = np.argsort(-values)[:K]
                known += zip(-values[top], numbers[places[top]], strict=True)
                known[:] = sorted(known)[:K]
    return {
        share: [[number for _, number in known] for known in of_share]
        for share, of_share in best.items()
    }


def write_rows(source, folder):
    """A data set of the rows."""
    made = Embeddings(FLAGS.windows).provenance | {"store": "mean", "format": "parquet"}
    for first, vectors in source.batches():
        rows = [
            Row(name(number), "ok", audio_hash=str(number), duration=200.0, values=vector[None],
                times=np.zeros(1, np.float32))
            for number, vector in enumerate(vectors, first)
        ]  # fmt: skip
        write_part(folder, made, rows, f"{first:09d}", written=first + 1)


class Memory:
    """The largest memory of this process without files that are mapped, MB."""

    def __enter__(self):
        self.peak, self._ended = 0, threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._ended.set()

    def _watch(self):
        while not self._ended.wait(0.1):
            status = pathlib.Path("/proc/self/status").read_text()
            anonymous = next(x for x in status.splitlines() if x.startswith("RssAnon"))
            self.peak = max(self.peak, int(anonymous.split()[1]) // 1024)


def cpu():
    times = os.times()
    return times.user + times.system


class Mar:
    """`mar.Embeddings.index`; a query is what `mar.Embeddings.nearest` does."""

    def __init__(self, folder):
        self.folder = folder

    def make(self, source):
        Embeddings(self.folder).index()

    def size(self):
        return sum(path.stat().st_size for path in (self.folder / ".search").rglob("*"))

    def open(self):
        self.embeddings = Embeddings(self.folder)
        began = time.perf_counter()
        assert self.embeddings.search_index is not None
        return time.perf_counter() - began

    def condition(self, share):
        if share == 100:
            return None
        return frozenset(path for path in self.embeddings.paths if int(path[:2]) < share)

    def query(self, vector, condition):
        tracks = self.embeddings.nearest(vector, K, among=condition)
        return [int(pathlib.Path(track.path).stem) for track in tracks]


class LanceDB:
    """IVF_RQ of float32, with the exact vectors of five times as many candidates."""

    def __init__(self, folder):
        self.folder = folder / "lancedb"

    def make(self, source):
        import lancedb
        import pyarrow as pa

        kind = pa.list_(pa.float32(), source.dimensions)
        schema = pa.schema({"id": pa.int64(), "folder": pa.int64(), "vector": kind})

        def batches():
            for first, vectors in source.batches():
                numbers = first + np.arange(len(vectors))
                flat = pa.array(units(vectors).ravel())
                values = pa.FixedSizeListArray.from_arrays(flat, source.dimensions)
                yield pa.RecordBatch.from_arrays([numbers, numbers % 100, values], schema=schema)

        shutil.rmtree(self.folder, ignore_errors=True)
        reader = pa.RecordBatchReader.from_batches(schema, batches())
        table = lancedb.connect(self.folder).create_table("rows", reader)
        cells = max(1, source.rows // 4096)
        table.create_index(
            metric="cosine", vector_column_name="vector", index_type="IVF_RQ", num_partitions=cells
        )

    def size(self):
        return sum(path.stat().st_size for path in self.folder.rglob("*"))

    def open(self):
        import lancedb

        began = time.perf_counter()
        self.table = lancedb.connect(self.folder).open_table("rows")
        return time.perf_counter() - began

    def condition(self, share):
        return None if share == 100 else f"folder < {share}"

    def query(self, vector, condition):
        search = self.table.search(vector, vector_column_name="vector").metric("cosine").limit(K)
        search = search.nprobes(20).refine_factor(5).select(["id", "_distance"])
        if condition is not None:
            search = search.where(condition, prefilter=True)
        return search.to_arrow()["id"].to_pylist()


class USearch:
    """HNSW of int8; it has no conditions."""

    def __init__(self, folder):
        self.path = folder / "usearch"

    def make(self, source):
        from usearch.index import Index

        index = Index(ndim=source.dimensions, metric="cos", dtype="i8")
        for first, vectors in source.batches():
            index.add(np.arange(first, first + len(vectors)), units(vectors))
        index.save(str(self.path))

    def size(self):
        return self.path.stat().st_size

    def open(self):
        from usearch.index import Index

        began = time.perf_counter()
        self.index = Index.restore(str(self.path), view=True)
        self.index.expansion_search = 256
        return time.perf_counter() - began

    def condition(self, share):
        return None

    def query(self, vector, condition):
        return self.index.search(units(vector[None])[0], K).keys.tolist()


def main(argv):
    if argv[1:]:
        raise app.UsageError(f"expected flags alone, got {argv[1:]}")
    folder = pathlib.Path(FLAGS.folder)
    source = Source()
    if not FLAGS.keep:
        folder.mkdir(parents=True)
        write_rows(source, folder)
        np.save(folder / "truth.npy", list(truth(source).values()))
    expected = dict(zip(FOLDERS.values(), np.load(folder / "truth.npy"), strict=True))
    engine = {"mar": Mar, "lancedb": LanceDB, "usearch": USearch}[FLAGS.engine](folder)
    with Memory() as memory:
        before, began, began_cpu = memory.peak, time.perf_counter(), cpu()
        engine.make(source)
        seconds, cpu_seconds = time.perf_counter() - began, cpu() - began_cpu
    print(
        f"{FLAGS.engine}, {source.rows} rows of {source.dimensions}: made in {seconds:.0f} s "
        f"({cpu_seconds:.0f} CPU s), {memory.peak - before} MB with the benchmark's own, "
        f"{engine.size() / source.rows:.0f} bytes a row, opened in {engine.open():.3f} s"
    )
    for what, share in FOLDERS.items():
        if FLAGS.engine == "usearch" and share < 100:
            continue
        condition = engine.condition(share)
        report(what, expected[share], source.queries, lambda v, c=condition: engine.query(v, c))


def report(what, expected, queries, query):
    """Prints recall and times of queries."""
    for vector in queries[:5]:
        query(vector)  # so that what is read once is read
    shares, seconds, began = [], [], cpu()
    for vector, numbers in zip(queries, expected, strict=True):
        start = time.perf_counter()
        given = query(vector)
        seconds.append(time.perf_counter() - start)
        shares.append(len({*given} & {*numbers.tolist()}) / K)
    half, most = 1000 * np.percentile(seconds, [50, 95])
    spent = 1000 * (cpu() - began) / len(queries)
    print(
        f"  {what}: recall {np.mean(shares):.4f}, {half:.1f} ms, 95 % within {most:.1f} ms "
        f"({spent:.1f} CPU ms)"
    )


if __name__ == "__main__":
    app.run(main)
