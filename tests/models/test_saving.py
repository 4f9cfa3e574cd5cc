import signal
import time

import keras
import numpy as np
import pytest

import mar
from helpers.networks import fill_golden, golden_input, small_network
from helpers.processes import run_python, start_python
from mar.audio.logmel import standardize
from mar.errors import InputError

FRONT_END = {"downmix": "sum", "level": 0.5}


@pytest.fixture(scope="module")
def model():
    return fill_golden(small_network().build(300, mar.LogMel(**FRONT_END)))


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    mar.save(model, path)
    np.save(path.with_suffix(".npy"), keras.ops.convert_to_numpy(model(golden_input())))
    return path


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "saved_model"
    mar.save_waveform_model(model, folder)
    return folder


@pytest.mark.parametrize(
    "loading",
    [
        "import mar.models, keras; model = keras.saving.load_model(path, safe_mode=True)",
        pytest.param("import mar; model = mar.load_model(path)", marks=pytest.mark.slow),
    ],
)
def test_a_new_process_gives_bit_identical_outputs(saved, loading):
    script = f"""
import sys, numpy as np
path = sys.argv[1]
{loading}
import keras, mar
x = np.random.RandomState(2022).standard_normal((2, 96, 300, 1)).astype(np.float32)
same = np.array_equal(keras.ops.convert_to_numpy(model(x)), np.load(path.replace(".keras", ".npy")))
print(same, mar.front_end(model).level)
"""
    process = run_python("-c", script, saved)
    assert process.stdout.split() == ["True", "0.5"], process.stderr


def test_the_front_end_travels_with_the_model(saved, model):
    assert mar.front_end(model).resolved() == mar.LogMel(**FRONT_END).resolved()
    assert mar.front_end(mar.load_model(saved)).hash() == mar.LogMel(**FRONT_END).hash()


def test_the_exported_model_runs_without_this_package(exported, model, tmp_path):
    rng = np.random.default_rng(0)
    logmel = np.abs(rng.standard_normal((3, 300, 96))).astype(np.float32)
    waveform = (0.1 * rng.standard_normal(14 * 16000)).astype(np.float32)
    np.savez(tmp_path / "in.npz", logmel=logmel, waveform=waveform)
    script = """
import sys, numpy as np, tensorflow as tf
given = np.load(sys.argv[2] + "/in.npz")
signatures = tf.saved_model.load(sys.argv[1]).signatures
snippets = signatures["embed_logmel"](logmel=given["logmel"])
timeline = signatures["embed_waveform"](waveform=given["waveform"])
short = signatures["embed_waveform"](waveform=given["waveform"][:100])
assert "mar" not in sys.modules
np.savez(sys.argv[2] + "/out.npz", snippets=snippets["embedding"], timeline=timeline["embedding"],
         times=timeline["times"], short=short["embedding"])
"""
    process = run_python("-c", script, exported, tmp_path, fresh=True)
    assert process.returncode == 0, process.stderr
    found = np.load(tmp_path / "out.npz")

    expected = model(standardize(logmel))
    np.testing.assert_allclose(found["snippets"], expected, rtol=0, atol=1e-6)

    frames = np.array(mar.LogMel(**FRONT_END).log_mel(waveform))
    assert len(frames) == 1401
    starts = [50, 250, 450, 650, 850, 1050, 1401 - 300]
    windows = np.stack([frames[start : start + 300] for start in starts])
    expected = np.array(model(standardize(windows)))
    np.testing.assert_allclose(found["timeline"], expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["times"], [2, 4, 6, 8, 10, 12, 12.51], rtol=1e-6)
    assert found["short"].shape == (1, 173)


def test_a_folder_that_exists_is_not_overwritten(exported, model):
    with pytest.raises(InputError, match="exists already"):
        mar.save_waveform_model(model, exported)


@pytest.mark.parametrize("name", ["model.h5", "absent/model.keras"])
def test_impossible_names_are_refused(model, tmp_path, name):
    with pytest.raises(InputError, match=name.split("/")[0]):
        mar.save(model, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_an_impossible_place_is_named(model):
    with pytest.raises(InputError, match="/proc/model.keras: cannot be written: "):
        mar.save(model, "/proc/model.keras")


def test_models_that_are_not_ours_are_refused(tmp_path):
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="first")])
    with pytest.raises(InputError, match=r"SpectrogramInput.*found first \(Dense"):
        mar.front_end(other)
    with pytest.raises(InputError, match="SpectrogramInput"):
        mar.save(other, tmp_path / "model.keras")
    other.save(tmp_path / "other.keras")
    with pytest.raises(InputError, match=r"other.keras.*first \(Dense"):
        mar.load_model(tmp_path / "other.keras")


def test_code_in_a_model_file_is_not_run(tmp_path):
    layers = [keras.Input((3,)), keras.layers.Lambda(lambda x: x + 1)]
    keras.Sequential(layers).save(tmp_path / "code.keras")
    with pytest.raises(InputError, match=r"code.keras: not a model that mar saved"):
        mar.load_model(tmp_path / "code.keras")


def test_a_killed_save_leaves_the_previous_model_whole(saved, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(saved.read_bytes())
    script = """
import sys, mar
model = mar.load_model(sys.argv[1])
print("ready", flush=True)
while True:
    mar.save(model, sys.argv[1])
"""
    process = start_python("-c", script, path)
    process.stdout.readline()
    time.sleep(1.0)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert mar.load_model(path).output_shape == (None, 173)
    assert [file.name for file in tmp_path.glob("*.keras")] == ["model.keras"]
