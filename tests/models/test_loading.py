import io
import json
import zipfile

import h5py
import numpy as np
import pytest

import mar
from helpers import published_weights
from helpers.networks import GOLDEN, golden_input
from helpers.processes import run_python
from mar.errors import InputError

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:1da111d619bac0d422e41f153cbfb903f7ec3c5d3b2768f5d68f04452ed18180\nsize 251054764\n"
)


def assert_golden(model):
    expected = np.load(GOLDEN)["embedding"]
    found = np.array(model(golden_input()))
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    front_end = mar.front_end(model)
    assert (front_end.downmix, front_end.level) == ("sum", 0.5)


def test_the_published_golden_model(golden_model):
    assert_golden(mar.load_model(golden_model))


def test_the_published_saved_model(golden_saved_model):
    assert_golden(mar.load_model(str(golden_saved_model)))


@pytest.mark.parametrize(
    "change",
    [
        {"shift": 7, "seed": 2},
        pytest.param({"shift": 100}, marks=pytest.mark.slow),
        pytest.param({"seed": 1}, marks=pytest.mark.slow),
    ],
)
def test_layer_numbers_and_listing_do_not_matter(
    golden_model, golden_saved_model, tmp_path, change
):
    published_weights.rewrite_keras_file(golden_model, tmp_path / "model.keras", **change)
    assert_golden(mar.load_model(tmp_path / "model.keras"))
    published_weights.rewrite_saved_model(golden_saved_model, tmp_path / "saved_model", **change)
    assert_golden(mar.load_model(tmp_path / "saved_model"))


# ------------------------------------------------------------------------------------- bad input


def test_a_pointer_of_git_lfs_is_named(golden_saved_model, tmp_path):
    (tmp_path / "model.keras").write_bytes(POINTER)
    with pytest.raises(InputError, match=r"model.keras: a Git LFS pointer.*`git lfs pull`"):
        mar.load_model(tmp_path / "model.keras")
    (tmp_path / "variables").mkdir()
    (tmp_path / "keras_metadata.pb").write_bytes(
        (golden_saved_model / "keras_metadata.pb").read_bytes()
    )
    (tmp_path / "variables" / "variables.index").write_bytes(b"")
    data = tmp_path / "variables" / "variables.data-00000-of-00001"
    data.write_bytes(POINTER)
    with pytest.raises(InputError, match=r"variables.data-00000-of-00001: a Git LFS pointer"):
        mar.load_model(tmp_path)


def test_damaged_files_are_named(golden_model, tmp_path):
    whole = golden_model.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    contents = {
        "truncated": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"not a model",
        "flipped": bytes(flipped),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name}: expected a whole .keras file"):
            mar.load_model(tmp_path / name)
    published_weights.write_keras_file(tmp_path / "other.zip", {"readme.txt": "hello"})
    with pytest.raises(InputError, match=r"other.zip: a zip, but not a .keras file"):
        mar.load_model(tmp_path / "other.zip")
    with pytest.raises(InputError, match=r"absent.keras: cannot be read: No such file"):
        mar.load_model(tmp_path / "absent.keras")


@pytest.fixture(scope="module")
def members(golden_model):
    with zipfile.ZipFile(golden_model) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def changed_weights(members, change):
    """The `.keras` file's members with `change(groups)` applied to its weights."""
    content = io.BytesIO(members["model.weights.h5"])
    with h5py.File(content, "r+") as file:
        change(file["_layer_checkpoint_dependencies"])
    return {**members, "model.weights.h5": content.getvalue()}


def test_another_architecture_is_named_with_both_shapes(members, tmp_path):
    path = tmp_path / "model.keras"

    def widen(groups):
        del groups["weight_standardization_2/vars/0"]
        groups["weight_standardization_2/vars/0"] = np.zeros((3, 1, 1, 24), np.float32)

    published_weights.write_keras_file(path, changed_weights(members, widen))
    with pytest.raises(InputError) as error:
        mar.load_model(path)
    assert "the first layer that does not fit is weight_standardization (" in str(error.value)
    assert "(3, 1, 1, 24)" in str(error.value)
    assert "slow.stem.0 (WeightStandardization with (3, 1, 1, 16)" in str(error.value)


def test_a_foreign_model_of_keras_2_is_named(tmp_path):
    layer = {"class_name": "Dense", "name": "dense_3", "config": {}}
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file["_layer_checkpoint_dependencies/dense/vars/0"] = np.zeros((5, 2), np.float32)
    published_weights.write_keras_file(
        tmp_path / "model.keras",
        {
            "metadata.json": json.dumps({"keras_version": "2.13.1"}),
            "config.json": json.dumps({"class_name": "Sequential", "config": {"layers": [layer]}}),
            "model.weights.h5": weights.getvalue(),
        },
    )
    with pytest.raises(InputError, match=r"does not fit is dense_3 \(Dense with \(5, 2\)\)"):
        mar.load_model(tmp_path / "model.keras")


def test_missing_weights_are_named(members, tmp_path):
    path = tmp_path / "model.keras"

    def drop_layer(groups):
        del groups["dense_8"]

    published_weights.write_keras_file(path, changed_weights(members, drop_layer))
    with pytest.raises(InputError, match=r"expected 48 groups .* class Dense, found 47"):
        mar.load_model(path)

    def drop_bias(groups):
        del groups["weight_standardization_2/layer/vars/0"]

    published_weights.write_keras_file(path, changed_weights(members, drop_bias))
    with pytest.raises(InputError, match=r"missing weights.*slow.stem.0"):
        mar.load_model(path)

    published_weights.write_keras_file(path, {**members, "model.weights.h5": b"\0" * 1000})
    with pytest.raises(InputError, match=r"model.weights.h5 in it is damaged"):
        mar.load_model(path)


def test_an_incomplete_saved_model_is_named(golden_saved_model, tmp_path):
    folder = published_weights.copy_saved_model(golden_saved_model, tmp_path / "model")
    data = folder / "variables" / "variables.data-00000-of-00001"
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"variables: a damaged checkpoint: its data end"):
        mar.load_model(folder)
    data.unlink()
    with pytest.raises(InputError, match="missing weights: variables/ lacks its index or its data"):
        mar.load_model(folder)
    data.write_bytes(whole)
    metadata = folder / "keras_metadata.pb"
    content = metadata.read_bytes()
    metadata.write_bytes(content[:1000])
    with pytest.raises(InputError, match=r"keras_metadata.pb: damaged"):
        mar.load_model(folder)
    metadata.unlink()
    with pytest.raises(InputError, match=r"no keras_metadata.pb; a model that mar exported"):
        mar.load_model(folder)
    for file in (folder / "variables").iterdir():
        file.unlink()
    (folder / "variables").rmdir()
    with pytest.raises(InputError, match="it has no folder variables/"):
        mar.load_model(folder)


def test_an_uncaught_error_is_one_sentence_without_inner_frames(tmp_path):
    (tmp_path / "model.keras").write_bytes(POINTER)
    process = run_python(
        "-c", "import sys, mar; mar.load_model(sys.argv[1])", tmp_path / "model.keras"
    )
    assert process.returncode == 1
    assert "zipfile" not in process.stderr
    assert process.stderr.strip().splitlines()[-1].startswith("mar.errors.InputError: ")
