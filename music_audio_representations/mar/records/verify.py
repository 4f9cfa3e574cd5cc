"""Checks every byte of a data set against its own CRCs and against the manifest."""

import concurrent.futures
import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mar.errors import InputError
from mar.records import framing, schema, storage
from mar.records.manifest import Manifest
from mar.util.checksums import crc32c


@dataclass(frozen=True)
class Problem:
    """Something wrong.

    Attributes:
        location: of the shard.
        record: its number in the shard, from 0; None for a problem of the file as a whole.
        offset: the byte at which the record begins, or its spectrogram where only that is known.
        reason: what is wrong.
    """

    location: str
    record: int | None
    offset: int | None
    reason: str

    def __str__(self) -> str:
        where = "" if self.record is None else f"record {self.record} at byte {self.offset}: "
        return f"{self.location}: {where}{self.reason}"


def verify(manifest: Manifest, threads: int = 4) -> Iterator[list[Problem]]:
    """Yields a list of the `Problem`s of each shard, in order; it is empty for a sound shard.

    It checks that each shard is there and has its size; every CRC; that each record is in the
    manifest, or was dropped, and each row of the manifest in a record; id, labels, and the
    spectrogram's place, length, dtype and checksum; that no spectrogram has NaN or infinity;
    that no id occurs twice; and that every label is in the vocabulary.

    Args:
        manifest: of the data set.
        threads: shards that are checked at a time.
    """
    by_shard = np.argsort(manifest.shard_index, kind="stable")
    bounds = np.searchsorted(
        manifest.shard_index[by_shard], np.arange(len(manifest.header.shards) + 1)
    )
    repeated = set(manifest.repeated_ids())
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        yield from pool.map(
            lambda shard: check_shard(
                manifest, shard, by_shard[bounds[shard] : bounds[shard + 1]], repeated
            ),
            range(len(manifest.header.shards)),
        )


def check_shard(
    manifest: Manifest, shard: int, tracks: np.ndarray, repeated: Collection[str] = ()
) -> list[Problem]:
    """The `Problem`s of one shard.

    Args:
        manifest: of the data set.
        shard: its number.
        tracks: rows of the manifest that lie in it, in any order.
        repeated: ids that more than one track has.
    """
    location = manifest.shard_location(shard)
    problems = []
    try:
        with storage.named(location):
            file = storage.open_file(location)
            for problem in _problems(manifest, shard, tracks, repeated, file):
                problems.append(problem)  # one by one: reading may fail behind it
    except InputError as error:
        reason = str(error).removeprefix(f"{location}: ")
        problems.append(Problem(location, None, None, reason))
    return problems


def _problems(
    manifest: Manifest,
    shard: int,
    tracks: np.ndarray,
    repeated: Collection[str],
    file: storage.File,
) -> Iterator[Problem]:
    """Yields those of a shard that is open.

    Raises:
        OSError: it cannot be read.
    """
    location = manifest.shard_location(shard)
    expected = manifest.header.shards[shard].size
    if file.size != expected:
        reason = f"has {file.size} bytes, the manifest says {expected}"
        yield Problem(location, None, None, reason)
    pending = sorted(tracks.tolist(), key=lambda track: manifest.offsets[track])
    offset = record = 0
    while offset < file.size:
        data: bytes | None
        try:
            data, end = framing.read_record(file, location, record, offset)
        except framing.DamagedRecord as error:
            yield Problem(location, record, offset, error.reason)
            if error.resume is None:
                break
            data, end = None, error.resume
        listed = [track for track in pending[:1] if manifest.offsets[track] < end]
        pending = pending[len(listed) :]
        if data is not None:
            reasons = [] if listed else _unlisted(manifest, shard, data)
            for track in listed:
                reasons = _compare(manifest, track, data, offset)
                reasons += _row_problems(manifest, track, repeated)
            for reason in reasons:
                yield Problem(location, record, offset, reason)
        offset, record = end, record + 1
    yield from _unreached(manifest, file, location, pending, record)


def _compare(manifest: Manifest, track: int, data: bytes, offset: int) -> list[str]:
    """What is wrong with an undamaged record, given the track that the manifest has there."""
    header = manifest.header
    try:
        record = schema.parse(data, header.features, header.dtype)
    except ValueError as error:
        return [str(error)]
    place = offset + framing.HEADER_BYTES + record.start
    labels = [_name(label, header.vocabulary) for label in manifest.labels(track).tolist()]
    stored = [_name(label, header.vocabulary) for label in record.labels]
    frames = int(manifest.frames[track])
    facts = [
        ("id", record.id or manifest.id(track), manifest.id(track)),
        ("place of the spectrogram", place, int(manifest.offsets[track])),
        ("bytes of the spectrogram", record.end - record.start, frames * header.frame_bytes),
        ("frames", record.stated["frames"] or frames, frames),
        ("dtype", record.stated["dtype"] or header.dtype, header.dtype),
        ("labels", sorted(stored), sorted(labels)),
    ]
    reasons = [f"{n}: {got!r}, the manifest says {want!r}" for n, got, want in facts if got != want]
    return reasons + _content(manifest, track, data[record.start : record.end])


def _unlisted(manifest: Manifest, shard: int, data: bytes) -> list[str]:
    """What is wrong with an undamaged record that the manifest has no track for."""
    dropped = manifest.header.shards[shard].dropped
    with contextlib.suppress(ValueError):  # which was never a track of ours
        if schema.parse(data, manifest.header.features, manifest.header.dtype).id in dropped:
            return []
    return ["not in the manifest"]


def _row_problems(manifest: Manifest, track: int, repeated: Collection[str]) -> list[str]:
    """What is wrong with a row of the manifest by itself."""
    known = len(manifest.header.vocabulary)
    reasons = [
        f"track {manifest.id(track)!r}: the label {label}, not in the vocabulary of {known}"
        for label in manifest.labels(track).tolist()
        if not 0 <= label < known
    ]
    if manifest.id(track) in repeated:
        reasons.append(f"the id {manifest.id(track)!r} occurs more than once")
    return reasons


def _content(manifest: Manifest, track: int, spectrogram: bytes) -> list[str]:
    """What is wrong with a spectrogram's bytes."""
    header = manifest.header
    reasons: list[str] = []
    if crc32c(spectrogram) != manifest.checksums[track]:
        reasons.append(f"track {manifest.id(track)!r}: the spectrogram's checksum differs")
    complete = len(spectrogram) // header.frame_bytes * header.frame_bytes  # bytes of full frames
    frames = np.frombuffer(spectrogram[:complete], header.dtype).reshape(-1, header.n_mels)
    bad = np.flatnonzero(~np.isfinite(frames).all(axis=1))
    if len(bad):
        reasons.append(
            f"track {manifest.id(track)!r}: NaN or infinity in {len(bad)} frames, "
            f"the first is {bad[0]}"
        )
    return reasons


def _unreached(
    manifest: Manifest, file: storage.File, location: str, tracks: Sequence[int], record: int
) -> list[Problem]:
    """Problems of tracks in whose place no record was found, or that lie behind a broken header."""
    problems = []
    for number, track in enumerate(tracks, record):
        offset = int(manifest.offsets[track])
        wanted = int(manifest.frames[track]) * manifest.header.frame_bytes
        spectrogram = file.read(offset, wanted)
        if len(spectrogram) < wanted:
            present = max(0, file.size - offset)
            reasons = [f"track {manifest.id(track)!r}: {present} of {wanted} bytes are there"]
        else:
            reasons = _content(manifest, track, spectrogram)
        problems += [Problem(location, number, offset, reason) for reason in reasons]
    return problems


def _name(label: int | str, vocabulary: Sequence[str]) -> str:
    if isinstance(label, str):
        return label
    return vocabulary[label] if 0 <= label < len(vocabulary) else str(label)
