"""Every kind of file that is read: how a good one is made, and how it is read.

A kind's `read` returns plain data, by which what was read from a damaged file is compared with what
was read from the good one. Where the format has checksums, a damaged file is the same or an error.
"""

import dataclasses
import functools
import io
import json
import pathlib
import pickle
import shutil
import zipfile
import zlib
from collections.abc import Callable

import numpy as np

from helpers import distributions, probe_runs, signals, small_embeddings, small_records
from helpers.resources import DATA
from soak import mutations


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        make: writes a good one, and what lies beside it, into a folder; returns its path.
        read: reads it, and returns what was read.
        wrong: ways in which its content can be wrong while its checksums are right.
        checked: whether it has checksums, so that no damage may be read as something else.
    """

    make: Callable
    read: Callable
    wrong: tuple = ()
    checked: bool = False


KINDS: dict[str, Kind] = {}


def kind(name, wrong=(), checked=False):
    """Decorates a pair of functions, `(make, read)`."""

    def added(pair):
        make, read = pair()
        KINDS[name] = Kind(make, read, tuple(wrong), checked)
        return pair

    return added


def written(folder, name, content):
    """A file of a text or of bytes."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# ------------------------------------------------------------------------------------------- audio


def audio(name):
    """A second of music in a format, which an isolated decoder reads to its end."""

    def make(folder):
        ending = name.rpartition(".")[2]
        rate = 48000 if name == "opus" else 44100
        return signals.write(folder / f"song.{ending}", name, signals.music(1.0, rate), rate)

    def read(path):
        from mar.audio import isolated

        with isolated.decoder() as decoder:
            _, blocks = decoder.open(path)
            samples = np.concatenate([np.zeros(0, np.float32), *blocks])
        assert np.isfinite(samples).all(), "values that are not finite"
        return samples.shape, zlib.crc32(samples.tobytes())

    return lambda: (make, read)


for _format in signals.FORMATS:
    kind(f"audio {_format}")(audio(_format))


def tags(name):
    """The same file's tags."""

    def read(path):
        from mar.audio import file_tags as written_tags
        from mar.tasks import file_tags

        said = file_tags.tags(path)
        assert all(isinstance(value, str) for value in said.values())
        return written_tags.changes(path, {"genre": ("Jazz",), "MAR_x": ("1",)})

    return lambda: (audio(name)()[0], read)


for _format in ("mp3", "flac", "ogg", "opus", "m4a", "aiff", "pcm16.wav"):
    kind(f"tags {_format}")(tags(_format))


# ----------------------------------------------------------------------------------------- records

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


# -------------------------------------------------------------------------------------- embeddings


def embeddings(change_format, store):
    """One file of a data set of embeddings."""

    def make(folder):
        generator = np.random.default_rng(0)
        timelines = {f"a/{n}.mp3": generator.standard_normal((3 + n, 8)) for n in range(5)}
        small_embeddings.write_store(
            folder, timelines, ["bad.mp3"], store=store, format=change_format
        )
        if change_format == "parquet":
            return next(folder.glob("*.parquet"))
        from mar.embedding import npz

        made = {**small_embeddings.PROVENANCE, "store": store}
        for path, values in timelines.items():
            npz.write(folder, made, path, np.arange(len(values)), np.float32(values))
        return folder / "a" / "0.mp3.npz"

    def read(path):
        from mar.embedding.store import Embeddings

        data = Embeddings(path.parent if change_format == "parquet" else path.parent.parent)
        paths = data.paths
        hashes, durations = data.audio_hashes(), data.durations()
        means = data.means(paths).tolist()
        windows = [line.values.tolist() for line in data.timelines()] if store != "mean" else None
        times = [data.times(p).tolist() for p in paths]
        return [paths, dict(data.failures), hashes, durations, means, windows, times]

    return lambda: (make, read)


for _store in ("mean", "timeline"):
    kind(f"embeddings, {_store}", [mutations.in_parquet], checked=True)(
        embeddings("parquet", _store)
    )
    kind(f"embeddings, npz of {_store}", [mutations.in_zip], checked=True)(
        embeddings("npz", _store)
    )


def search_index(name):
    """One file of the index of a data set."""

    def make(folder):
        from mar.embedding import indexing
        from mar.embedding.store import Embeddings

        generator = np.random.default_rng(0)
        timelines = {f"{n}.mp3": generator.standard_normal((1, 16)) for n in range(300)}
        small_embeddings.write_store(folder, timelines)
        indexing.SMALLEST = 100
        indexing.index(Embeddings(folder))
        return next((folder / ".search").rglob(name))

    def read(path):
        from mar.embedding import search_index
        from mar.embedding.store import Embeddings

        folder = next(part.parent for part in path.parents if part.name == ".search")
        data = Embeddings(folder)
        search_index._SCANNED = 50  # so that 300 tracks are many
        near = [[track.path for track in data.nearest(path, k=5)] for path in data.paths[:20]]
        return [near, len(data.search_index)]

    return lambda: (make, read)


kind("search index, index.json", [mutations.in_json])(search_index("index.json"))
kind("search index, rows", checked=True)(search_index("rows.arrow"))
kind("search index, kept", checked=True)(search_index("*.npy"))
kind("search index, codes", checked=True)(search_index("codes.faiss"))


@kind("remembered model", [mutations.in_json])
def remembered():
    """What a data set remembers of its model, which is made anew where it is not understood."""

    def make(folder):
        small_embeddings.write_store(folder, {"a.mp3": np.ones((1, 8))})
        noted = {"asked": {"model": "m"}, "made": {"dimensions": 8}, "files": []}
        return written(folder, ".model.json", json.dumps(noted))

    def read(path):
        from mar.embedding import remembered

        made = remembered.recall(path.parent, {"model": "m"})
        assert made is None or isinstance(made, dict)
        return made

    return make, read


@kind("table of labels", [mutations.in_parquet], checked=True)
def labels_table():
    """A table of `mar tag`, which chooses tracks."""

    def make(folder):
        import pyarrow as pa

        from mar.util import table_files

        small_embeddings.write_store(folder, {f"{n}.mp3": np.ones((1, 8)) for n in range(9)})
        table = pa.table({"path": ["1.mp3", "2.mp3"], "label": ["a", "b"]})
        (folder / "labels").mkdir()
        with table_files.writer(folder / "labels" / "tags.parquet", table.schema) as write:
            write(table)
        return folder / "labels" / "tags.parquet"

    def read(path):
        from mar.embedding.selection import select
        from mar.embedding.store import Embeddings

        return sorted(select(Embeddings(path.parent.parent), labels=["a"], tags=path))

    return make, read


# ------------------------------------------------------------------------------------------ models


@functools.cache
def _plain_model():
    """A model as `mar.save` writes it: its bytes."""
    import tempfile

    import mar
    from helpers.networks import plain_network

    with tempfile.TemporaryDirectory() as folder:
        mar.save(plain_network(), pathlib.Path(folder) / "model.keras")
        return (pathlib.Path(folder) / "model.keras").read_bytes()


@kind("model.keras", [mutations.in_zip], checked=True)
def model():
    """Our own model."""

    def read(path):
        import mar

        return _arrays(weight.numpy() for weight in mar.load_model(path).weights)

    return lambda folder: written(folder, "model.keras", _plain_model()), read


def _arrays(arrays):
    return [(array.shape, array.dtype.str, array.tobytes()) for array in arrays]


@kind("model.keras of Keras 2", [mutations.in_zip], checked=True)
def keras2():
    """A model as the published weights are kept: two layers, one behind the other."""

    def make(folder):
        import h5py

        content = io.BytesIO()
        with h5py.File(content, "w") as file:
            for number, name in enumerate(("dense", "dense_1")):
                values = file.create_group(f"_layer_checkpoint_dependencies/{name}/vars")
                values["0"], values["1"] = np.full((3, 3), number + 1.0), np.ones(3)
        layers = [_dense("a", []), _dense("b", [[["a", 0, 0, {}]]])]
        graph = {"config": {"layers": layers, "output_layers": [["b", 0, 0]]}}
        path = folder / "model.keras"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("metadata.json", json.dumps({"keras_version": "2.13.1"}))
            archive.writestr("config.json", json.dumps(graph))
            archive.writestr("model.weights.h5", content.getvalue())
        return path

    def read(path):
        from mar.models import archive, keras2

        layers = keras2.layers_of(path, archive.Members(path))
        return [(layer.name, layer.kind, _arrays(layer.arrays)) for layer in layers]

    return make, read


def _dense(name, inbound):
    return {"name": name, "class_name": "Dense", "config": {}, "inbound_nodes": inbound}


@kind("keras_metadata.pb")
def keras_metadata():
    """The graph of a SavedModel."""

    def make(folder):
        from mar.util.protobuf import field

        layer = {"name": "a", "class_name": "Dense", "inbound_nodes": []}
        described = {
            "root": {"config": {"layers": [layer], "output_layers": [["a", 0, 0]]}},
            "root.layer-0": {"name": "a"},
        }
        content = b"".join(
            field(1, field(3, name.encode()) + field(5, json.dumps(value).encode()))
            for name, value in described.items()
        )
        variables = folder / "variables"
        variables.mkdir()
        for path in (DATA / "earlier" / "run" / "checkpoints").glob("ckpt-2.*"):
            shutil.copy(path, variables / path.name.replace("ckpt-2", "variables"))
        return written(folder, "keras_metadata.pb", content)

    def read(path):
        from mar.models import keras2

        return [str(layer) for layer in keras2.read_saved_model(path.parent)]

    return make, read


def bundle(ending):
    """One file of a checkpoint."""

    def make(folder):
        shutil.copytree(DATA / "earlier" / "run", folder / "run")
        return next((folder / "run" / "checkpoints").glob(f"ckpt-2.{ending}"))

    def read(path):
        from mar.models.bundle import Bundle

        opened = Bundle(path.with_suffix(""))
        numbers = [name for name in opened.names if name != "_CHECKPOINTABLE_OBJECT_GRAPH"]
        return [opened.names, opened.nodes(), _arrays(opened.array(name) for name in numbers)]

    return lambda: (make, read)


kind("checkpoint, index", checked=True)(bundle("index"))
kind("checkpoint, data", checked=True)(bundle("data*"))


def run_facts(name):
    """The facts of a run of `mar.train`, whose model is loaded."""

    def make(folder):
        shutil.copytree(DATA / "earlier" / "run", folder / "run")
        (path,) = (folder / "run").rglob(name)
        return path

    def read(path):
        import mar

        run = next(part for part in path.parents if part.name == "run")
        return _arrays(weight.numpy() for weight in mar.load_model(f"{run}@2").weights)

    return lambda: (make, read)


kind("run.json", [mutations.in_json])(run_facts("run.json"))


@kind("mule-torch weights", [mutations.in_safetensors])
def mule_torch():
    """Weights as another package keeps them; the format has no checksums."""

    def make(folder):
        import safetensors.numpy

        arrays = {
            "backbone.a.weight": np.ones((2, 3, 4, 5), np.float32),
            "backbone.b.bias": np.ones(3),
        }
        return written(folder, "model.safetensors", safetensors.numpy.save(arrays))

    def read(path):
        from mar.models import mule_torch

        return _arrays(mule_torch.read_file(path, ["a.kernel", "b.bias"]).values())

    return make, read


@kind("head", [mutations.in_safetensors], checked=True)
def head():
    """A head, which labels."""

    def make(folder):
        from mar.probing.head import Head

        Head(head_parts()).save(folder / "head.safetensors")
        return folder / "head.safetensors"

    def read(path):
        from mar.probing.head import Head

        opened = Head(path)
        logits = opened.probabilities(np.random.default_rng(0).normal(size=(4, 6)))
        assert np.isfinite(logits).all(), "values that are not finite"
        return [opened.labels, opened.kind, logits.tolist(), opened.decide(logits).tolist()]

    return make, read


def head_parts():
    from mar.probing.calibration import Calibration, Rule
    from mar.probing.dense import Layers
    from mar.probing.head_file import Parts

    rng = np.random.default_rng(0)
    layers = Layers(
        *(np.zeros(6, np.float32), np.ones(6, np.float32)),
        *((rng.normal(size=(6, 3)).astype(np.float32),), (np.zeros(3, np.float32),)),
        *("relu", "sigmoid", np.zeros(3, np.float32), np.ones(3, np.float32)),
    )
    methods = ("platt", "platt", "isotonic")
    curve = np.array([[-1.0, 0.0, 1.0], [0.1, 0.5, 0.9]])
    calibration = Calibration(False, methods, np.ones(3), np.zeros(3), {2: curve})
    about = {
        **{"task": "moods", "kind": "multilabel", "labels": ["a", "b", "c"], "unit": ""},
        **{"pooling": "mean", "model": "toy", "test": {}, "mar_version": "1", "date": "2026"},
        **{"licence": "", "calibrated": True, "uncalibrated_labels": [], "aim": {}},
        **{"embeddings": {**small_embeddings.PROVENANCE, "dimensions": 6}, "dimensions": 6},
    }
    return Parts(layers, Rule(calibration, np.full(3, 0.5)), about)


@functools.cache
def _exported():
    from helpers.exported import small_file

    return small_file()[1].read_bytes()


@kind("model.onnx", checked=True)
def onnx():
    """An exported model, which embeds a snippet."""

    def read(path):
        from mar.onnx.runtime import ExportedNetwork

        network = ExportedNetwork(path)
        embedding = network(np.ones((1, network.about.frames, 96), np.float32))
        return [embedding.tolist(), network.log_mel.resolved(), network.windows.resolved()]

    return lambda folder: written(folder, "model.onnx", _exported()), read


# ----------------------------------------------------------------------------------------- results


def results(name):
    """One file of the run of a probe."""

    def make(folder):
        targets = probe_runs.tags(12, 3)
        predictions = 1 / (1 + np.exp(-probe_runs.noisy(targets, 0.5)))
        probe_runs.write_run(folder, "moods", "toy", "multilabel", targets, predictions)
        return folder / "moods" / "toy" / "0" / name

    def read(path):
        from mar.probing.results import Results

        found = Results(path.parents[3])
        arrays = [_arrays(map(np.asarray, run.predictions())) for run in found.runs]
        return [found.scores.to_csv(), arrays]

    return lambda: (make, read)


kind("result.json", [mutations.in_json])(results("result.json"))
kind("per_label.csv", [mutations.in_text])(results("per_label.csv"))
kind("predictions.npz", [mutations.in_zip], checked=True)(results("predictions.npz"))


# --------------------------------------------------------------------------- what people write


CONFIGURATION = b"""\
Constants:
  SECONDS: 3.0
Catalogue:
  batch_size: 32
  windows:
    Windows: &windows
      window_seconds: ${SECONDS}
      hop_seconds: 2.0
  store: timeline
"""
BOMB = b"a0: &a0 [x, x]\n" + b"".join(
    b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 40)
)
YAML = (
    *(b"a: &a [*a]\n", b"? [1, 2]\n: 3\n", b"- 1\n", b"", b"\0", b"Catalogue: {", b"%TAG ! x\n"),
    *(b"!!python/name:os.system x\n", b"a: &a [x]\nb: *c\n", b"? {a: b}\n: c\n", BOMB),
    *(b"Catalogue: !!python/object/apply:os.system [true]\n", b"Catalogue: &a\n  windows: *a\n"),
    *(b"Catalogue: !!int abc\n", b"Catalogue: {batch_size: !!timestamp x}\n", b"[" * 20_000),
    *(b"Catalogue: {batch_size: " + b"9" * 5000 + b"}\n", b"{" * 20_000, b"? " * 5_000),
    *(b"Catalogue: {<<: 3}\n", b"Catalogue:\n  <<: [*x]\n", b"- " * 20_000),
    *(b"Catalogue: 2024-13-45\n", b"Catalogue: {batch_size: 1:1:1, store: !!binary x}\n"),
)  # fmt: skip


@kind("configuration", [mutations.in_text, lambda data, rng: rng.choice(YAML)])
def configuration():
    """A YAML file."""

    def read(path):
        import mar.embedding.catalogue

        return mar.embedding.catalogue.Catalogue.load(path).resolved()

    return lambda folder: written(folder, "embed.yaml", CONFIGURATION), read


@kind("list of files", [mutations.in_text])
def file_list():
    """An M3U list."""

    def make(folder):
        for name in ("a.mp3", "b.mp3"):
            written(folder, name, b"x")
        return written(folder, "all.m3u", "#EXTM3U\na.mp3\nb.mp3\nc/d.mp3\n")

    def read(path):
        from mar.embedding import files

        return [item.key for item in files.find([str(path)])]

    return make, read


def table_file(name, content, wrong, reader):
    """A file that one function reads, of `mar.tasks` or of `mar.util.tables`."""

    def read(path):
        from mar.tasks import readers
        from mar.util import tables

        return reader(readers, tables, path)

    return lambda: (lambda folder: written(folder, name, content), read)


def _streamed(path):
    from mar.tasks import json_stream

    return sorted(key for key, _ in json_stream.entries(path, 64))


def _npy():
    content = io.BytesIO()
    np.save(content, np.eye(6))
    return content.getvalue()


PICKLE = pickle.dumps({f"T{n}": n * 1.5 for n in range(20)}, protocol=2)
PICKLED = {"T1": np.arange(4.0), "T2": [1, "x"]}
CSV = b'path,label,artist\na.mp3,"x, y",A\nb.mp3,z,B\nc.mp3,x,A\nd.mp3,z,C\ne.mp3,x,D\n'
JSON = json.dumps({f"k{n}": {"a": [n, 1.5], "b": "text"} for n in range(20)}).encode()
NUMBERED = ("a.cP", distributions.cp_list([f"{n}/x.npy" for n in range(20)]).encode())
READERS = {
    "table": (
        "t.csv",
        CSV,
        mutations.in_text,
        lambda r, t, p: t.read(p, ["path", "label"]).columns,
    ),
    ".cP list": (*NUMBERED, mutations.in_text, lambda r, t, p: r.read_list(p)),
    "pickle of plain data": ("m.pkl", PICKLE, mutations.damaged, lambda r, t, p: r.read_mapping(p)),
    "pickle of arrays": (
        *("m.pkl", pickle.dumps(PICKLED, 2), mutations.damaged),
        lambda r, t, p: str(r.read_mapping(p)),
    ),
    "array": ("a.npy", _npy(), mutations.in_text, lambda r, t, p: r.read_array(p, (6, 6)).tolist()),
    "JSON": ("a.json", JSON, mutations.in_json, lambda r, t, p: r.read_json(p)),
    "JSON, streamed": (
        *("a.json", JSON, mutations.in_json),
        lambda r, t, p: _streamed(p),
    ),
}
for _name, _entry in READERS.items():
    kind(_name, [_entry[2]])(table_file(*_entry))

COLLECTIONS = ("MTT", "MTT_filtered", "GTZAN", "MSD100", "MSD500", "AMM", "MuMu", "NSynth_P", "Emo")
COLLECTIONS += ("GS_Key", "Jam-MT")


def collection(name):
    """One of the official files of a task, another for every case."""

    def make(folder):
        distributions.WRITERS[name](folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return files[len(name) % len(files)]

    def read(path):
        import mar

        folder = next(part for part in path.parents if part.name == "good")
        items = mar.Task(name, folder).items
        return [list(items.ids), list(items.paths), np.asarray(items.targets).tolist()]

    return lambda: (make, read)


for _name in COLLECTIONS:
    kind(f"task {_name}", [mutations.in_text])(collection(_name))


@kind("task, own table", [mutations.in_text])
def own_table():
    """A table of one's own labels."""

    def make(folder):
        rows = "".join(f"{n}.mp3,{'xyz'[n % 3]},artist {n // 2}\n" for n in range(60))
        return written(folder, "moods.csv", f"path,label,artist\n{rows}")

    def read(path):
        import mar

        items = mar.Task(path).items
        return [list(items.ids), np.asarray(items.targets).tolist()]

    return make, read
