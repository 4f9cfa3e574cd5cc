"""Models in all formats, and heads."""

import functools
import io
import json
import pathlib
import shutil
import zipfile

import numpy as np

from helpers import small_embeddings
from helpers.resources import DATA
from soak import mutations
from soak.kinds.kind import kind, plain, written


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

        return plain(weight.numpy() for weight in mar.load_model(path).weights)

    return lambda folder: written(folder, "model.keras", _plain_model()), read


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
        return [(layer.name, layer.kind, plain(layer.arrays)) for layer in layers]

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
        return [opened.names, opened.nodes(), plain(opened.array(name) for name in numbers)]

    return lambda: (make, read)


kind("checkpoint, index", checked=True)(bundle("index"))
kind("checkpoint, data", checked=True)(bundle("data*"))


def run_facts(name):
    """The facts of a run of `mar train`, whose model is loaded."""

    def make(folder):
        shutil.copytree(DATA / "earlier" / "run", folder / "run")
        (path,) = (folder / "run").rglob(name)
        return path

    def read(path):
        import mar

        run = next(part for part in path.parents if part.name == "run")
        return plain(weight.numpy() for weight in mar.load_model(f"{run}@2").weights)

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

        return plain(mule_torch.read_file(path, ["a.kernel", "b.bias"]).values())

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
