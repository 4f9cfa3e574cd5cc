"""The weights as `mule-torch` keeps them.

`tests/data/mule_torch_0.2.0.tsv` lists the state of a `MuleModel` of that package, read off one
that was built without weights. That the arrays mean the same there was checked once by running it
with golden weights: benchmarks/row_mule_torch.py does so again.
"""

import numpy as np
import pytest
import safetensors.numpy

import mar
from helpers import published
from helpers.networks import golden_value
from helpers.resources import DATA
from mar.errors import InputError
from mar.models.mule_torch import its_name

STATE = DATA / "mule_torch_0.2.0.tsv"


def names_and_shapes():
    """`{canonical name: shape}` of the published network."""
    lines = (published.FOLDER / "sfnfnetf0_weights.tsv").read_text().splitlines()[1:]
    rows = (line.split("\t") for line in lines)
    return {
        name: tuple(map(int, shape.strip("()").replace(",", " ").split()))
        for name, shape, _ in rows
    }


def as_mule_torch(array):
    if array.ndim == 4:
        return np.ascontiguousarray(array.transpose(3, 2, 0, 1))
    return np.ascontiguousarray(array.T) if array.ndim == 2 else array.reshape(array.shape or 1)


@pytest.fixture(scope="module")
def golden():
    """The golden weights by its names, and what else is in its file."""
    arrays = {
        its_name(name): as_mule_torch(np.asarray(golden_value(name, shape), np.float32))
        for name, shape in names_and_shapes().items()
    }
    return {**arrays, "frontend.mel_fb": np.zeros((96, 1025), np.float32)}


def test_names_and_shapes_are_those_of_the_package(golden):
    lines = STATE.read_text().splitlines()[1:]
    state = dict(line.split("\t") for line in lines)
    of_network = {name: shape for name, shape in state.items() if name.startswith("backbone.")}
    found = {name: str(value.shape) for name, value in golden.items() if "frontend" not in name}
    assert found == of_network


def test_golden_weights_by_its_names(golden, golden_model, tmp_path):
    safetensors.numpy.save_file(golden, tmp_path / "model.safetensors")
    model = mar.load_model(tmp_path / "model.safetensors")
    expected = mar.load_model(golden_model)
    for variable, other in zip(model.weights, expected.weights, strict=True):
        assert variable.path == other.path
        np.testing.assert_allclose(variable, other, rtol=1e-6, err_msg=variable.path)
    assert mar.front_end(model).resolved() == mar.front_end(expected).resolved()


def test_other_files_are_named(golden, tmp_path):
    path = tmp_path / "model.safetensors"
    some = {name: golden[name] for name in list(golden)[:3]}
    first = "backbone.fast_stages.0.blocks.0.convs.0.bias"
    for arrays, said in {
        (): f"480 arrays of MULE as mule-torch names them, but {first} is missing",
        ("backbone.extra",): "480 arrays",
    }.items():
        safetensors.numpy.save_file({**some, **dict.fromkeys(arrays, np.zeros(1))}, path)
        with pytest.raises(InputError, match=f"model.safetensors: expected the {said}"):
            mar.load_model(path)
    wider = {**golden, "backbone.fusions.0.conv1.bias": np.zeros(33, np.float32)}
    safetensors.numpy.save_file(wider, path)
    with pytest.raises(InputError, match=r"fusions.0.conv1.bias has the shape \(33,\).*\(32,\)"):
        mar.load_model(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"expected a whole safetensors file"):
        mar.load_model(path)
    with pytest.raises(InputError, match=r"absent.safetensors: cannot be read: No such file"):
        mar.load_model(tmp_path / "absent.safetensors")
