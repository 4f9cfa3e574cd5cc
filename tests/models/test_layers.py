import keras
import numpy as np
import pytest
from keras import ops

from mar.models.layers import NFBlock, SqueezeExcite, WSConv2D, scaled_activation


def test_activations_preserve_unit_variance():
    x = np.random.default_rng(0).standard_normal(1_000_000).astype(np.float32)
    for activation in ("gelu", "relu"):
        assert np.std(scaled_activation(x, activation)) == pytest.approx(1, abs=0.005)


def test_standardised_kernels_have_zero_mean_and_variance_of_one_over_fan_in():
    layer = WSConv2D(8, (3, 3), groups=2)
    layer.build((None, 10, 10, 12))
    layer.kernel.assign(np.random.default_rng(0).uniform(1, 5, layer.kernel.shape))
    # The response to an impulse is the effective kernel.
    impulse = np.zeros((1, 5, 5, 12), np.float32)
    impulse[0, 2, 2, 0] = 1
    response = np.array(layer(impulse))[0, 1:4, 1:4, :4]
    plain = np.array(layer.kernel)[::-1, ::-1, 0, :4]
    kernel = np.array(layer.kernel)[..., :4].reshape(-1, 4)
    expected = (plain - kernel.mean(0)) / (kernel.std(0) * np.sqrt(len(kernel)))
    np.testing.assert_allclose(response, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("groups", "strides"), [(1, (1, 1)), (3, (2, 1)), (1, (1, 4)), (2, (2, 8))]
)
def test_convolution_equals_keras(groups, strides):
    x = np.random.default_rng(0).standard_normal((2, 13, 17, 12)).astype(np.float32)
    layer = WSConv2D(6, (3, 7), strides, groups)
    reference = keras.layers.Conv2D(6, (3, 7), strides, "same", groups=groups)
    layer.build(x.shape)
    reference.build(x.shape)
    kernel = np.array(layer.kernel)
    layer.bias.assign(np.arange(6))
    layer.gain.assign(np.linspace(0.5, 2, 6))
    fan_in = np.prod(kernel.shape[:3])
    centred = kernel - kernel.mean((0, 1, 2))
    scale = np.linspace(0.5, 2, 6) / np.sqrt(kernel.var((0, 1, 2)) * fan_in)
    reference.set_weights([centred * scale, np.arange(6)])
    np.testing.assert_allclose(layer(x), reference(x), rtol=1e-4, atol=1e-4)
    assert layer.compute_output_shape(x.shape) == tuple(layer(x).shape)


def test_a_constant_kernel_is_no_division_by_zero():
    layer = WSConv2D(2, (1, 1))
    layer.build((None, 4, 4, 3))
    layer.kernel.assign(np.ones(layer.kernel.shape))
    assert np.abs(layer(np.ones((1, 4, 4, 3), np.float32))).max() == 0


def test_squeeze_excite_with_zero_weights_passes_the_map():
    layer = SqueezeExcite()
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 6)).astype(np.float32)
    layer(x)
    for weight in layer.weights:
        weight.assign(np.zeros(weight.shape))
    np.testing.assert_array_equal(layer(x), x)  # 2 × sigmoid(0) = 1


def _block(**arguments):
    block = NFBlock(8, 4, groups=2, **arguments)
    x = np.random.default_rng(0).standard_normal((4, 6, 5, 8)).astype(np.float32)
    block(x)
    block.skip_gain.assign(0.7)
    return block, x


def test_a_fresh_block_is_the_identity():
    block = NFBlock(8, 4, groups=2)
    x = np.ones((1, 6, 5, 8), np.float32)
    np.testing.assert_array_equal(block(x), x)


def test_stochastic_depth_drops_the_residual_of_single_examples():
    block, x = _block(drop_rate=0.5)
    whole = np.array(block(x))
    draws = np.array([0.0, 0.49, 0.5, 0.99], np.float32)
    dropped = np.array(block(x, draws=draws, training=True))
    np.testing.assert_array_equal(dropped[:2], x[:2])
    np.testing.assert_allclose(dropped[2:], whole[2:], rtol=1e-6)  # kept, and not rescaled
    np.testing.assert_array_equal(block(x, draws=draws), whole)  # inference ignores the draws


def test_without_draws_a_block_makes_its_own():
    block, x = _block(drop_rate=0.5)
    x = np.repeat(x[:1], 400, axis=0)
    changed = np.any(np.array(block(x, training=True)) != x, axis=(1, 2, 3))
    assert 0.4 < changed.mean() < 0.6


def test_a_transition_may_stride_over_frequency_only():
    block, x = _block(transition=True, frequency_stride=2)
    assert tuple(block(x).shape) == (4, 3, 5, 8) == block.compute_output_shape(x.shape)


def test_impossible_arguments_are_refused():
    with pytest.raises(ValueError, match=r"multiple of `groups`\. Received: filters=5"):
        WSConv2D(5, (1, 1), groups=2)
    with pytest.raises(ValueError, match="channels must be a multiple"):
        WSConv2D(4, (1, 1), groups=2).build((None, 2, 2, 3))
    with pytest.raises(ValueError, match="Only a transition"):
        NFBlock(8, 4, frequency_stride=2)
    with pytest.raises(ValueError, match="must have 8 channels"):
        NFBlock(8, 4).build((None, 2, 2, 3))


def test_layers_survive_their_configuration():
    for layer in (
        WSConv2D(6, (3, 7), (2, 1), 3, name="a"),
        NFBlock(8, 4, 2, 0.9, True, 2, 0.3, 0.1, "relu", name="b"),
    ):
        copy = type(layer).from_config(layer.get_config())
        assert copy.get_config() == layer.get_config()


def test_weights_stay_in_float32_under_mixed_precision():
    policy = keras.dtype_policies.DTypePolicy("mixed_bfloat16")
    block = NFBlock(8, 4, groups=2, dtype=policy)
    x = np.ones((2, 6, 5, 8), np.float32)
    assert keras.backend.standardize_dtype(block(x).dtype) == "bfloat16"
    assert {weight.dtype for weight in block.weights} == {"float32"}
    assert block.squeeze_excite.reduce.compute_dtype == "float32"
    # A kernel with a large mean survives: its standardisation is not done in bfloat16.
    conv = WSConv2D(8, (3, 3), dtype=policy)
    conv.build((None, 8, 8, 8))
    conv.kernel.assign(1000 + ops.convert_to_numpy(conv.kernel))
    full = WSConv2D(8, (3, 3))
    full.build((None, 8, 8, 8))
    full.set_weights(conv.get_weights())
    x = np.random.default_rng(0).standard_normal((1, 8, 8, 8)).astype(np.float32)
    error = np.abs(np.array(ops.cast(conv(x), "float32")) - np.array(full(x))).max()
    assert error < 0.05
