"""Checks every byte of a data set against its own CRCs and against the manifest."""

import concurrent.futures
from dataclasses import dataclass

import numpy as np

from mar.errors import InputError
from mar.records import framing, schema, storage


@dataclass(frozen=True)
class Problem:
    """Something wrong.

    Attributes:
        location: of the shard.
        record: its number in the shard, from 0; None where the whole file is meant.
        offset: the byte at which the record begins, or the spectrogram if that is all that is
            known.
        reason: what is wrong.
    """

    location: str
    record: int | None
    offset: int | None
    reason: str

    def __str__(self):
        where = "" if self.record is None else f"record {self.record} at byte {self.offset}: "
        return f"{self.location}: {where}{self.reason}"


def verify(manifest, threads=4):
    """Yields the `Problem`s of each shard, shard by shard, as a list that is hoped to be empty.

    Checked are: that each shard is there and of its size, each CRC, that each record is in the
    manifest and each row in a record, id, labels, place, length, dtype and checksum of the
    spectrogram, that it has neither NaN nor infinity, that no id occurs twice and that every label
    is in the vocabulary.
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


def check_shard(manifest, shard, tracks, repeated=()):
    """The `Problem`s of one shard.

    Args:
        manifest: `Manifest`.
        shard: its number.
        tracks: rows of the manifest that lie in it.
        repeated: ids that more than one track has.
    """
    location = manifest.shard_location(shard)
    try:
        file = storage.open_file(location)
    except InputError as error:
        return [Problem(location, None, None, str(error).removeprefix(f"{location}: "))]
    problems = []
    expected = manifest.header.shards[shard].size
    if file.size != expected:
        reason = f"has {file.size} bytes, the manifest says {expected}"
        problems.append(Problem(location, None, None, reason))
    pending = sorted(tracks.tolist(), key=lambda track: manifest.offsets[track])
    offset = record = 0
    while offset < file.size:
        try:
            data, end = framing.read_record(file, location, record, offset)
        except framing.DamagedRecord as error:
            problems.append(Problem(location, record, offset, error.reason))
            if error.resume is None:
                break
            data, end = None, error.resume
        mine = [track for track in pending[:1] if manifest.offsets[track] < end]
        pending = pending[len(mine) :]
        if data is not None:
            reasons = ["not in the manifest"]
            if mine:
                reasons = _compare(manifest, mine[0], data, offset)
                reasons += _row_problems(manifest, mine[0], repeated)
            problems += [Problem(location, record, offset, reason) for reason in reasons]
        offset, record = end, record + 1
    return problems + _unreached(manifest, file, location, pending, record)


def _compare(manifest, track, data, offset):
    """What is wrong with an undamaged record, given the track that the manifest has there."""
    header = manifest.header
    try:
        found = schema.parse(data, header.features, header.dtype)
    except ValueError as error:
        return [str(error)]
    place = offset + framing.HEADER_BYTES + found.start
    labels = [_name(label, header.vocabulary) for label in manifest.labels(track).tolist()]
    stored = [_name(label, header.vocabulary) for label in found.labels]
    frames = int(manifest.frames[track])
    facts = [
        ("id", found.id or manifest.id(track), manifest.id(track)),
        ("place of the spectrogram", place, int(manifest.offsets[track])),
        ("bytes of the spectrogram", found.end - found.start, frames * header.frame_bytes),
        ("frames", found.stated["frames"] or frames, frames),
        ("dtype", found.stated["dtype"] or header.dtype, header.dtype),
        ("labels", sorted(stored), sorted(labels)),
    ]
    reasons = [f"{n}: {got!r}, the manifest says {want!r}" for n, got, want in facts if got != want]
    return reasons + _content(manifest, track, data[found.start : found.end])


def _row_problems(manifest, track, repeated):
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


def _content(manifest, track, spectrogram):
    """What is wrong with a spectrogram's bytes."""
    header, reasons = manifest.header, []
    if framing.crc32c(spectrogram) != manifest.checksums[track]:
        reasons.append(f"track {manifest.id(track)!r}: the spectrogram's checksum differs")
    whole = len(spectrogram) // header.frame_bytes * header.frame_bytes
    frames = np.frombuffer(spectrogram[:whole], header.dtype).reshape(-1, header.n_mels)
    bad = np.flatnonzero(~np.isfinite(frames).all(axis=1))
    if len(bad):
        reasons.append(
            f"track {manifest.id(track)!r}: NaN or infinity in {len(bad)} frames, "
            f"the first is {bad[0]}"
        )
    return reasons


def _unreached(manifest, file, location, tracks, record):
    """Problems of tracks in whose place no record was found, or behind a broken header."""
    problems = []
    for number, track in enumerate(tracks, record):
        offset = int(manifest.offsets[track])
        wanted = int(manifest.frames[track]) * manifest.header.frame_bytes
        spectrogram = file.read(offset, wanted)
        if len(spectrogram) < wanted:
            found = max(0, file.size - offset)
            reasons = [f"track {manifest.id(track)!r}: {found} of {wanted} bytes are there"]
        else:
            reasons = _content(manifest, track, spectrogram)
        problems += [Problem(location, number, offset, reason) for reason in reasons]
    return problems


def _name(label, vocabulary):
    if isinstance(label, str):
        return label
    return vocabulary[label] if 0 <= label < len(vocabulary) else str(label)
