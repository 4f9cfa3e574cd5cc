"""Small data sets of known arrays, for the tests that share them."""

import os
import time
import unittest.mock
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mar.errors import InputError
from mar.records import manifest as manifests
from mar.records import shards, workers, writer
from mar.records.reader import RecordReader

N_MELS = 96
FRONT_END = {"LogMel": {"sample_rate": 16000, "hop_length": 160, "n_mels": N_MELS}}
VOCABULARY = [f"label {number}" for number in range(7)]


@dataclass(frozen=True)
class Arrays:
    """A source of random spectrograms of given lengths; item 'broken' cannot be read.

    Where `$HOLD_FROM` is set, it never returns from that track on, so that a kill meets it there.
    """

    dtype: str = "float16"

    def read(self, item):
        while item["seed"] >= int(os.environ.get("HOLD_FROM", item["seed"] + 1)):
            time.sleep(0.01)
        if item["id"] == "broken":
            raise InputError('broken: not audio, "really"\nnot')
        return spectrogram(item["seed"], item["frames"], self.dtype)

    def seconds(self, item):
        return item["frames"] / 100


def spectrogram(seed, frames, dtype="float16"):
    return np.random.default_rng(seed).random((frames, N_MELS)).astype(dtype) * 4


def job(frames, shard_bytes=400_000, dtype="float16", ids=None):
    """A job of one track for each of `frames`; track t is `spectrogram(t, frames[t])`."""
    count = len(frames)
    items = {
        "id": ids or [f"track {t}" for t in range(count)],
        "labels": pa.array([labels(t) for t in range(count)], pa.list_(pa.int32())),
        "seed": list(range(count)),
        "frames": list(frames),
    }
    return shards.Job(pa.table(items), Arrays(dtype), FRONT_END, dtype, VOCABULARY, shard_bytes)


def labels(track):
    """Label indices of a track; every fifth has none."""
    return sorted({track % 7, track * 3 % 7}) if track % 5 else []


def data_set(folder, frames, **settings):
    """Writes a data set and returns its reader."""
    write_here(job(frames, **settings), folder)
    return RecordReader(folder)


def write_here(job, folder, share=(0, 1)):
    """`writer.write` without other processes, which take a second to start."""

    def run(parts, numbers, workers, address):
        for number in numbers:
            name, part = parts.name(number), parts.part(number)
            shards.write_shard(job, parts.folder, name, part, parts.tracks(number))

    with unittest.mock.patch.object(workers, "write_shards", run):
        return writer.write(job, folder, share=share)


def contents(folder):
    """Every file of a folder, with its bytes."""
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def rewrite_manifest(folder, **changes):
    """Changes columns (by a function of the values) of a data set's manifest."""
    manifest = manifests.read(folder)
    table = pq.read_table(folder / manifests.NAME)
    for name, change in changes.items():
        column = table.column_names.index(name)
        values = pa.array(change(table[name].to_pylist()), manifests.SCHEMA.field(name).type)
        table = table.set_column(column, name, values)
    manifests.write(folder / manifests.NAME, manifest.header, table)
