"""Writes data sets of spectrograms: several processes or machines, atomic, resumable.

The tracks are cut, in their order, into shards of equally many; so the list of tracks alone decides
which goes where, and every byte. A shard is finished when its part of the manifest,
`parts/shard-….parquet`, is there, which is written after the shard itself; when all parts are
there, they become the manifest.

Tracks are added in the same way (see `growth`). The manifest before stays beside the new one, and
no shard is ever changed, so that whoever reads the data set goes on:

    shard-00000-of-00002.tfrecord                 manifest-1f0c87aa.parquet has these two,
    shard-00001-of-00002.tfrecord                 manifest.parquet all three
    shard-9be2d513-00000-of-00001.tfrecord
"""

import contextlib
import dataclasses
import errno
import json
import logging
import os
import pathlib
import shutil
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from mar.errors import ConfigError, InputError
from mar.records import buckets, storage, workers
from mar.records import manifest as manifests
from mar.records.header import Shard, fingerprint
from mar.records.shards import PART_SCHEMA, PARTS, Job, Shards, added_prefix
from mar.records.storage import Location
from mar.util import plain_data
from mar.util.atomic import appearing
from mar.util.kinds import PositiveInt
from mar.util.lock import FolderLock

_LOG = logging.getLogger(__name__)
FAILED = "failed.csv"
_SAMPLED = 64  # tracks whose lengths say how many fit into a shard
_USUAL_SECONDS = 200.0  # where no length could be read
_FULL = (errno.ENOSPC, errno.EDQUOT)
_OTHER = (
    "holds a data set of other files, labels or settings; expected one of the same command, or an "
    "empty folder; --append adds to it what is new in the table"
)


@dataclasses.dataclass(frozen=True)
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
    processes: int = 1,
    share: tuple[int, int] = (0, 1),
    address: str | None = None,
) -> Outcome:
    """Writes a data set, or one machine's share of it, or what is still missing.

    Args:
        job: what is written, or added.
        folder: of the data set; made if there is none.
        processes: number of them.
        share: `(i, n)`: every n-th shard, from the i-th. Whoever finds all shards finished makes
            the manifest.
        address: of a Ray cluster that writes them in place of processes; "local" starts one here.

    Raises:
        ConfigError: the folder holds another data set, or is in a bucket.
        InputError: the folder cannot be written, or no track can be read; or another process writes
            the same share, or one of another n; or the cluster does not answer.
    """
    folder = buckets.on_disk(folder)
    if _is_finished(folder, job) and not (folder / PARTS).exists():
        return _outcome(folder)
    with _explained(folder), _locked(folder, share):
        if _is_finished(folder, job):
            shutil.rmtree(folder / PARTS, ignore_errors=True)
            return _outcome(folder)
        if job.earlier:
            _set_other_additions_aside(folder, job, share)
        shards = Shards(job, folder, _tracks_per_shard(job, folder))
        mine = range(share[0], shards.count, share[1])
        todo = [shard for shard in mine if not shards.is_finished(shard)]
        workers.write_shards(shards, todo, processes, address)
        missing = sum(not shards.is_finished(shard) for shard in range(shards.count))
        if not missing:
            _merge(shards)
    if missing and not _is_finished(folder, job):
        with contextlib.suppress(FileNotFoundError):  # another machine has merged the parts
            return _partial_outcome(shards, missing)
    return _outcome(folder)


# ----------------------------------------------------------------------------------- the data set


@contextlib.contextmanager
def _locked(folder: pathlib.Path, share: tuple[int, int]) -> Iterator[None]:
    """Makes the folder, and keeps all out but the other shares."""
    folder.mkdir(parents=True, exist_ok=True)
    with FolderLock(folder, share):
        yield


def _set_other_additions_aside(folder: pathlib.Path, job: Job, share: tuple[int, int]) -> None:
    """Removes what was not finished of other additions, and what is left of finished ones."""
    assert job.earlier is not None
    plan = folder / PARTS / "plan.json"
    begun = plain_data.read(plan, {"job": str})["job"] if plan.exists() else job.hash()
    if begun == job.hash():
        return
    if begun != job.earlier.made_from:  # whose shards are those that are added to
        if share[1] > 1:
            raise InputError(
                f"{folder}: other tracks are being added to it by several machines; expected the "
                "same table from all of them. Without --shard, that work is given up for this one's"
            )
        _LOG.warning("%s: tracks that were being added from another table are given up", folder)
        for shard in folder.glob(f"{added_prefix(begun)}-*.tfrecord"):
            shard.unlink()
    shutil.rmtree(folder / PARTS)


def _tracks_per_shard(job: Job, folder: pathlib.Path) -> int:
    """How many tracks make about `shard_bytes`; whichever machine comes first decides."""
    plan = folder / PARTS / "plan.json"
    if not plan.exists():
        plan.parent.mkdir(parents=True, exist_ok=True)
        tracks = _fitting_tracks(job)
        text = json.dumps({"job": job.hash(), "tracks_per_shard": tracks})
        with appearing(plan) as unfinished:
            unfinished.write_text(text)
    begun = plain_data.read(plan, {"job": str, "tracks_per_shard": PositiveInt})
    if begun["job"] != job.hash():
        raise ConfigError(f"{folder}: {_OTHER}")
    return begun["tracks_per_shard"]


def _fitting_tracks(job: Job) -> int:
    """How many tracks make about `shard_bytes`, from the lengths of some of them."""
    count = len(job.tracks)
    if not count:
        return 1
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
    made_from = manifests.read(manifest).header.made_from
    if made_from == job.hash():
        return True
    if job.earlier is None or job.earlier.made_from != made_from:
        raise ConfigError(f"{folder}: {_OTHER}")
    return False


def _merge(shards: Shards) -> None:
    """Makes the data set of all parts, unless another machine does."""
    try:
        _merge_parts(shards)
    except OSError:
        merged_by_another = not (shards.folder / PARTS).exists()
        if not merged_by_another and not _is_finished(shards.folder, shards.job):
            raise


def _merge_parts(shards: Shards) -> None:
    """Writes the list of failures, and then the manifest."""
    folder, earlier = shards.folder, shards.job.earlier
    parts = [pq.read_table(shards.part(number)) for number in range(shards.count)]
    table = pa.concat_tables([PART_SCHEMA.empty_table(), *parts])
    failed = table.filter(pc.is_valid(table["reason"])).select(["id", "reason"])
    if len(failed) == len(table) and earlier is None:
        _refuse_empty(shards, failed["reason"][0].as_py())
    _write_failed(folder, failed)
    rows = table.filter(pc.is_null(table["reason"])).select(manifests.SCHEMA.names)
    names = [shards.name(number) for number in range(shards.count)]
    if earlier:
        filled = set(rows["shard"].unique().to_pylist())
        for name in set(names) - filled:
            (folder / name).unlink()
        names = [name for name in names if name in filled]
        rows = pa.concat_tables([earlier.rows, rows])
    if earlier is None or names or earlier.dropped or earlier.changed:
        header = shards.job.header([_describe(folder, name) for name in names])
        if earlier:
            _keep_manifest(folder, earlier.made_from)
        manifests.write(folder / manifests.NAME, header, rows, folder / PARTS)
    shutil.rmtree(folder / PARTS, ignore_errors=True)


def _write_failed(folder: pathlib.Path, failed: pa.Table) -> None:
    if not len(failed):
        (folder / FAILED).unlink(missing_ok=True)
        return
    text = pa.BufferOutputStream()
    pyarrow.csv.write_csv(failed, text)
    with appearing(folder / FAILED, beside=folder / PARTS) as unfinished:
        unfinished.write_bytes(text.getvalue().to_pybytes())


def _keep_manifest(folder: pathlib.Path, made_from: str | None) -> None:
    """Keeps the manifest, which is about to be replaced, under another name."""
    kept = folder / f"manifest-{str(made_from)[:8]}.parquet"
    with appearing(kept, beside=folder / PARTS) as unfinished:
        shutil.copyfile(folder / manifests.NAME, unfinished)
        if manifests.read(unfinished).header.made_from != made_from:
            raise FileNotFoundError  # another machine has replaced it


def _refuse_empty(shards: Shards, reason: str) -> None:
    """Removes a data set without a track: most often the folder of audio files is a wrong one."""
    for number in range(shards.count):
        (shards.folder / shards.name(number)).unlink(missing_ok=True)
    shutil.rmtree(shards.folder / PARTS)
    raise InputError(
        f"{shards.folder}: none of the {len(shards.job.tracks)} files could be read, so nothing "
        f"was written. The first: {reason}"
    )


def _describe(folder: pathlib.Path, name: str) -> Shard:
    file = storage.open_file(folder / name)
    return Shard(name, file.size, fingerprint(file))


def _outcome(folder: pathlib.Path) -> Outcome:
    manifest = manifests.read(folder)
    seconds = float(manifest.frames.sum(dtype=np.int64)) * manifest.header.hop_seconds
    return Outcome(len(manifest), seconds, read_failed(manifest.location), 0)


def _partial_outcome(shards: Shards, missing: int) -> Outcome:
    finished = [shards.part(n) for n in range(shards.count) if shards.is_finished(n)]
    rows = [row for part in finished for row in pq.read_table(part).to_pylist()]
    failed = [(row["id"], row["reason"]) for row in rows if row["reason"]]
    tracks, frames = len(rows) - len(failed), sum(row["frames"] or 0 for row in rows)
    if shards.job.earlier:
        tracks += len(shards.job.earlier.rows)
        frames += pc.sum(shards.job.earlier.rows["frames"]).as_py() or 0
    return Outcome(tracks, frames * shards.job.header().hop_seconds, failed, missing)


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
