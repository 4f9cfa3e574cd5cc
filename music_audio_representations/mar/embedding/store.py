"""Embeddings on disk: one Parquet data set, a row per audio file, with their provenance.

The folder holds part files, each written whole. Their columns:

    path         key of the file, see `mar.embedding.files`
    status       ok, failed, or skipped (neither audio nor called so); all else but path is null
                 where it does not apply
    reason       why not ok
    size         bytes of the file
    mtime_ns     when it was last changed
    duration     seconds of audio
    sample_rate  Hz, of the file
    padded       whether silence was appended to reach the length of a window
    times        list of the windows' centres, seconds
    mean         fixed-size list: the average embedding (where `store` is mean)
    timeline     list of fixed-size lists: every window's (where `store` is timeline)

With the format npz, `<path>.npz` beside them holds `embedding` (of the mean, or of every window),
`timestamps` and `provenance`, and the Parquet files lack the last columns. The provenance is the
JSON under the key `mar` of the Parquet schema.
"""

import contextlib
import dataclasses
import fcntl
import json
import pathlib
import time
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
import pyarrow.parquet as pq

from mar.errors import InputError
from mar.util.atomic import make_folder, remove_abandoned, whole

_KEY = b"mar"
_NOT_COMPARED = ("version", "model_source", "front_end_config")
_NAME_BYTES = 255
_PART_ROWS, _PART_BYTES, _PART_SECONDS = 1000, 64e6, 60.0


@dataclasses.dataclass
class Row:
    """What became of one file: see the columns above. `values` are the windows' embeddings."""

    path: str
    status: str
    reason: str | None = None
    size: int | None = None
    mtime_ns: int | None = None
    duration: float | None = None
    sample_rate: int | None = None
    padded: bool | None = None
    times: np.ndarray | None = None
    values: np.ndarray | None = None

    @property
    def mean(self):
        """The average embedding, or None."""
        return None if self.values is None else self.values.mean(axis=0)


class Writer:
    """Adds rows to a data set, in a folder that may have some already.

    Args:
        folder: is created where it does not exist.
        provenance: dictionary: how the embeddings are made; `store` and `format` say how they are
            kept, `dimensions` how long they are.

    Attributes:
        present: the paths that it had rows for.
        done: {path: (status, size, mtime_ns)} of those that did not fail.

    Raises:
        InputError: the folder holds embeddings that were made in another way.
    """

    def __init__(self, folder, provenance):
        self.folder = pathlib.Path(folder)
        self.provenance = provenance
        self._begin_part()
        make_folder(self.folder)
        remove_abandoned(self.folder)
        self.present, self.done = set(), {}
        with _locked(self.folder):
            _refuse_other(self.folder, provenance)
            for batch in batches(self.folder, ["path", "status", "size", "mtime_ns"]):
                self.present.update(batch["path"].to_pylist())
                for row in batch.filter(pc.not_equal(batch["status"], "failed")).to_pylist():
                    self.done[row["path"]] = (row["status"], row["size"], row["mtime_ns"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.flush()

    def forget(self, paths):
        """Removes what there is of these paths, so that it can be made again."""
        paths = sorted(self.present.intersection(paths))
        if not paths:
            return
        forgotten = pa.array(paths, pa.string())
        with _locked(self.folder):
            for part in _parts(self.folder):
                stays = pc.invert(
                    pc.is_in(pq.read_table(part, columns=["path"])["path"], forgotten)
                )
                if pc.all(stays).as_py():
                    continue
                kept = pq.read_table(part).filter(stays)
                if kept.num_rows:
                    with whole(part) as unfinished:
                        pq.write_table(kept, unfinished)
                else:
                    part.unlink()
        if self.provenance["format"] == "npz":
            for path in paths:
                npz_path(self.folder, path).unlink(missing_ok=True)

    def add(self, row):
        """Adds one row, and returns it as it is kept.

        It is on disk after a minute, after the next `flush`, or at the end.
        """
        row = storable(self.provenance, row)
        self._rows.append(row)
        self._bytes += 0 if row.values is None else row.values.nbytes
        if (
            len(self._rows) >= _PART_ROWS
            or self._bytes >= _PART_BYTES
            or time.monotonic() - self._flushed >= _PART_SECONDS
        ):
            self.flush()
        return row

    def flush(self):
        """Writes the rows that were added as a new part."""
        if self._rows:
            write_part(self.folder, self.provenance, self._rows, self._part)
        self._begin_part()

    def _begin_part(self):
        self._rows, self._bytes, self._flushed = [], 0, time.monotonic()
        # Named before it is written: where a signal comes in just after that, and the rows are
        # flushed once more at the end, they replace themselves.
        self._part = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:8]}"


def write_part(folder, made, rows, name):
    """Writes rows as one part of a data set.

    Args:
        folder: of the data set.
        made: its provenance.
        rows: list of `Row`s, as `storable` returns them.
        name: of the part; one of the same name is replaced.
    """
    for row in rows:
        if made["format"] == "npz" and row.values is not None:
            _write_npz(folder, made, row)
    with whole(pathlib.Path(folder) / f"part-{name}.parquet") as unfinished:
        pq.write_table(_table(rows, _schema(made)), unfinished)


def storable(made, row):
    """The row; or one that says why it failed, where no `.npz` file can have its name."""
    if made["format"] == "parquet" or row.values is None:
        return row
    name = npz_path("", row.path).name
    if len(name.encode()) <= _NAME_BYTES:
        return row
    reason = f"the name {name!r} is too long for a file"
    return Row(row.path, "failed", reason, row.size, row.mtime_ns)


def _write_npz(folder, made, row):
    path = npz_path(folder, row.path)
    make_folder(path.parent)
    with whole(path, beside=folder) as unfinished, open(unfinished, "wb") as file:
        np.savez(
            file,
            embedding=row.mean if made["store"] == "mean" else row.values,
            timestamps=row.times,
            provenance=json.dumps(made),
        )


def provenance(folder):
    """How the embeddings of a data set were made.

    Raises:
        InputError: the folder holds no embeddings, damaged ones, or ones made in different ways.
    """
    first = None
    for part in _parts(pathlib.Path(folder)):
        found = _provenance_of(part)
        first = first or found
        if difference := _difference(first, found):
            raise InputError(f"{part}: made in another way than the rest of its folder{difference}")
    if first is None:
        raise InputError(f"{folder}: holds no embeddings (no .parquet file that mar.embed wrote)")
    return first


def batches(folder, columns, where=None):
    """Yields the rows of a data set as `pyarrow.RecordBatch`es.

    Args:
        folder: of the data set.
        columns: their names.
        where: a `pyarrow.compute.Expression` that the rows satisfy, or None.
    """
    parts = [str(part) for part in _parts(pathlib.Path(folder))]
    if parts:
        rows = pyarrow.dataset.dataset(parts, format="parquet")
        yield from rows.to_batches(columns=columns, filter=where)


def vectors(folder, where=None):
    """The mean embeddings of a data set, batch by batch.

    Args:
        folder: of the data set.
        where: a `pyarrow.compute.Expression` that the rows satisfy, or None.

    Yields:
        `(paths, (n, dimensions) float32)`.

    Raises:
        InputError: as `provenance` does.
    """
    made = provenance(folder)
    of_batch = {
        ("parquet", "mean"): _means,
        ("parquet", "timeline"): _means_of_timelines,
        ("npz", "mean"): _means_in_files,
        ("npz", "timeline"): _means_in_files,
    }[made["format"], made["store"]]
    is_ok = pc.field("status") == "ok"
    columns = ["path"] if made["format"] == "npz" else ["path", made["store"]]
    for batch in batches(folder, columns, is_ok if where is None else is_ok & where):
        if len(batch):
            matrix = of_batch(folder, batch).reshape(len(batch), made["dimensions"])
            yield batch["path"].to_pylist(), matrix.astype(np.float32, copy=False)


def _means(_, batch):
    return batch["mean"].flatten().to_numpy()


def _means_of_timelines(_, batch):
    timelines = batch["timeline"]
    lengths = timelines.value_lengths().to_numpy()
    values = timelines.flatten()
    matrix = values.flatten().to_numpy().reshape(len(values), -1)
    firsts = np.cumsum(lengths) - lengths
    return np.add.reduceat(matrix, firsts, axis=0) / lengths[:, None]


def _means_in_files(folder, batch):
    matrix = []
    for path in batch["path"].to_pylist():
        with np.load(npz_path(folder, path)) as file:
            matrix.append(np.atleast_2d(file["embedding"]).mean(axis=0))
    return np.stack(matrix)


def npz_path(folder, path):
    """Where the `.npz` file of a key lies."""
    return pathlib.Path(folder) / f"{path.lstrip('/')}.npz"


def _schema(made):
    vector = pa.list_(pa.float32(), made["dimensions"])
    columns = {
        "path": pa.string(),
        "status": pa.string(),
        "reason": pa.string(),
        "size": pa.int64(),
        "mtime_ns": pa.int64(),
        "duration": pa.float64(),
        "sample_rate": pa.int32(),
        "padded": pa.bool_(),
        "times": pa.list_(pa.float32()),
    }
    if made["format"] == "parquet":
        columns[made["store"]] = vector if made["store"] == "mean" else pa.list_(vector)
    return pa.schema(columns, {_KEY: json.dumps(made)})


def _table(rows, schema):
    arrays = [
        _timelines([row.values for row in rows], field.type)
        if field.name == "timeline"
        else pa.array([getattr(row, field.name) for row in rows], field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _timelines(values, kind):
    """A column of `(n, dimensions)` arrays, some of them None."""
    present = [value for value in values if value is not None]
    flat = np.concatenate([np.zeros(0, np.float32), *(value.ravel() for value in present)])
    offsets, end = [], 0
    for value in values:
        offsets.append(None if value is None else end)
        end += 0 if value is None else len(value)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(flat), kind.value_type.list_size)
    return pa.ListArray.from_arrays(pa.array([*offsets, end], pa.int32()), vectors).cast(kind)


def _parts(folder):
    return sorted(folder.glob("[!.]*.parquet"))


def _provenance_of(part):
    try:
        metadata = pq.read_schema(part).metadata or {}
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{part}: not a readable Parquet file ({error})") from None
    if _KEY not in metadata:
        raise InputError(f"{part}: not written by mar.embed (no provenance in its schema)")
    return json.loads(metadata[_KEY])


def _refuse_other(folder, made):
    for part in _parts(folder):
        if difference := _difference(_provenance_of(part), made):
            raise InputError(
                f"{folder}: holds embeddings that were made in another way{difference}; "
                "give another --output"
            )


def _difference(one, other):
    names = [name for name in one | other if name not in _NOT_COMPARED]
    differing = [name for name in names if one.get(name) != other.get(name)]
    return "".join(f"; {name}: {one.get(name)} there, {other.get(name)} here" for name in differing)


@contextlib.contextmanager
def _locked(folder):
    """One process at a time rewrites parts."""
    with open(folder / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
