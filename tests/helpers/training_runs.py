"""A few steps of a small network from golden weights, for the tests that compare them."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

import mar
from helpers import small_records
from helpers.networks import fill_golden
from mar.audio.logmel import LogMel
from mar.data.labelled_pairs import LabelledPairDataset
from mar.data.pipelines import PairDataset, SnippetDataset
from mar.models.layers import (
    NFBlock,
    SpectrogramInput,
    WSConv2D,
    global_average_pool,
    scaled_activation,
)
from mar.models.projectors import with_head
from mar.models.sfnfnet import SfNfNetF0
from mar.optim.adam import ScoochAdam
from mar.optim.average import WeightAverage
from mar.training.objectives import ContrastiveObjective, SupervisedObjective
from mar.training.step import loss_gradients, train_step

BATCH, SEED, FRAMES = 8, 3, 64
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})  # starts sooner
HEAD = {"projector": {"Projector": {"hidden_units": [16]}}, "mixup": {"Mixup": {}}}


# All objectives of pairs, after augmentations of each sort.
JOINT = mar.JointObjective(
    parts=(
        mar.SupervisedContrastiveObjective(dimensions=8),
        mar.SupervisedPairObjective(),
        mar.RelativeObjective(),
    ),
    weights=(1.0, 2.0, 0.1),
    augmentations=(
        mar.OtherTracks(views=("positives",), probability=0.5),
        mar.PitchShift(),
        mar.TimeStretch(probability=0.7),
        mar.Equaliser(),
        mar.BandLimit(probability=0.5),
        mar.Noise(probability=0.5),
        mar.Gain(),
        mar.TimeMask(),
        mar.FrequencyMask(),
        mar.PatchMask(probability=0.5),
    ),
    frames=FRAMES,
    **HEAD,
)


@dataclasses.dataclass(frozen=True)
class Tunes:
    """A source of tracks, each with bands and a rhythm of its own."""

    def read(self, item):
        rng = np.random.default_rng(item["seed"])
        bands = rng.random((1, small_records.N_MELS)) ** 4
        pulse = 1 + np.sin(np.arange(item["frames"])[:, None] / rng.uniform(1, 20))
        noise = rng.random((item["frames"], small_records.N_MELS))
        return (2 * bands * pulse + 0.5 * noise).astype(np.float16)

    def seconds(self, item):
        return item["frames"] / 100


def records(folder, tracks=10):
    """A data set of short tracks."""
    job = small_records.job(range(100, 100 + 30 * tracks, 30))
    small_records.write_here(dataclasses.replace(job, source=Tunes()), folder)
    return str(folder)


def parts(kind, records):
    """Objective and data set."""
    data = {"records": records, "batch_size": BATCH, "snippet_frames": FRAMES}
    if kind == "supervised":
        return SupervisedObjective(**HEAD), SnippetDataset(**data)
    if kind == "joint":
        return JOINT, LabelledPairDataset(**{**data, "snippet_frames": 82})
    objective = ContrastiveObjective(**HEAD, dimensions=8)
    if kind == "hard_negatives":
        data |= {"hard_negatives": 1, "max_centre_distance_seconds": 0.2}
    return objective, PairDataset(**data)


class TwoBlocks(SfNfNetF0):
    """A convolution over all bands and two blocks: for what happens around a network in training.

    It is traced in a fifth of the time that the smallest SF-NFNet-F0 takes.
    """

    def build(self, frames=None, front_end=None, explicit_draws=False):
        front_end = front_end or LogMel()
        bands, channels = (front_end.n_mels, 8), self._scaled(1280)
        spectrogram = keras.Input((front_end.n_mels, frames, 1), name="spectrogram")
        draws = keras.Input((2,), name="draws") if explicit_draws else None
        x = SpectrogramInput(front_end.resolved(), name="input")(spectrogram)
        x = WSConv2D(channels, bands, bands, name="bands")(x)
        for number in range(2):
            rate = self.stochastic_depth * (number + 1) / 2
            block = NFBlock(channels, channels // 2, drop_rate=rate, name=f"block_{number}")
            x = block(x, draws=draws[:, number] if explicit_draws else None)
        embedding = scaled_activation(global_average_pool(x), self.activation)
        inputs = [spectrogram, draws] if explicit_draws else spectrogram
        return keras.Model(inputs, embedding, name="two_blocks")


def short_network():
    """From golden weights; the second residual is dropped for half of the examples."""
    settings = TwoBlocks(width=0.05, stochastic_depth=0.5)
    return fill_golden(settings.build(FRAMES, explicit_draws=True))


def pretraining(objective, dataset, recompute=False):
    """Model and optimizer, from golden weights and a head that depends on nothing.

    Adam's epsilon is large: it would turn the rounding of tiny gradients into whole steps.
    """
    network = short_network()
    for block in network.layers:
        if isinstance(block, NFBlock):
            block.recompute = recompute
    head = objective.projector.build(
        network.output.shape[1], objective.output_size(len(small_records.VOCABULARY))
    )
    rng = np.random.default_rng(0)
    head.set_weights([rng.normal(size=w.shape) / np.sqrt(w.shape[0]) for w in head.weights])
    model = with_head(network, head)
    adam = ScoochAdam(learning_rate=0.01, epsilon=0.01)
    return model, adam.build(variable.value for variable in model.trainable_variables)


def draws(objective, dataset, model, step):
    """Much is dropped."""
    blocks, negatives = model.inputs[1].shape[1], objective.hard_negatives(dataset)
    arrays = objective.draw(SEED, step, BATCH, blocks, negatives)
    return tf.nest.map_structure(tf.constant, arrays)


def gradients(kind, records, microbatch=None, recompute=False):
    """Loss, measures and gradients of one step on one device."""
    objective, dataset = parts(kind, records)
    model, _ = pretraining(objective, dataset, recompute)
    batch = {name: tf.constant(part) for name, part in dataset.read(SEED, 0).items()}

    @tf.function(autograph=False)
    def compiled(batch, draws):
        return loss_gradients(model, objective, batch, draws, batch, microbatch)

    return compiled(batch, draws(objective, dataset, model, 0))


def train(strategy, kind, records, microbatch=None, steps=5):
    """Runs some steps under a strategy.

    Returns:
        NumPy arrays by name: each measure by step; the final `weights`, and their `average`; by how
        much they `moved`.
    """
    objective, dataset = parts(kind, records)
    with strategy.scope():
        model, optimizer = pretraining(objective, dataset, recompute=kind == "joint")
        average = WeightAverage(0.5, [variable.value for variable in model.weights])
    start = _weights(model)

    def replica_step(batch, draws, number):
        return train_step(model, optimizer, objective, batch, draws, number, microbatch, average)

    @tf.function(autograph=False)
    def run_step(batch, draws, number):
        measures = strategy.run(replica_step, (batch, draws, number))
        return {k: strategy.experimental_local_results(v)[-1] for k, v in measures.items()}

    batches = iter(
        strategy.distribute_datasets_from_function(lambda context: dataset.build(context, SEED))
    )
    history = {}
    for number in range(steps):
        of_step = draws(objective, dataset, model, number)
        measures = run_step(next(batches), of_step, tf.constant(number, tf.int64))
        for name, value in measures.items():
            history.setdefault(name, []).append(float(value))
    weights = _weights(model)
    with average.in_place():
        averages = _weights(model)
    np.testing.assert_array_equal(_weights(model), weights)
    moved = np.linalg.norm(weights - start)
    return {**history, "weights": weights, "average": averages, "moved": moved}


def _weights(model):
    return np.concatenate([np.ravel(weight) for weight in model.get_weights()])


def logical_cpus(count):
    """Divides the CPU; before TensorFlow's first operation."""
    devices = [tf.config.LogicalDeviceConfiguration()] * count
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)


def assert_equal_runs(one, other):
    """Losses and what else is logged, and weights, of two runs of `train`."""
    assert one.keys() == other.keys()
    for name in one.keys() - {"weights", "average", "moved"}:
        np.testing.assert_allclose(other[name], one[name], rtol=2e-4, atol=1e-5, err_msg=name)
    assert one["moved"] > 0.01
    for name in ("weights", "average"):
        assert np.linalg.norm(one[name] - other[name]) < 1e-3 * one["moved"], name
