"""Writes data sets of spectrograms: several processes or machines, atomic, resumable.

The tracks are cut, in their order, into shards of equally many; so the list of tracks alone decides
which goes where, and every byte. A shard is finished when its part of the manifest,
`parts/shard-….parquet`, is there, which is written after the shard itself; when all parts are
there, they become the manifest.
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
from collections.abc import Iterator, Sequence
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
from mar.records.shards import PARTS, Job, Shards, write_shard
from mar.records.storage import Location
from mar.util.atomic import appearing
from mar.util.lock import FolderLock
from mar.util.processes import end_with_parent

FAILED = "failed.csv"
_SAMPLED = 64  # tracks whose lengths say how many fit into a shard
_USUAL_SECONDS = 200.0  # where no length could be read
_FULL = (errno.ENOSPC, errno.EDQUOT)
_OTHER = (
    "holds a data set of other files, labels or settings; expected one of the same command, or an "
    "empty folder"
)


@dataclass(frozen=True)
class Outcome:
    """What `write` achieved.

    Attributes:
        tracks, seconds: in the data set so far.
        failed: `(id, reason)` of each track that could not be read.
        missing_shards: number of shards that other machines have still to write.
    """

    tracks: int
    seconds: float
    failed: Sequence[tuple[str, str]]
    missing_shards: int


def write(
    job: Job,
    folder: str | os.PathLike[str],
    workers: int = 1,
    share: tuple[int, int] = (0, 1),
) -> Outcome:
    """Writes a data set, or one machine's share of it, or what is still missing.

    Args:
        job: what is written.
        folder: of the data set; made if there is none.
        workers: number of processes.
        share: `(i, n)`: every n-th shard, from the i-th. Whoever finds all shards finished makes
            the manifest.

    Raises:
        ConfigError: the folder holds another data set.
        InputError: the folder cannot be written, or no track can be read; or another process writes
            the same share, or one of another n.
    """
    folder = pathlib.Path(folder)
    if _is_finished(folder, job) and not (folder / PARTS).exists():
        return _outcome(folder)
    with _explained(folder), _locked(folder, share):
        if _is_finished(folder, job):
            shutil.rmtree(folder / PARTS, ignore_errors=True)
            return _outcome(folder)
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


def _run(shards: Shards, numbers: Sequence[int], workers: int) -> None:
    """Writes the shards with these numbers in `workers` processes."""
    if not numbers:
        return
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    job = dataclasses.replace(shards.job, tracks=None)
    with (
        _single_threaded(),
        concurrent.futures.ProcessPoolExecutor(workers, context, end_with_parent) as pool,
        tqdm.tqdm(total=0, unit="track", smoothing=0.05) as progress,
    ):
        futures = {}
        try:
            for number in numbers:
                tracks = shards.tracks(number)
                progress.total = (progress.total or 0) + len(tracks)
                arguments = (job, shards.folder, shards.name(number), shards.part(number), tracks)
                futures[pool.submit(write_shard, *arguments)] = len(tracks)
            for future in concurrent.futures.as_completed(futures):
                future.result()
                progress.update(futures[future])
        except (KeyboardInterrupt, SystemExit):
            for process in set(multiprocessing.active_children()) - others:
                process.kill()  # or it would finish its shard first
            raise
        except BrokenProcessPool:
            raise InputError(
                "a worker process was killed (out of memory?). Finished shards are kept: run the "
                "same command again, with fewer --workers"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@contextlib.contextmanager
def _single_threaded() -> Iterator[None]:
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


@contextlib.contextmanager
def _locked(folder: pathlib.Path, share: tuple[int, int]) -> Iterator[None]:
    """Makes the folder, and keeps all out but the other shares."""
    folder.mkdir(parents=True, exist_ok=True)
    with FolderLock(folder, share):
        yield


def _tracks_per_shard(job: Job, folder: pathlib.Path) -> int:
    """How many tracks make about `shard_bytes`; whichever machine comes first decides."""
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


def _fitting_tracks(job: Job) -> int:
    """How many tracks make about `shard_bytes`, from the lengths of some of them."""
    count = len(job.tracks)
    rows = np.unique(np.linspace(0, count - 1, min(count, _SAMPLED)).astype(int))
    lengths = [job.source.seconds(track) for track in job.tracks.take(rows).to_pylist()]
    seconds = [length for length in lengths if length] or [_USUAL_SECONDS]
    header = job.header()
    track_bytes = float(np.mean(seconds)) / header.hop_seconds * header.frame_bytes
    return max(1, round(job.shard_bytes / track_bytes))


def _is_finished(folder: pathlib.Path, job: Job) -> bool:
    manifest = folder / manifests.NAME
    if not manifest.exists():
        return False
    if manifests.read(manifest).header.made_from != job.hash():
        raise ConfigError(f"{folder}: {_OTHER}")
    return True


def _merge(shards: Shards) -> None:
    """Makes the data set of all parts, unless another machine does."""
    try:
        _merge_parts(shards)
    except OSError:  # most likely because another machine has removed the parts
        if not (shards.folder / manifests.NAME).exists():
            raise


def _merge_parts(shards: Shards) -> None:
    """Writes the list of failures, and then the manifest."""
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


def _refuse_empty(shards: Shards, reason: str) -> None:
    """Removes a data set without a track: most often the folder of audio files is a wrong one."""
    for number in range(shards.count):
        (shards.folder / shards.name(number)).unlink(missing_ok=True)
    shutil.rmtree(shards.folder / PARTS)
    raise InputError(
        f"{shards.folder}: none of the {len(shards.job.tracks)} files could be read, so nothing "
        f"was written. The first: {reason}"
    )


def _describe(folder: pathlib.Path, name: str) -> manifests.Shard:
    file = storage.open_file(folder / name)
    return manifests.Shard(name, file.size, manifests.fingerprint(file))


def _outcome(folder: pathlib.Path) -> Outcome:
    manifest = manifests.read(folder)
    seconds = float(manifest.frames.sum(dtype=np.int64)) * manifest.header.hop_seconds
    return Outcome(len(manifest), seconds, read_failed(manifest.location), 0)


def _partial_outcome(shards: Shards, missing: int) -> Outcome:
    finished = [shards.part(n) for n in range(shards.count) if shards.is_finished(n)]
    rows = [row for part in finished for row in pq.read_table(part).to_pylist()]
    failed = [(row["id"], row["reason"]) for row in rows if row["reason"]]
    frames = sum(row["frames"] or 0 for row in rows)
    seconds = frames * shards.job.header().hop_seconds
    return Outcome(len(rows) - len(failed), seconds, failed, missing)


def read_failed(location: Location) -> list[tuple[str, str]]:
    """`(id, reason)` of each track that could not be read when a data set was written.

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
def _explained(folder: pathlib.Path) -> Iterator[None]:
    """Turns what the system raises into one sentence with the remedy."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        remedy = "free some space and " if error.errno in _FULL else ""
        raise InputError(
            f"{folder}: cannot be written: {reason}. Finished shards are kept: {remedy}run the "
            f"same command again"
        ) from None
