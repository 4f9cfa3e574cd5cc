"""Any checkpoint of a run becomes a model."""

import json
import shutil

import keras
import numpy as np
import pytest
import soundfile

import mar
from helpers import training_runs
from helpers.processes import run_python
from helpers.resources import DATA
from mar.audio.logmel import standardize
from mar.errors import InputError
from mar.models.saving import fingerprint
from mar.training.checkpoints import Checkpoints, state

EARLIER = DATA / "earlier"
SOON_TRACED = json.dumps({training_runs.TwoBlocks.__name__: {"width": 0.05}})
# As many frames as it was trained with: its first convolution takes gigabytes of many more.
SHORT = mar.Windows(window_seconds=0.64, hop_seconds=0.64)
BACKEND_SCRIPT = """
import sys, mar
from mar.models.saving import fingerprint
print(fingerprint(mar.load_model(sys.argv[1])))
"""


def trainer(**settings):
    changes = {"dataset.SnippetDataset.records": EARLIER / "records", **settings}
    overrides = [f"Trainer.{name}={value}" for name, value in changes.items()]
    return mar.Trainer.load(EARLIER / "run" / "configuration.yaml", overrides)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run of version 0.1.0 as it was after step 2 of 4, without its records."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    shutil.copytree(EARLIER / "run", folder)
    (folder / "model.keras").unlink()
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with checkpoints of steps 1 to 3; that of step 1 passes for the best."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    shared = {"model": SOON_TRACED, "checkpoint_every": 1, "keep": 2}
    assert trainer(**shared, steps=3).run(folder) is None
    assert trainer(**shared, steps=1).run(folder.parent / "short") is None
    (folder / "checkpoints" / "best").mkdir()
    for path in (folder.parent / "short" / "checkpoints").glob("ckpt-1.*"):
        shutil.copy(path, folder / "checkpoints" / "best")
    return folder


def assert_equal(model, other):
    assert [weight.path for weight in model.weights] == [weight.path for weight in other.weights]
    for weight, theirs in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(weight, theirs, err_msg=weight.path)
    assert mar.front_end(model).resolved() == mar.front_end(other).resolved()
    assert model.input_shape == other.input_shape


def test_a_stopped_run_is_what_it_resumes_from(stopped):
    model = mar.load_model(stopped)
    assert_equal(model, mar.load_model(f"{stopped}@2"))
    described = trainer()
    network, pretraining = described.build()
    adam = described.optimizer.build(weight.value for weight in pretraining.trainable_variables)
    saved = Checkpoints(
        stopped / "checkpoints", 3, state(pretraining, adam), described.facts(), None
    )
    assert saved.restore() == 2
    for weight, theirs in zip(model.weights, network.weights, strict=True):
        np.testing.assert_array_equal(weight, theirs, err_msg=weight.path)
    snippets = standardize(np.random.default_rng(0).random((2, 64, 96)).astype(np.float32))
    kept = keras.ops.ones((2, network.inputs[1].shape[1]))
    np.testing.assert_allclose(model(snippets), network([snippets, kept]), rtol=1e-5, atol=1e-6)


def test_the_last_checkpoint_of_a_finished_run_is_its_model(finished):
    model = mar.load_model(finished)
    assert_equal(model, keras.saving.load_model(finished / "model.keras"))
    assert_equal(model, mar.load_model(f"{finished}@3"))
    weights = {fingerprint(mar.load_model(f"{finished}@{step}")) for step in (1, 2, 3)}
    assert len(weights) == 3
    assert_equal(mar.load_model(f"{finished}@best"), mar.load_model(finished.parent / "short"))
    with pytest.raises(InputError, match=r"@4: expected best, or .* that is there \(1, 2, 3\)"):
        mar.load_model(f"{finished}@4")


def test_a_checkpoint_embeds(finished):
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, 5 * 16000).astype(np.float32)
    best = mar.Embedder(f"{finished}@best", SHORT)(samples, 16000)
    short = mar.Embedder(mar.load_model(finished.parent / "short"), SHORT)(samples, 16000)
    np.testing.assert_array_equal(best.values, short.values)
    last = mar.Embedder(finished, SHORT)(samples, 16000)
    assert np.abs(last.values - best.values).max() > 0


def test_paths_in_a_run_are_understood(finished, stopped):
    best, last = (fingerprint(mar.load_model(f"{finished}@{step}")) for step in (1, 3))
    checkpoints = finished / "checkpoints"
    for path in ("best", "best/ckpt-1", "best/ckpt-1.index"):
        assert fingerprint(mar.load_model(checkpoints / path)) == best, path
    for path in ("", "ckpt-3", "ckpt-3.index", "ckpt-3.data-00000-of-00001"):
        assert fingerprint(mar.load_model(checkpoints / path)) == last, path
    assert fingerprint(mar.load_model(f"{checkpoints}@best")) == best
    assert_equal(mar.load_model(stopped / "checkpoints" / "ckpt-2"), mar.load_model(stopped))
    with pytest.raises(InputError, match=r"run@7: expected best, or .* \(1, 2, 3\)"):
        mar.load_model(checkpoints / "ckpt-7.index")
    with pytest.raises(InputError, match=f"{finished.parent}: expected a SavedModel.* of a run"):
        mar.load_model(finished.parent / "ckpt-3")


def test_what_is_recorded_names_the_run_and_the_step(finished, stopped, tmp_path, monkeypatch):
    """Whatever was given for it, from whatever folder; with it, the model is found again."""
    monkeypatch.chdir(finished)
    for given in (".@best", "checkpoints/best", "checkpoints/best/ckpt-1.index", f"{finished}@1"):
        assert mar.Embedder(given).provenance["model_source"] == f"{finished}@1"
    for given in (".", "checkpoints", "checkpoints/ckpt-3"):
        assert mar.Embedder(given).provenance["model_source"] == f"{finished}@3"
    assert mar.Embedder("model.keras").provenance["model_source"] == f"{finished}/model.keras"
    assert mar.Embedder(stopped).provenance["model_source"] == f"{stopped}@2"
    (tmp_path / "logmel_mean").mkdir()
    monkeypatch.chdir(tmp_path)
    assert mar.Embedder("logmel_mean").provenance["model_source"] == "logmel_mean"
    for name in ("a", "b"):
        samples = np.random.default_rng(ord(name)).uniform(-0.1, 0.1, 4 * 16000)
        soundfile.write(f"{name}.wav", samples, 16000)
    embedder = mar.Embedder(f"{finished}@best", SHORT)
    made = embedder.embed_folder(tmp_path / "a.wav", tmp_path / "out")
    assert [track.path for track in made.nearest(tmp_path / "b.wav")] == ["a.wav"]


def test_exported_models_outlive_the_checkpoints(finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    shutil.copy(finished.parent / "short" / "model.keras", run / "best.keras")
    card = json.loads((run / "model_card.json").read_text())
    (run / "model_card.json").write_text(json.dumps({**card, "best_step": 1}))
    shutil.rmtree(run / "checkpoints")
    for name in ("@best", "@1", "", "@3"):
        assert_equal(mar.load_model(f"{run}{name}"), mar.load_model(f"{finished}{name}"))
    with pytest.raises(InputError, match=r"run@2: expected best, or .* \(1, 3\), got 2"):
        mar.load_model(f"{run}@2")
    (run / "model_card.json").unlink()
    assert_equal(mar.load_model(run), mar.load_model(finished))
    assert mar.Embedder(run).provenance["model_source"] == f"{run}/model.keras"


def test_a_checkpoint_is_read_under_another_backend(stopped):
    process = run_python("-c", BACKEND_SCRIPT, f"{stopped}@2", KERAS_BACKEND="jax")
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == [fingerprint(mar.load_model(stopped))]


def test_what_is_missing_is_named(stopped, tmp_path):
    for which in ("3", "latest", "-2", ""):
        with pytest.raises(InputError, match=rf"run@{which}: expected best, or .* \(2\), got"):
            mar.load_model(f"{stopped}@{which}")
    with pytest.raises(InputError, match=r"run@best: no checkpoint is the best yet.* steps: 2"):
        mar.load_model(f"{stopped}@best")
    for neither in (tmp_path, f"{tmp_path}@best", f"{tmp_path}@2"):
        with pytest.raises(InputError, match=f"{tmp_path}: expected a SavedModel.* of a run"):
            mar.load_model(neither)
    with pytest.raises(InputError, match=r"absent@best: cannot be read: No such file"):
        mar.load_model(tmp_path / "absent@best")
    (tmp_path / "checkpoints").mkdir()
    facts = tmp_path / "checkpoints" / "run.json"
    shutil.copy(stopped / "checkpoints" / "run.json", facts)
    with pytest.raises(InputError, match=f"{tmp_path}: the run has no checkpoint yet"):
        mar.load_model(tmp_path)
    facts.write_text(json.dumps({"configuration": {}}))
    with pytest.raises(InputError, match=r"run.json: not the facts of a run"):
        mar.load_model(tmp_path)
    facts.write_text("{")
    with pytest.raises(InputError, match=r"run.json: damaged"):
        mar.load_model(tmp_path)


def test_damaged_checkpoints_are_named(stopped, tmp_path):
    run = shutil.copytree(stopped, tmp_path / "run")
    data = run / "checkpoints" / "ckpt-2.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    weight = keras.ops.convert_to_numpy(mar.load_model(run).weights[0]).tobytes()
    content[content.index(weight)] ^= 0xFF
    for damaged in (bytes(content), content[:1000], b""):
        data.write_bytes(damaged)
        with pytest.raises(InputError, match=r"ckpt-2: the checkpoint is damaged"):
            mar.load_model(run)
    facts = json.loads((run / "checkpoints" / "run.json").read_text())
    facts["configuration"]["model"]["SfNfNetF0"]["width"] = 0.1
    shutil.copytree(stopped / "checkpoints", run / "checkpoints", dirs_exist_ok=True)
    (run / "checkpoints" / "run.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match=r"ckpt-2: the checkpoint is damaged, or of another run"):
        mar.load_model(run)


def test_a_name_with_an_at_sign_is_a_name(stopped, tmp_path):
    folder = shutil.copytree(stopped, tmp_path / "run@home")
    (tmp_path / "run").mkdir()
    assert_equal(mar.load_model(folder), mar.load_model(stopped))
    assert_equal(mar.load_model(f"{folder}@2"), mar.load_model(stopped))
