"""What is in a data set: in words, and in a picture."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc
from matplotlib.figure import Figure

from mar.records.manifest import Manifest
from mar.records.reader import RecordReader

_SHOWN = 8
_NAMED = 20


def summary(
    manifest: Manifest, failed: Sequence[tuple[str, str]], snippet_frames: int
) -> Iterator[str]:
    """Yields lines that describe a data set.

    Args:
        manifest: of the data set.
        failed: `(id, reason)` of each track that could not be read when it was written.
        snippet_frames: tracks that have fewer frames are named.
    """
    header, frames = manifest.header, manifest.frames
    hours = frames.sum(dtype=np.int64) * header.hop_seconds / 3600
    stored = sum(shard.size for shard in header.shards)
    yield f"{manifest.location}"
    yield f"tracks          {len(manifest)} in {len(header.shards)} shards, {stored / 1e9:.3f} GB"
    yield f"audio           {hours:.2f} hours"
    if len(frames):
        seconds = np.percentile(frames, [0, 50, 100]) * header.hop_seconds
        yield "track length    {:.2f} s shortest, {:.2f} s median, {:.2f} s longest".format(
            *seconds
        )
    milliseconds = header.hop_seconds * 1e3
    yield f"log-mel         {header.dtype}, {header.n_mels} mels, hop {milliseconds:g} ms"
    parameters = ", ".join(f"{key} {value}" for key, value in header.front_end["LogMel"].items())
    yield f"front end       {parameters}"
    yield from _label_lines(manifest)
    groups = pc.count_distinct(manifest.groups).as_py()
    if groups < len(manifest):
        yield f"held together   {groups} artists, albums or folders"
    dropped = sum(len(shard.dropped) for shard in header.shards)
    if dropped:
        yield f"dropped         {dropped} tracks that are still in the shards"
    yield f"failed          {len(failed)} could not be read when it was written"
    yield from (f"                {track}: {reason}" for track, reason in failed[:_NAMED])
    short = np.flatnonzero(frames < snippet_frames)
    yield f"too short       {len(short)} shorter than {snippet_frames} frames, never sampled"
    yield from (f"                {manifest.id(t)}: {frames[t]} frames" for t in short[:_NAMED])
    if len(short) > _NAMED:
        yield f"                and {len(short) - _NAMED} more"


def facts(
    manifest: Manifest, failed: Sequence[tuple[str, str]], snippet_frames: int
) -> dict[str, Any]:
    """What `summary` tells, as plain data."""
    header = manifest.header
    return {
        "data_set": manifest.location,
        "tracks": len(manifest),
        "shards": len(header.shards),
        "bytes": sum(shard.size for shard in header.shards),
        "audio_seconds": float(manifest.frames.sum(dtype=np.int64) * header.hop_seconds),
        "dtype": header.dtype,
        "front_end": header.front_end,
        "labels": dict(zip(header.vocabulary, manifest.label_counts().tolist(), strict=True)),
        "dropped": sum(len(shard.dropped) for shard in header.shards),
        "failed": [{"id": track, "reason": reason} for track, reason in failed],
        "too_short": int((manifest.frames < snippet_frames).sum()),
    }


def _label_lines(manifest: Manifest) -> Iterator[str]:
    counts = manifest.label_counts()
    yield f"labels          {len(counts)} in the vocabulary, {(counts == 0).sum()} of them unused"
    if not counts.any():
        return
    per_track = manifest.sum_over_labels(np.ones(len(counts)))
    yield (
        f"labels a track  {per_track.mean():.2f} on average, "
        f"{(per_track == 0).sum()} tracks without"
    )
    order = np.argsort(-counts, kind="stable")[:5]
    names = manifest.header.vocabulary
    yield "most frequent   " + ", ".join(f"{names[label]} ({counts[label]})" for label in order)


def spectrograms(reader: RecordReader) -> Figure:
    """A figure of the first ten seconds of some tracks, evenly spread over the data set."""
    manifest = reader.manifest
    count = len(manifest)
    tracks = np.unique(np.linspace(0, count - 1, min(count, _SHOWN)).astype(int))
    figure = Figure(figsize=(9, 1.5 * len(tracks) + 0.5), layout="constrained")
    axes = figure.subplots(len(tracks), 1, squeeze=False, sharex=True)
    hop = manifest.header.hop_seconds
    for axis, track in zip(axes[:, 0], tracks.tolist(), strict=True):
        frames = min(int(manifest.frames[track]), round(10 / hop))
        (log_mel,) = reader.read([track], [0], frames)
        axis.imshow(
            log_mel.T, origin="lower", aspect="auto", extent=(0, frames * hop, 0, log_mel.shape[1])
        )
        labels = ", ".join(manifest.header.vocabulary[label] for label in manifest.labels(track))
        axis.set_title(f"{manifest.id(track)}  {labels}"[:110], fontsize=8, parse_math=False)
        axis.set_ylabel("mel")
    axes[-1, 0].set_xlabel("seconds")
    return figure
