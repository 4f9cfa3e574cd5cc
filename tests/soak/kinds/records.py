"""Records and their manifests."""

import numpy as np

from helpers import small_records
from soak import mutations
from soak.kinds.kind import KINDS, kind

FRAMES = (40, 70, 55)


@kind("shard", checked=True)
def shard():
    """A TFRecord, of which `mar records verify` tells what is wrong."""

    def make(folder):
        small_records.data_set(folder, FRAMES)
        return next(folder.glob("*.tfrecord"))

    def read(path):
        from mar.errors import InputError
        from mar.records import manifest, verify

        problems = [str(p) for some in verify.verify(manifest.read(path.parent)) for p in some]
        if problems:
            raise InputError("; ".join(problems))
        return "sound"

    return make, read


@kind("shard, indexed", checked=True)
def indexed():
    """A TFRecord without a manifest, of which one is made."""

    def read(path):
        from mar.records import index, manifest, schema

        layout = index.Layout(schema.FEATURES, "float16", small_records.FRONT_END)
        target = path.parent / "made.parquet"
        index.index([str(path)], layout, target, small_records.VOCABULARY)
        table = manifest.read_rows(target)
        return [table[name].to_pylist() for name in ("id", "frames", "labels", "checksum")]

    return KINDS["shard"].make, read


@kind("manifest", [mutations.in_parquet], checked=True)
def manifest():
    """A manifest, through which every track is read."""

    def make(folder):
        small_records.data_set(folder, FRAMES)
        return folder / "manifest.parquet"

    def read(path):
        from mar.records.reader import RecordReader

        reader = RecordReader(path.parent)
        said = reader.manifest
        tracks = range(len(said))
        snippets = [reader.read([t], [0], min(20, said.frames[t]))[0].tolist() for t in tracks]
        hot = said.multi_hot(np.arange(len(said))).tolist()
        return [[said.id(t) for t in tracks], hot, said.label_counts().tolist(), snippets]

    return make, read
