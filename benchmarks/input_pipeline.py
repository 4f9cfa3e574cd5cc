"""Whether training waits for its data: the loop with a network that costs nothing, beside its data.

    python benchmarks/input_pipeline.py [--batch 512] [--steps 200] [--rounds 3]

Makes the data set of `benchmarks/records.py` (files cached), and takes turns, for snippets and for
pairs: batches are drawn from the pipeline and dropped; the trainer's own loop takes them, with all
that it does between two batches but the network. Prints the median snippets/s of both, and the
share of the pipeline's own rate that the loop keeps: 65 to 75 % on two cores, which the loop and
the pipeline share. That is enough, since a network takes far longer for a batch than is lost.
"""

import pathlib
import tempfile
import time

import keras
import numpy as np
from absl import app, flags
from keras import ops

import records
from mar.models.layers import SpectrogramInput
from mar.models.sfnfnet import SfNfNetF0
from mar.training import history, model_card
from mar.training.objectives import ContrastiveObjective, SupervisedObjective
from mar.training.trainer import Trainer

FLAGS = flags.FLAGS
flags.DEFINE_integer("batch", 512, "Examples of a step.")
flags.DEFINE_integer("steps", 200, "Steps of a round.")
flags.DEFINE_integer("rounds", 3, "Rounds of each.")
LOG_EVERY = 20


class Stub(SfNfNetF0):
    """A network of one weight a mel band."""

    def build(self, frames=None, front_end=None, explicit_draws=False):
        spectrogram = keras.Input((front_end.n_mels, None, 1), name="spectrogram")
        draws = keras.Input((1,), name="draws")
        x = SpectrogramInput(front_end.resolved(), name="input")(spectrogram)
        x = keras.layers.Dense(8)(x[:, :, 0, 0])
        return keras.Model([spectrogram, draws], x)


class OnlyTheLoop:
    """Looks at the first frame of each snippet alone, and has one output and the simplest loss.

    Whatever the device computes here, it computes on the cores that the data needs.
    """

    def output_size(self, labels):
        return 1

    def outputs(self, model, batch, draws, global_batch):
        outputs = []
        for view in self.views:
            first = ops.swapaxes(batch[view][:, :1], 1, 2)[..., None]
            outputs.append(model([ops.cast(first, "float32"), draws[view]["depth"]]))
        return ops.stack(outputs, axis=1)

    def loss(self, outputs, batch, draws, global_batch):
        return ops.mean(ops.square(outputs)), {}

    def from_means(self, means):
        return means


class StubSupervised(OnlyTheLoop, SupervisedObjective):
    pass


class StubContrastive(OnlyTheLoop, ContrastiveObjective):
    pass


def loop_rates(trainer):
    """Snippets/s of the trainer's loop, every `LOG_EVERY` steps."""
    model_card.write = lambda *_: None  # which is not the loop
    with tempfile.TemporaryDirectory() as folder:
        trainer.run(folder)
        found = [r.get("snippets_per_second") for r in history.read(pathlib.Path(folder))]
    return list(filter(None, found))[1:]


def pipeline_rates(trainer):
    """Snippets/s of the pipeline alone."""
    batches = iter(trainer.dataset.build(seed=1))
    next(batches)
    rates = []
    for _ in range(FLAGS.steps // LOG_EVERY):
        start = time.perf_counter()
        for _ in range(LOG_EVERY):
            next(batches)
        snippets = LOG_EVERY * FLAGS.batch * len(trainer.objective.views)
        rates.append(snippets / (time.perf_counter() - start))
    return rates[1:]


def main(_):
    folder = records.data_set(pathlib.Path(FLAGS.folder) / "cached")
    for objective, dataset in (
        ("StubSupervised", "SnippetDataset"),
        ("StubContrastive", "PairDataset"),
    ):
        trainer = Trainer(
            model={"Stub": {}},
            objective={objective: {"projector": {"Projector": {"hidden_units": []}}}},
            dataset={dataset: {"records": str(folder), "batch_size": FLAGS.batch}},
            optimizer={"ScoochAdam": {}},
            steps=FLAGS.steps,
            log_every=LOG_EVERY,
            checkpoint_every=10 * FLAGS.steps,
        )
        rates = {"pipeline": [], "loop": []}
        for _ in range(FLAGS.rounds):
            rates["pipeline"] += pipeline_rates(trainer)
            rates["loop"] += loop_rates(trainer)
        alone, loop = (float(np.median(rates[name])) for name in ("pipeline", "loop"))
        print(f"{dataset}: pipeline {alone:,.0f}, loop {loop:,.0f} snippets/s, {loop / alone:.0%}")
    print("65 to 75 % on two cores is enough: a network takes far longer for a batch than is lost")


if __name__ == "__main__":
    app.run(main)
