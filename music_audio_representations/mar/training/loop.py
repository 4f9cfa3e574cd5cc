"""The loop of a run: steps, and what is looked at between them."""

import contextlib
import dataclasses
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import keras
import tensorflow as tf

from mar.optim.average import WeightAverage
from mar.optim.fused_adam import FusedAdam
from mar.training import distribution, validation
from mar.training.checkpoints import Checkpoints
from mar.training.failures import finite
from mar.training.logs import Logs
from mar.training.signals import caught_signals
from mar.training.step import compiled_step

if TYPE_CHECKING:
    from mar.training.trainer import Trainer


class Look(NamedTuple):
    """Something that is done after every so many steps, and after the last: a function of them."""

    every: int
    at: Callable[[int], None]


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run holds while it is at work; `model` is `network` with the head on it."""

    trainer: "Trainer"
    strategy: tf.distribute.Strategy
    network: keras.Model
    model: keras.Model
    optimizer: FusedAdam
    average: WeightAverage | None
    saved: Checkpoints
    logs: Logs

    def train(self, done: int) -> signal.Signals | None:
        """Takes the steps from `done` on; returns the signal that ended them early, or None.

        A checkpoint is that of before what is looked at after its step, which is gone through again
        when the run is resumed: nothing depends on how long it takes.
        """
        trainer, total = self.trainer, self.trainer.total_steps
        take_step = compiled_step(
            *(self.strategy, self.model, self.optimizer, trainer.objective),
            *(trainer.microbatch, self.average),
        )
        looks = list(self._looks())
        batches = iter(distribution.batches(self.strategy, trainer.dataset, trainer.seed, done))
        measures, stopped = None, False
        with caught_signals() as caught:
            self._look(looks, done)
            while done < total and not stopped:
                batch, draws = next(batches), self._draws(done)
                previous = measures
                measures = take_step(batch, draws, done, caught.received is not None)
                if previous is not None:  # read while the device is at work on this step
                    stopped = finite(previous, done, self.saved.latest)["signalled"] > 0
                done += 1
                self.logs.advance()
                last = stopped or done == total
                if last or done % trainer.log_every == 0:
                    means = finite(measures, done, self.saved.latest)
                    del means["signalled"]
                    self.logs.train(done, trainer.objective.from_means(means))
                if last or self._due(looks, done) or done % trainer.checkpoint_every == 0:
                    finite(measures, done, self.saved.latest)
                    self.saved.save(done)
                if not stopped:
                    self._look(looks, done)
        if stopped:
            return caught.received or signal.SIGTERM  # which another worker may have received
        return None

    def as_it_will_be(self) -> contextlib.AbstractContextManager:
        """Within it, the model has the weights that are exported: their average, if any."""
        return contextlib.nullcontext() if self.average is None else self.average.in_place()

    def _draws(self, step):
        dataset, objective = self.trainer.dataset, self.trainer.objective
        blocks, negatives = self.model.inputs[1].shape[1], objective.hard_negatives(dataset)
        return objective.draw(self.trainer.seed, step, dataset.batch_size, blocks, negatives)

    def _due(self, looks, done):
        """Those that come after so many steps."""
        last = done == self.trainer.total_steps
        return [look for look in looks if last or (done > 0 and done % look.every == 0)]

    def _look(self, looks, done):
        for look in self._due(looks, done):
            look.at(done)

    def _looks(self) -> Iterator[Look]:
        """Validation, and the probe."""
        trainer = self.trainer
        if trainer.validation is not None:
            score = validation.scorer(
                self.strategy, self.model, trainer.objective, trainer.validation
            )
            yield Look(trainer.validate_every, lambda done: self._validate(score, done))
        if trainer.probe is not None:
            probe = trainer.probe.scorer(self.strategy, self.network)
            yield Look(trainer.probe.every, lambda done: self._probe(probe, done))

    def _validate(self, score, done):
        with self.as_it_will_be():
            scores = score(self.saved.latest)
        if scores:  # nothing may be known of what it is validated on, or be told from anything
            self.logs.scores(done, "validation", scores)
        criterion = self.trainer.objective.criterion
        if criterion in scores:
            self.saved.save_best(done, scores[criterion])

    def _probe(self, probe, done):
        with self.as_it_will_be():
            scores = probe()
        self.logs.scores(done, "probe", scores)
