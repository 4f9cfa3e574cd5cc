"""Writes data sets of spectrograms: several processes or machines, atomic, resumable.

The items are cut, in their order, into shards of equally many tracks; which track goes where thus
depends on the list alone, and so does every byte. A shard is finished when its part of the
manifest, `parts/shard-….parquet`, is there, which comes after the shard itself; when all are, they
become the manifest.
"""

import concurrent.futures
import contextlib
import dataclasses
import errno
import json
import multiprocessing
import os
import pathlib
import shutil
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import tqdm

from mar.errors import ConfigError, InputError
from mar.records import manifest as manifests
from mar.records import storage
from mar.records.shards import PARTS, Shards, write_shard
from mar.util.atomic import appearing
from mar.util.processes import end_with_parent

FAILED = "failed.csv"
_SAMPLED = 64  # tracks whose length says how many fit into a shard
_USUAL_SECONDS = 200.0  # where no length could be read
_FULL = (errno.ENOSPC, errno.EDQUOT)
_OTHER = (
    "holds a data set of other files, labels or settings; expected one of the same command, or an "
    "empty folder"
)


@dataclass(frozen=True)
class Outcome:
    """What there is after `write`.

    Attributes:
        tracks, seconds: in the data set so far.
        failed: `(id, reason)` of each item that could not be read.
        missing_shards: number of shards that others have still to write.
    """

    tracks: int
    seconds: float
    failed: list
    missing_shards: int


def write(job, folder, workers=1, share=(0, 1)):
    """Writes a data set, or one machine's share of it, or what is missing of either.

    Args:
        job: `Job`.
        folder: where to; made if there is none.
        workers: number of processes.
        share: `(i, n)`: every n-th shard, from the i-th. Whoever finds all shards finished makes
            the manifest.

    Returns:
        `Outcome`.

    Raises:
        ConfigError: the folder holds another data set.
        InputError: the folder cannot be written, or none of the items read.
    """
    folder = pathlib.Path(folder)
    if _is_finished(folder, job):
        shutil.rmtree(folder / PARTS, ignore_errors=True)
        return _outcome(folder)
    with _explained(folder):
        shards = Shards(job, folder, _tracks_per_shard(job, folder))
        mine = range(share[0], shards.count, share[1])
        _run(shards, [shard for shard in mine if not shards.is_finished(shard)], workers)
        missing = sum(not shards.is_finished(shard) for shard in range(shards.count))
        if not missing:
            _merge(shards)
    if missing and not _is_finished(folder, job):
        with contextlib.suppress(FileNotFoundError):  # another machine has merged the parts
            return _partial_outcome(shards, missing)
    return _outcome(folder)


# -------------------------------------------------------------------------------------- processes


def _run(shards, numbers, workers):
    """Writes the shards with these numbers in `workers` processes."""
    if not numbers:
        return
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    job = dataclasses.replace(shards.job, items=None)
    with (
        _single_threaded(),
        concurrent.futures.ProcessPoolExecutor(workers, context, end_with_parent) as pool,
        tqdm.tqdm(total=0, unit="track", smoothing=0.05) as progress,
    ):
        futures = {}
        try:
            for number in numbers:
                items = shards.items(number)
                progress.total += len(items)
                arguments = (job, shards.folder, shards.name(number), shards.part(number), items)
                futures[pool.submit(write_shard, *arguments)] = len(items)
            for future in concurrent.futures.as_completed(futures):
                future.result()
                progress.update(futures[future])
        except (KeyboardInterrupt, SystemExit):
            for process in set(multiprocessing.active_children()) - others:
                process.kill()  # it would finish its shard first
            raise
        except BrokenProcessPool:
            raise InputError(
                "a worker process was killed (out of memory?). Finished shards are kept: run the "
                "same command again, with fewer --workers"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@contextlib.contextmanager
def _single_threaded():
    """One thread for each worker's arithmetic; with several, sums depend on their number."""
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    settings = {
        **dict.fromkeys(names, "1"),
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


# ----------------------------------------------------------------------------------- the data set


def _tracks_per_shard(job, folder):
    """How many tracks make about `shard_bytes`; fixed by whoever comes first."""
    plan = folder / PARTS / "plan.json"
    if not plan.exists():
        plan.parent.mkdir(parents=True, exist_ok=True)
        tracks = _fitting_tracks(job)
        text = json.dumps({"job": job.hash(), "tracks_per_shard": tracks})
        with appearing(plan) as unfinished:
            unfinished.write_text(text)
    begun = json.loads(plan.read_text())
    if begun["job"] != job.hash():
        raise ConfigError(f"{folder}: {_OTHER}")
    return begun["tracks_per_shard"]


def _fitting_tracks(job):
    count = len(job.items)
    rows = np.unique(np.linspace(0, count - 1, min(count, _SAMPLED)).astype(int))
    seconds = [job.source.seconds(item) for item in job.items.take(rows).to_pylist()]
    seconds = [value for value in seconds if value] or [_USUAL_SECONDS]
    header = job.header()
    bytes_each = np.mean(seconds) / header.hop_seconds * header.frame_bytes
    return max(1, round(job.shard_bytes / bytes_each))


def _is_finished(folder, job):
    manifest = folder / manifests.NAME
    if not manifest.exists():
        return False
    if manifests.read(manifest).header.made_from != job.hash():
        raise ConfigError(f"{folder}: {_OTHER}")
    return True


def _merge(shards):
    """Makes the data set of all parts, unless another machine does."""
    try:
        _merge_parts(shards)
    except OSError:  # of parts that were removed, most likely
        if not (shards.folder / manifests.NAME).exists():
            raise


def _merge_parts(shards):
    """Makes the list of failures, and then the manifest."""
    folder = shards.folder
    table = pa.concat_tables(pq.read_table(shards.part(n)) for n in range(shards.count))
    failed = table.filter(pc.is_valid(table["reason"])).select(["id", "reason"])
    if len(failed) == len(table):
        _refuse_empty(shards, failed["reason"][0].as_py())
    described = [_describe(folder, shards.name(number)) for number in range(shards.count)]
    if len(failed):
        text = pa.BufferOutputStream()
        pyarrow.csv.write_csv(failed, text)
        with appearing(folder / FAILED, beside=folder / PARTS) as unfinished:
            unfinished.write_bytes(text.getvalue().to_pybytes())
    rows = table.filter(pc.is_null(table["reason"])).select(manifests.SCHEMA.names)
    header = shards.job.header(described)
    manifests.write(folder / manifests.NAME, header, rows, folder / PARTS)
    shutil.rmtree(folder / PARTS, ignore_errors=True)


def _refuse_empty(shards, reason):
    """A data set of no track is no data set, most often of a wrong folder of audio files."""
    for number in range(shards.count):
        (shards.folder / shards.name(number)).unlink(missing_ok=True)
    shutil.rmtree(shards.folder / PARTS)
    raise InputError(
        f"{shards.folder}: none of the {len(shards.job.items)} files could be read, so nothing was "
        f"written. The first: {reason}"
    )


def _describe(folder, name):
    file = storage.open_file(folder / name)
    return manifests.Shard(name, file.size, manifests.fingerprint(file))


def _outcome(folder):
    manifest = manifests.read(folder)
    seconds = float(manifest.frames.sum(dtype=np.int64)) * manifest.header.hop_seconds
    return Outcome(len(manifest), seconds, read_failed(manifest.location), 0)


def _partial_outcome(shards, missing):
    finished = [shards.part(n) for n in range(shards.count) if shards.is_finished(n)]
    rows = [row for part in finished for row in pq.read_table(part).to_pylist()]
    failed = [(row["id"], row["reason"]) for row in rows if row["reason"]]
    frames = sum(row["frames"] or 0 for row in rows)
    seconds = frames * shards.job.header().hop_seconds
    return Outcome(len(rows) - len(failed), seconds, failed, missing)


def read_failed(location):
    """`(id, reason)` of each item that could not be read when a data set was written.

    Args:
        location: of the data set's manifest.
    """
    path = storage.beside(location, FAILED)
    if storage.sizes([path]) == [None]:
        return []
    text = dict.fromkeys(("id", "reason"), pa.string())
    parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
    convert = pyarrow.csv.ConvertOptions(column_types=text)
    data = pa.BufferReader(storage.read_file(path))
    table = pyarrow.csv.read_csv(data, parse_options=parse, convert_options=convert)
    return list(zip(table["id"].to_pylist(), table["reason"].to_pylist(), strict=True))


@contextlib.contextmanager
def _explained(folder):
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        remedy = "free some space and " if error.errno in _FULL else ""
        raise InputError(
            f"{folder}: cannot be written: {reason}. Finished shards are kept: {remedy}run the "
            f"same command again"
        ) from None
