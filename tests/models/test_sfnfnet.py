import keras
import numpy as np
import pytest

import mar
from helpers import published
from helpers.networks import GOLDEN, fill_golden, golden_input, small_network
from helpers.processes import run_python
from mar.errors import ConfigError
from mar.models.sfnfnet import SfNfNetF0, canonical_name

TAPS = {
    "slow.stem": "slow_stem_3",
    "fast.stem": "fast_stem_3",
    **{
        f"{pathway}.stage{stage}": f"{pathway}_stage{stage}_block{depth - 1}"
        for pathway in ("slow", "fast")
        for stage, depth in enumerate((1, 2, 6, 3))
    },
}


@pytest.fixture(scope="module")
def network():
    return fill_golden(SfNfNetF0().build(300))


def test_parameters(network):
    assert network.count_params() == 62_345_742
    assert len(network.weights) == 480
    assert network.input_shape == (None, 96, 300, 1)
    assert network.output_shape == (None, 1728)


def test_canonical_names_and_shapes(network):
    lines = (published.FOLDER / "sfnfnetf0_weights.tsv").read_text().splitlines()[1:]
    expected = {name: shape for name, shape, _ in (line.split("\t") for line in lines)}
    assert {canonical_name(v): str(tuple(v.shape)) for v in network.weights} == expected


def test_golden_taps_and_embedding(network):
    """Every intermediate map that the authors' implementation gave, and its embedding."""
    golden = np.load(GOLDEN)
    outputs = {tap: network.get_layer(name).output for tap, name in TAPS.items()}
    for tap in ("fusion0", "fusion1", "fusion2", "fusion3", "pooled"):
        outputs[tap] = network.get_layer(tap).output
    outputs["embedding"] = network.output
    values = keras.Model(network.input, outputs)(golden_input())
    for tap, value in values.items():
        value = keras.ops.convert_to_numpy(value)
        if tap == "embedding":
            expected, found = golden["embedding"], value
        else:
            assert value.shape == tuple(golden[f"{tap}/shape"])
            assert value.std() == pytest.approx(float(golden[f"{tap}/std"]), rel=1e-4)
            expected = golden[f"{tap}/strided"]
            found = value.reshape(-1)[:: max(1, value.size // 257)][:257]
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max(), tap


def embedding_on(backend, network, folder):
    """The golden embedding of a network that an expression builds, operation by operation."""
    pytest.importorskip(backend, reason=f"needs {backend}")
    script = f"""
import sys, keras, numpy as np
from mar.models.sfnfnet import SfNfNetF0
from helpers.networks import fill_golden, golden_input, small_network
np.save(sys.argv[1], keras.ops.convert_to_numpy(fill_golden({network})(golden_input())))
"""
    process = run_python("-c", script, folder / "embedding.npy", KERAS_BACKEND=backend)
    assert process.returncode == 0, process.stderr
    return np.load(folder / "embedding.npy")


@pytest.mark.parametrize("backend", [pytest.param("jax", marks=pytest.mark.slow), "torch"])
def test_a_small_network_is_the_same_on_other_backends(tmp_path, backend):
    found = embedding_on(backend, "small_network().build()", tmp_path)
    expected = np.array(fill_golden(small_network().build())(golden_input()))
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_golden_embedding_on_other_backends(tmp_path, backend):
    found, expected = embedding_on(backend, "SfNfNetF0().build()", tmp_path), np.load(GOLDEN)
    expected = expected["embedding"]
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def test_any_number_of_frames():
    fixed, free = (fill_golden(small_network().build(frames)) for frames in (300, None))
    x = golden_input()
    np.testing.assert_allclose(free(x), fixed(x), rtol=1e-5, atol=1e-6)
    for frames in (1, 100, 400, 517):
        assert free(np.zeros((1, 96, frames, 1), np.float32)).shape == (1, 173)


def test_width_keeps_the_groups_and_at_least_one_channel_in_each():
    tiny = small_network(width=0.001).build(300)
    assert tiny.output_shape == (None, 3)  # 1.5 rounded, and 0.2, at least one
    block = tiny.get_layer("slow_stage2_block0")
    assert (block.groups, block.mid_channels) == (6, 6)
    half = small_network(width=0.5)
    assert half.build(300).output_shape == (None, 864)


def test_f_value_multiplies_the_depths():
    names = [layer.name for layer in small_network(f_value=1).build(300).layers]
    assert "slow_stage3_block1" in names
    assert "slow_stage3_block2" not in names


def test_drop_rates_rise_linearly_from_zero():
    network = small_network(depths=[1, 2, 1, 1], stochastic_depth=0.5).build(300)
    names = ["stage0_block0", "stage1_block0", "stage1_block1", "stage2_block0", "stage3_block0"]
    for pathway in ("slow", "fast"):
        rates = [network.get_layer(f"{pathway}_{name}").drop_rate for name in names]
        assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_draws_as_an_input():
    """All ones keep every residual, as at inference; draws act on their own example alone."""
    network = small_network(stochastic_depth=0.5)
    plain = fill_golden(network.build(300))
    drawn = network.build(300, explicit_draws=True)
    drawn.set_weights(plain.get_weights())
    assert [canonical_name(v) for v in drawn.weights] == [canonical_name(v) for v in plain.weights]
    x, draws = golden_input(), np.ones((2, 8), np.float32)
    np.testing.assert_allclose(drawn([x, draws], training=True), plain(x), rtol=1e-5, atol=1e-6)
    draws[1, 3] = 0  # the slow pathway's last block
    changed = np.array(drawn([x, draws], training=True)) - np.array(plain(x))
    assert np.abs(changed[0]).max() < 1e-5
    assert np.abs(changed[1, :154]).max() > 1e-2  # the slow pathway's dimensions
    assert np.abs(changed[1, 154:]).max() < 1e-5


def test_training_alone_drops_residuals():
    network = fill_golden(small_network(stochastic_depth=1.0).build(300))
    x = np.repeat(golden_input()[:1], 8, axis=0)
    assert np.ptp(np.array(network(x)), axis=0).max() < 1e-5
    assert np.ptp(np.array(network(x, training=True)), axis=0).max() > 1e-2


def test_bfloat16_is_close():
    network = small_network()
    full = fill_golden(network.build(300))
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = network.build(300)
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(full.get_weights())
    expected, found = np.array(full(golden_input())), np.array(half(golden_input()))
    assert found.dtype == np.float32
    cosines = (expected * found).sum(1) / np.linalg.norm(expected, axis=1)
    assert (cosines / np.linalg.norm(found, axis=1)).min() > 0.999


def test_configuration_file(tmp_path):
    path = tmp_path / "network.yaml"
    path.write_text("SfNfNetF0: {width: 0.1, depths: [1, 1, 1, 1]}\n")
    assert mar.SfNfNetF0.load(path).build(300).output_shape == (None, 173)
    with pytest.raises(ConfigError, match=r"SfNfNetF0.depths: expected a list of int, got 3"):
        SfNfNetF0(depths=3)
    with pytest.raises(ConfigError, match=r"depths: expected 4 values, got \(1, 1\)"):
        SfNfNetF0(depths=[1, 1])


def test_another_number_of_mel_bands_is_refused():
    with pytest.raises(ValueError, match="makes 64 mel bands"):
        mar.models.layers.SpectrogramInput(mar.LogMel(n_mels=64).resolved()).build((None, 96, 5, 1))
