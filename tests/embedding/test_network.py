import keras
import numpy as np
import pytest

from helpers.networks import fill_golden, plain_network, small_network
from helpers.processes import run_python
from mar.audio.logmel import standardize
from mar.embedding.network import Network


@pytest.fixture(scope="module")
def model():
    return plain_network()


@pytest.fixture(scope="module")
def blocks():
    """The paper's, small."""
    return fill_golden(small_network().build(300))


@pytest.fixture(scope="module")
def snippets():
    return np.random.default_rng(0).uniform(0, 3, (11, 300, 96)).astype(np.float32)


@pytest.fixture(scope="module")
def expected(model, snippets):
    return keras.ops.convert_to_numpy(model(standardize(snippets)))


def close(ours, theirs, relative=1e-5):
    return np.abs(ours - theirs).max() <= relative * np.abs(theirs).max()


@pytest.mark.parametrize("batch_size", [1, 4, 11, 32])
def test_batch_size_does_not_matter(model, snippets, expected, batch_size):
    assert close(Network(model, 300, batch_size)(snippets), expected)


@pytest.mark.parametrize("sizes", [[11], [1] * 11, [0, 5, 0, 6, 0], [0], [3, 0, 8]])
def test_groups_come_back_in_order_and_whole(model, snippets, expected, sizes):
    ends = np.cumsum(sizes)
    groups = [
        (f"group {number}", snippets[end - size : end])
        for number, (size, end) in enumerate(zip(sizes, ends, strict=True))
    ]
    found = list(Network(model, 300, 4).stream(groups))
    assert [tag for tag, _ in found] == [tag for tag, _ in groups]
    assert [len(rows) for _, rows in found] == sizes
    rows = np.concatenate([expected[:0], *(rows for _, rows in found)])
    np.testing.assert_allclose(rows, expected[: ends[-1]], atol=1e-5 * np.abs(expected).max())


def test_groups_are_embedded_before_the_stream_ends(model, snippets):
    taken = []

    def groups():
        for number in range(11):
            taken.append(number)
            yield number, snippets[number : number + 1]

    next(Network(model, 300, 4).stream(groups()))
    assert taken == [0, 1, 2, 3]


@pytest.mark.parametrize("frames", [100, 400])
def test_other_windows_than_the_model_was_built_for(blocks, frames):
    snippets = np.random.default_rng(1).uniform(0, 3, (3, frames, 96)).astype(np.float32)
    any_length = fill_golden(small_network().build(None))
    expected = keras.ops.convert_to_numpy(any_length(standardize(snippets)))
    assert close(Network(blocks, frames)(snippets), expected)


def test_bfloat16(blocks, snippets):
    expected = keras.ops.convert_to_numpy(blocks(standardize(snippets)))
    found = Network(blocks, 300, precision="bfloat16")(snippets)
    assert found.dtype == np.float32
    difference = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert 1e-4 < difference.max() < 0.05  # computed in bfloat16 indeed, and rightly


def test_bfloat16_activates_in_float32_on_a_cpu(blocks, snippets, monkeypatch):
    kinds, gelu = set(), keras.ops.gelu

    def noting(x, **settings):
        kinds.add(keras.backend.standardize_dtype(x.dtype))
        return gelu(x, **settings)

    monkeypatch.setattr(keras.ops, "gelu", noting)
    Network(blocks, 300, precision="bfloat16")(snippets[:1])
    assert kinds == {"float32"}


def test_without_standardisation_and_with_softmax(model, snippets):
    plain = keras.ops.convert_to_numpy(model(snippets.transpose(0, 2, 1)[..., None]))
    assert close(Network(model, 300, standardized=False)(snippets), plain)
    exponential = np.exp(plain - plain.max(axis=1, keepdims=True))
    softmax = exponential / exponential.sum(axis=1, keepdims=True)
    found = Network(model, 300, standardized=False, softmax=True)(snippets)
    np.testing.assert_allclose(found, softmax, rtol=1e-3, atol=1e-7)


@pytest.mark.slow
def test_the_same_on_jax(tmp_path):
    """With a small model: compiling ours takes long, and is tested where the network is."""
    script = """
import sys, keras, numpy as np
from mar.embedding.network import Network
keras.utils.set_random_seed(0)
model = keras.Sequential([keras.Input((96, 300, 1)), keras.layers.Conv2D(3, 5, strides=5),
                          keras.layers.Flatten(), keras.layers.Dense(7)])
for variable in model.weights:
    shape = tuple(variable.shape)
    variable.assign(np.random.RandomState(len(shape)).standard_normal(shape))
snippets = np.random.RandomState(0).uniform(0, 3, (11, 300, 96)).astype(np.float32)
np.save(sys.argv[1], Network(model, 300, 4)(snippets))
"""
    found = []
    for backend in ("tensorflow", "jax"):
        path = tmp_path / f"{backend}.npy"
        process = run_python("-c", script, path, KERAS_BACKEND=backend)
        assert process.returncode == 0, process.stderr
        found.append(np.load(path))
    assert found[0].shape == (11, 7)
    assert close(found[1], found[0])
