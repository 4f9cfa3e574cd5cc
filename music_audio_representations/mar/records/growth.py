"""How a data set follows a table that grows: what is added to it, tried again, or dropped.

The table says what the data set shall have. A track is known by its id.

    data set     a [rock], b [calm], c [rock]; d could not be read
    table        a [rock], b [rock], d [calm], e [jazz]
    is kept      a
    is dropped   b, whose labels are others now, and c
    is written   b, d, e: in new shards

Labels keep their numbers, since the records hold those; new ones come after them: rock, calm,
jazz.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from mar.errors import ConfigError, InputError
from mar.records import manifest as manifests
from mar.records import schema
from mar.records.manifest import Manifest
from mar.records.shards import Earlier, Job


def added(job: Job, folder: str | os.PathLike[str], ordered: bool = False) -> Job:
    """What a data set lacks of another job, as a job to be written into its folder.

    Args:
        job: a whole data set, as it shall be.
        folder: of the data set as it is.
        ordered: whether the order of the job's labels was asked for.

    Returns:
        A job whose `earlier` is what the data set keeps.

    Raises:
        ConfigError: the data set was made in another way, or its labels have another order than was
            asked for.
        InputError: none of its tracks is in the job; or the records are another program's.
    """
    manifest = manifests.read(folder)
    header = manifest.header
    if header.features != schema.FEATURES:
        raise InputError(
            f"{folder}: records that another program wrote, to which none can be added; "
            "mar records merge makes records of them to which some can"
        )
    header.check_alike(job.header(), folder, "the tracks to be added")
    vocabulary = united([header.vocabulary, job.vocabulary])
    if ordered and vocabulary != list(job.vocabulary):
        raise ConfigError(
            f"the vocabulary: expected the {len(header.vocabulary)} labels of {folder} in their "
            f"order, and new ones after them, got another order"
        )
    tracks = relabelled(job.tracks, job.vocabulary, vocabulary)
    earlier = _kept(manifest, tracks)
    if len(manifest) and not len(earlier.rows):
        raise InputError(
            f"{folder}: none of its {len(manifest)} tracks is in the table; expected the table of "
            "all tracks, with those to be added. mar records merge joins data sets"
        )
    kept = set(earlier.rows["id"].to_pylist())
    new = np.array([id not in kept for id in tracks["id"].to_pylist()], bool)
    return dataclasses.replace(
        job, tracks=tracks.filter(pa.array(new)), vocabulary=vocabulary, earlier=earlier
    )


def united(vocabularies: Sequence[Sequence[str]]) -> list[str]:
    """The labels of all vocabularies, each where it comes first: [b, a] and [a, c] are [b, a, c].

    Raises:
        InputError: two labels of one vocabulary have one name.
    """
    for vocabulary in vocabularies:
        if len(set(vocabulary)) < len(vocabulary):
            raise InputError("two labels of a vocabulary have the same name, so none can be added")
    return list(dict.fromkeys(label for vocabulary in vocabularies for label in vocabulary))


def relabelled(tracks: pa.Table, old: Sequence[str], new: Sequence[str]) -> pa.Table:
    """Tracks with label indices into another vocabulary, ascending.

    Args:
        tracks: with the column `labels`.
        old: vocabulary of those.
        new: has all of its labels.
    """
    if list(old) == list(new[: len(old)]):
        return tracks
    place = {label: number for number, label in enumerate(new)}
    numbers = [place[label] for label in old]
    labels = [sorted(numbers[label] for label in row) for row in tracks["labels"].to_pylist()]
    column = tracks.column_names.index("labels")
    return tracks.set_column(column, "labels", pa.array(labels, pa.list_(pa.int32())))


def _kept(manifest: Manifest, tracks: pa.Table) -> Earlier:
    """What a data set keeps, of which these are the tracks that it shall have."""
    rows = manifests.read_rows(manifest.location)
    labels = dict(zip(*_columns(tracks, "id", "labels"), strict=True))
    keep = np.array(
        [
            labels.get(id) == of_track
            for id, of_track in zip(*_columns(rows, "id", "labels"), strict=True)
        ],
        bool,
    )
    before, dropped = rows.filter(pa.array(keep)), rows.filter(pa.array(~keep))
    kept = _regrouped(before, tracks)
    used = set(kept["shard"].unique().to_pylist())
    gone: dict[str, list[str]] = {}
    for id, shard in zip(*_columns(dropped, "id", "shard"), strict=True):
        gone.setdefault(shard, []).append(id)
    shards = [
        dataclasses.replace(shard, dropped=[*shard.dropped, *gone.get(shard.name, ())])
        for shard in manifest.header.shards
        if shard.name in used
    ]
    changed = not kept["group"].equals(before["group"])
    return Earlier(manifest.header.made_from, shards, kept, len(dropped), changed)


def _regrouped(rows: pa.Table, tracks: pa.Table) -> pa.Table:
    """Rows of the manifest with the groups that the tracks have now."""
    if "group" not in tracks.column_names:
        return rows
    groups: Mapping[str, Any] = dict(zip(*_columns(tracks, "id", "group"), strict=True))
    column = pa.chunked_array([[groups[id] for id in rows["id"].to_pylist()]], pa.string())
    return rows.set_column(rows.column_names.index("group"), "group", column)


def _columns(table: pa.Table, *names: str) -> list[list]:
    return [table[name].to_pylist() for name in names]
