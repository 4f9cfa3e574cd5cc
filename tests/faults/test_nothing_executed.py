"""Nothing in a file is executed, opens another file, or is written outside of a folder."""

import io
import json
import os
import pickle
import zipfile

import h5py
import keras
import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

import mar
from helpers import small_embeddings, small_records
from helpers.networks import plain_network
from mar.embedding import files, npz
from mar.embedding.catalogue import Catalogue
from mar.errors import ConfigError, InputError
from mar.records import manifest
from mar.tasks import json_stream, readers
from mar.util import tables


@pytest.fixture
def marker(tmp_path, monkeypatch):
    """A file that every trap would make; the working folder is another, which stays empty."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    yield tmp_path / "marker"
    assert not (tmp_path / "marker").exists()
    assert os.listdir(tmp_path / "here") == []


class Trap:
    """Makes the marker where it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """What is in a model as `mar.save` writes it."""
    path = tmp_path_factory.mktemp("model") / "model.keras"
    mar.save(plain_network(), path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_zip(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def with_layer(saved, path, layer):
    """A model in whose description one layer is another."""
    config = json.loads(saved["config.json"])
    layers = config["config"]["layers"]
    layers[-1] = {**layers[-1], **layer}
    return write_zip(path, {**saved, "config.json": json.dumps(config)})


def lambda_layer(marker):
    """A `Lambda` of Keras, whose function is in the file as Python's own code."""

    def trap(x):
        open(str(marker), "w").close()
        return x

    layer = keras.layers.Lambda(trap, name="pooled")
    return keras.saving.serialize_keras_object(layer)


FOREIGN = {
    "a class of Python": {"module": "os", "class_name": "system", "registered_name": None},
    "a class of the tests": {"module": "helpers.networks", "class_name": "GOLDEN"},
    "a function": {"module": "builtins", "class_name": "function", "config": "exec"},
    "a SavedModel": {"module": "keras.layers", "class_name": "TFSMLayer"},
    "a module of PyTorch": {"module": "keras.layers", "class_name": "TorchModuleWrapper"},
    "a vocabulary": {"module": "keras.layers", "class_name": "StringLookup"},
}


@pytest.mark.parametrize("layer", FOREIGN.values(), ids=FOREIGN)
def test_a_model_with_a_foreign_class(saved, marker, layer):
    path = with_layer(saved, marker.with_name("model.keras"), layer)
    with pytest.raises(InputError, match=r"model\.keras.*" + layer["class_name"]):
        mar.load_model(path)


def test_a_model_with_a_lambda(saved, marker):
    path = with_layer(saved, marker.with_name("model.keras"), lambda_layer(marker))
    with pytest.raises(InputError, match=r"model\.keras.*Lambda"):
        mar.load_model(path)


def other_weights(path):
    """A file of weights that is not the user's to read."""
    with h5py.File(path, "w") as file:
        file["secret"] = np.ones(3)
    return path


def links(target):
    return {
        "external link": lambda file: file.__setitem__("more", h5py.ExternalLink(target, "secret")),
        "soft link": lambda file: file.__setitem__("more", h5py.SoftLink("/layers")),
        "external storage": lambda file: file.create_dataset(
            "more", (3,), "f8", external=[(target, 0, 24)]
        ),
        "more than there is": lambda file: file.create_dataset("more", (2**40,), "f4"),
    }


@pytest.mark.parametrize("kind", links(""))
def test_weights_that_lie_elsewhere(saved, marker, kind):
    content = io.BytesIO(saved["model.weights.h5"])
    with h5py.File(content, "a") as file:
        links(str(other_weights(marker.with_name("other.h5"))))[kind](file)
    members = {**saved, "model.weights.h5": content.getvalue()}
    for version in ("3.5.0", "2.13.1"):
        members["metadata.json"] = json.dumps({"keras_version": version})
        path = write_zip(marker.with_name("model.keras"), members)
        with pytest.raises(InputError, match=r"model\.keras.*more"):
            mar.load_model(path)


def test_an_archive_with_names_that_lead_out_of_it(saved, marker):
    """They are left where they are."""
    members = {**saved, "../marker": "x", str(marker): "x", "assets/../../../marker": "x"}
    model = mar.load_model(write_zip(marker.with_name("model.keras"), members))
    assert mar.front_end(model) == mar.LogMel()


def test_a_saved_model_with_a_function_of_python(marker):
    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((), tf.float32)])
        def __call__(self, x):
            tf.io.write_file(str(marker), "x")
            return tf.py_function(lambda y: y, [x], tf.float32)

    module = Module()
    module.weight = tf.Variable(1.0)
    folder = marker.with_name("saved")
    tf.saved_model.save(module, str(folder))
    with pytest.raises(InputError, match="saved"):
        mar.load_model(folder)
    (folder / "keras_metadata.pb").write_bytes(b"")
    with pytest.raises(InputError, match="saved"):
        mar.load_model(folder)


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:builtins.open [{marker}, w]",
        "!!python/object/new:builtins.open [{marker}, w]",
        "!!python/name:builtins.open ''",
        "!!python/module:antigravity ''",
    ],
)
def test_tags_of_yaml(marker, text):
    path = marker.with_name("embed.yaml")
    path.write_text(f"Catalogue: {{batch_size: {text.format(marker=marker)}}}\n")
    with pytest.raises(ConfigError, match=r"embed\.yaml.*python"):
        Catalogue.load(path)
    with pytest.raises(ConfigError, match="python"):
        Catalogue.load(None, [f"Catalogue.windows=[{text.format(marker=marker)}]"])


def test_arrays_with_objects(marker):
    path = marker.with_name("array.npy")
    np.save(path, np.array([Trap(marker)], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"array\.npy"):
        readers.read_array(path)
    folder = small_embeddings.write_store(marker.with_name("set"), {"a.mp3": np.ones((1, 4))})
    np.savez(folder / "a.mp3.npz", embedding=np.array([Trap(marker)], object))
    with pytest.raises(InputError, match=r"a\.mp3\.npz"):
        npz.read(folder, "a.mp3", 4, None)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle(marker, protocol):
    path = marker.with_name("split.pkl")
    path.write_bytes(pickle.dumps({"TR1": Trap(marker)}, protocol))
    with pytest.raises(InputError, match=r"split\.pkl.*open"):
        readers.read_mapping(path)
    with pytest.raises(InputError, match=r"split\.pkl"):
        readers.read_list(path)


def test_extension_types_of_parquet(marker):
    """A type that Arrow's earlier versions unpickled from the metadata of a column."""
    serialized = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Trap(marker)),
    }
    folder = small_embeddings.write_store(marker.with_name("set"), {"a.mp3": np.ones((1, 4))})
    small_records.data_set(marker.with_name("records"), (40,))
    for path in (next(folder.glob("*.parquet")), marker.with_name("records") / manifest.NAME):
        table = pq.read_table(path)
        schema = table.schema
        for number, field in enumerate(schema):
            schema = schema.set(number, field.with_metadata(serialized))
        pq.write_table(table.cast(schema), path, store_schema=True)
    assert mar.Embeddings(folder).mean("a.mp3").tolist() == [1, 1, 1, 1]
    assert len(manifest.read(marker.with_name("records"))) == 1


def test_a_list_that_leads_out_of_its_folder(marker):
    """Files elsewhere may be listed; what is embedded of them stays in the folder of the output."""
    path = marker.with_name("all.m3u")
    path.write_text("../../../../../../../../etc/passwd\n/etc/passwd\nhttp://localhost/a.mp3\n")
    (item,) = [item for item in files.find([str(path)]) if os.path.exists(item.path)]
    assert item.key == "/etc/passwd"
    output = marker.with_name("set")
    output.mkdir()
    made = {**small_embeddings.PROVENANCE, "dimensions": 4}
    npz.write(output, made, item.key, None, np.zeros(1), np.ones((1, 4), np.float32))
    assert (output / "etc" / "passwd.npz").exists()


@pytest.mark.parametrize("key", ["../marker", "a/../../marker", "/../marker"])
def test_a_key_that_leads_out_of_a_data_set(marker, key):
    output = marker.with_name("set")
    output.mkdir()
    made = {**small_embeddings.PROVENANCE, "dimensions": 4}
    with pytest.raises(InputError, match="marker"):
        npz.write(output, made, key, None, np.zeros(1), np.ones((1, 4), np.float32))
    with pytest.raises(InputError, match="marker"):
        npz.read(output, key, 4, None)
    assert not marker.with_name("marker.npz").exists()


def test_a_device_and_a_pipe_are_refused(marker):
    pipe = marker.with_name("pipe")
    os.mkfifo(pipe)
    for path in ("/dev/zero", pipe):
        for read in (
            readers.read_array, readers.read_list, readers.read_mapping, readers.read_json,
            mar.load_model, mar.Head, mar.Embeddings, mar.RecordReader, Catalogue.load,
            lambda path: list(json_stream.entries(path)),
            lambda path: tables.read(path, ["path"]),
        ):  # fmt: skip
            with pytest.raises((InputError, ConfigError)):
                read(path)
