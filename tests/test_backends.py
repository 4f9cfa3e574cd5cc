"""Keras on JAX and on PyTorch gives what it gives on TensorFlow, and TensorFlow is not imported.

`tests/data/backends.npz` holds what TensorFlow gave, so that this runs where there is none.
"""

import importlib.util
import os
import re
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

import mar
from helpers.processes import run_python
from helpers.resources import DATA, ROOT
from helpers.signals import music
from mar.embedding.store import Embeddings
from mar.errors import ConfigError
from mar.probing.dense import Layers
from mar.probing.head import Head
from mar.probing.head_file import Parts

RUN = DATA / "earlier" / "run"
TENSORFLOWS = DATA / "backends.npz"


@pytest.fixture(params=["jax", "torch"])
def backend(request):
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"needs {request.param}")
    return request.param


@pytest.fixture
def on(backend, tmp_path):
    """Runs Python on a backend, where whoever imports TensorFlow fails, unless Keras does."""
    absent = tmp_path / "absent"
    absent.mkdir()
    (absent / "tensorflow.py").write_text("raise AssertionError('TensorFlow was imported')")
    folders = [absent, ROOT / "tests", ROOT, os.environ.get("PYTHONPATH", "")]
    soon = {"XLA_FLAGS": "--xla_backend_optimization_level=0"}  # what runs once need not run fast

    def run(*arguments, by_keras=False):
        path = os.pathsep.join(map(str, folders[by_keras:]))
        process = run_python(*arguments, fresh=True, KERAS_BACKEND=backend, PYTHONPATH=path, **soon)
        assert process.returncode == 0, process.stderr
        return process.stdout

    return run


def relative(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def tempo_head(embeddings):
    """A head that reads embeddings such as these, and gives the mean of their numbers."""
    size = embeddings.provenance["dimensions"]
    zeros, ones = np.zeros(1, np.float32), np.ones(1, np.float32)
    kernel = np.full((size, 1), 1 / size, np.float32)
    layers = Layers(
        *(np.zeros(size, np.float32), np.ones(size, np.float32), (kernel,), (zeros,)),
        *("relu", "linear", zeros, ones),
    )
    about = {
        **{"task": "tempo", "kind": "regression", "labels": ["tempo"], "unit": "BPM"},
        **{"pooling": "mean", "model": "toy", "test": {}, "mar_version": "1", "date": "2026"},
        **{"licence": "", "calibrated": False, "uncalibrated_labels": [], "aim": None},
        **{"embeddings": embeddings.provenance, "dimensions": size},
    }
    return Head(Parts(layers, None, about))


def test_a_catalogue_its_labels_and_its_neighbours(on, tmp_path, soundfiles):
    """By the commands, with the weights of a checkpoint; a head of TensorFlow's fits."""
    output = tmp_path / "embeddings"
    flags = ["--store", "timeline", "--output", output]
    on("-m", "mar.embed", "--model", f"{RUN}@2", *flags, soundfiles)
    embeddings, expected = Embeddings(output), np.load(TENSORFLOWS)
    assert not embeddings.failures
    windows, _ = embeddings.windows(["0.flac"])
    assert relative(windows, expected["windows"]) < 1e-5
    assert embeddings.provenance["model"] == str(expected["model"])

    head = tempo_head(embeddings)
    head.save(tmp_path / "head.safetensors")
    table = tmp_path / "tags.parquet"
    on("-m", "mar.tag", "--head", tmp_path / "head.safetensors", "--output", table, output)
    rows = {row["path"]: row for row in pq.read_table(table).to_pylist()}
    assert rows["0.flac"]["value"] == pytest.approx(float(expected["windows"].mean()), rel=1e-4)

    new = tmp_path / "new.wav"
    new.write_bytes((soundfiles / "1.wav").read_bytes() + b"\0" * 64)
    first, *_ = on("-m", "mar.similar", "--embeddings", output, new).splitlines()
    assert first.split() == ["1.0000", "1.wav"]


@pytest.fixture(scope="module")
def soundfiles(tmp_path_factory):
    import soundfile

    folder = tmp_path_factory.mktemp("music")
    soundfile.write(folder / "0.flac", music(9.0), 44100)
    soundfile.write(folder / "1.wav", music(4.0, 22050, seed=1), 22050)
    return folder


def test_what_tensorflow_gave_is_what_it_gives(soundfiles):
    pytest.importorskip("tensorflow")
    embedded = mar.Embedder(RUN / "model.keras")(soundfiles / "0.flac")
    expected = np.load(TENSORFLOWS)
    assert relative(embedded.values, expected["exported"]) < 1e-5
    embedded = mar.Embedder(f"{RUN}@2")(soundfiles / "0.flac")
    assert relative(embedded.values, expected["windows"]) < 1e-5
    assert embedded.provenance["model"] == str(expected["model"])


def test_the_published_weights_in_both_formats(golden_model, golden_saved_model, on):
    """All of them, and the golden embedding."""
    script = """
import sys, mar, numpy as np
from helpers.networks import GOLDEN, golden_input
from mar.embedding.network import compiled
from mar.models.saving import fingerprint
model = mar.load_model(sys.argv[1])
assert fingerprint(model) == fingerprint(mar.load_model(sys.argv[2]))
found, expected = compiled(model, 2)(golden_input()), np.load(GOLDEN)["embedding"]
assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
print(len(model.weights), mar.front_end(model).downmix)
"""
    assert on("-c", script, golden_model, golden_saved_model).split() == ["480", "sum"]


@pytest.mark.slow
def test_other_windows_and_bfloat16(on, soundfiles):
    script = """
import sys, mar, numpy as np
model, path, expected = mar.load_model(sys.argv[1]), sys.argv[2], np.load(sys.argv[3])["exported"]
found = mar.Embedder(model)(path).values
short = mar.Embedder(model, mar.Windows(window_seconds=1.0, hop_seconds=1.0), batch_size=3)(path)
rough = mar.Embedder(model, precision="bfloat16")(path).values
lengths = np.linalg.norm(rough, axis=1) * np.linalg.norm(expected, axis=1)
print(np.abs(found - expected).max() / np.abs(expected).max())
print(((rough * expected).sum(1) / lengths).min())
print(*short.values.shape, len(short.times), expected.shape[1])
"""
    arguments = (RUN / "model.keras", soundfiles / "0.flac", TENSORFLOWS)
    # Keras copies layers here, for which it imports TensorFlow where it is installed.
    printed = on("-c", script, *arguments, by_keras=True).splitlines()
    difference, cosine = map(float, printed[:2])
    assert difference < 1e-5
    assert 0.99 < cosine < 0.999999
    rows, columns, times, dimensions = map(int, printed[2].split())
    assert (rows, columns) == (times, dimensions)
    assert rows > 7


def test_what_jax_compiled_is_kept(tmp_path):
    """In our cache, or where the user says."""
    pytest.importorskip("jax")
    script = """
import keras, numpy as np
from mar.embedding.network import compiled
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
print(compiled(model, 4)(np.zeros((2, 3))).shape)
"""
    ours = {"KERAS_BACKEND": "jax", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    ours["MAR_CACHE"] = str(tmp_path / "ours")
    for named in ({}, {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "mine")}):
        process = run_python("-c", script, fresh=True, **ours, **named)
        assert process.stdout == "(2, 2)\n", process.stderr
        kept = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*lambda*-cache")}
        assert kept == ({"ours", "mine"} if named else {"ours"})


@pytest.mark.parametrize("chosen", ["jax", "torch"])
def test_what_needs_tensorflow_says_so_before_it_begins(chosen, tmp_path, monkeypatch):
    pytest.importorskip("tensorflow")
    model = mar.load_model(RUN / "model.keras")
    trainer = mar.Trainer.load(RUN / "configuration.yaml")
    monkeypatch.setenv("KERAS_BACKEND", chosen)
    for begun in (
        lambda: trainer.run(tmp_path / "run"),
        lambda: mar.save_waveform_model(model, tmp_path / "saved_model"),
    ):
        with pytest.raises(ConfigError, match=rf"needs TensorFlow, .* says {chosen}: set KERAS_B"):
            begun()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("code", "needed"),
    [
        ("import mar; mar.Trainer", r"mar\.Trainer needs tensorflow, which is missing"),
        ("import mar.embedding.hear", r"HEAR needs tensorflow, which is missing"),
        ("import mar; mar.load_model", r"mar\.load_model .*KERAS_BACKEND=jax"),
    ],
)
def test_what_needs_tensorflow_says_so_where_there_is_none(code, needed, tmp_path):
    (tmp_path / "tensorflow.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'tensorflow'\", name='tensorflow')"
    )
    process = run_python(
        "-c", code, fresh=True, PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path])
    )
    last = process.stderr.strip().splitlines()[-1]
    assert re.search(rf"^mar\.errors\.ConfigError: .*{needed}", last)


def test_every_way_in_says_what_is_missing_where_little_is_installed(tmp_path):
    """Public names, models, and commands, with what requirements-onnx.txt lists alone."""
    script = """
import sys
import numpy as np
from helpers.without_tensorflow import block, listed
block()
import mar
from mar.errors import ConfigError

def remedy(needing, call):
    try:
        call()
    except ConfigError as error:
        text = str(error)
        assert text.startswith(f"{needing} needs "), text
        package = text.removeprefix(f"{needing} needs ").partition(",")[0]
        assert package not in listed(), text
        assert f"is missing: pip install {package}" in text, text
        return 1
    return 0

refused = sum(remedy(f"mar.{name}", lambda: getattr(mar, name)) for name in mar.__all__)
models = ["mule", "random", "logmel_mean", *sys.argv[1:]]
for model in models:
    refused += remedy(model, lambda: mar.Embedder(model))
    refused += remedy(model, lambda: mar.Catalogue().run(model, [], "out"))
try:
    mar.Embedder(object())
except ConfigError as error:
    assert "expected a name, a file or a model" in str(error)
print(refused, len(models), len(mar.__all__))
"""
    models = [RUN / "model.keras", RUN, f"{RUN}@2"]
    process = run_python("-c", script, *models, fresh=True, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    refused, count, names = map(int, process.stdout.split())
    assert 2 * count < refused < 2 * count + names  # some names need nothing
    command = ("-m", "helpers.without_tensorflow", "mar.export", "--model", RUN, "-o", "a.onnx")
    process = run_python(*command, fresh=True, cwd=tmp_path)
    assert process.returncode == 1
    assert re.fullmatch(r"error: .* needs keras, which is missing: pip .*\n", process.stderr)
