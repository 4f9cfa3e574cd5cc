"""The one training loop, on the public `tf.distribute` API."""

import contextlib
import math
import pathlib
import signal
import threading
import time

import keras
import numpy as np
import tensorflow as tf

from mar.audio.logmel import LogMel
from mar.errors import InputError
from mar.models.layers import NFBlock
from mar.models.projectors import with_head
from mar.optim.fused_adam import FusedAdam
from mar.training import distribution, model_card, start
from mar.training.checkpoints import Checkpoints
from mar.training.logs import Logs
from mar.training.step import TrainingStep

CONFIGURATION = "configuration.yaml"


class Run:
    """A trainer at work in a folder.

    Args:
        trainer: the `Trainer`.
        folder: of the run.
        fresh: whether an earlier run in it is set aside.
    """

    def __init__(self, trainer, folder, fresh=False):
        self.trainer, self.folder, self.fresh = trainer, pathlib.Path(folder), fresh
        self.strategy = distribution.strategy(trainer.strategy, trainer.device)
        self.chief = distribution.is_chief(self.strategy)
        self.signal = None
        start.check_batches(trainer, self.strategy.num_replicas_in_sync)
        self._build()

    def go(self):
        """Trains to the end, or to a signal, which is returned."""
        trainer = self.trainer
        done = self._begin()
        logs = Logs(
            self.folder,
            done,
            trainer.total_steps,
            trainer.dataset.batch_size,
            len(trainer.objective.views),
            self.chief,
        )
        with contextlib.closing(logs), self._caught_signals():
            finished = self._train(done, logs)
        if not finished:
            return self.signal or signal.SIGTERM  # which another worker may have received
        if self.chief:
            model_card.write(
                trainer, self.network, self.folder, distribution.hardware(self.strategy)
            )
        return None

    def _begin(self):
        """Takes up weights and checkpoints; returns the step to begin with."""
        trainer, folder = self.trainer, self.folder / "checkpoints"
        anew = self.fresh or tf.train.latest_checkpoint(folder) is None
        if anew and trainer.initial_weights is not None:
            start.warm_start(self.network, trainer.initial_weights, trainer.dataset)
        if self.chief:
            if self.fresh:
                start.set_aside(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
        self._of_all_replicas(0)  # until the chief is there
        model, adam = self.step.model, self.step.adam
        self.checkpoints = Checkpoints(
            folder, trainer.keep, model, adam, trainer.facts(), self.chief
        )
        done = self.checkpoints.restore()
        if len(set(self._of_all_replicas(done))) > 1:
            raise InputError(
                f"{folder}: expected the same checkpoints in all workers, got those of steps "
                f"{self._of_all_replicas(done)}; is --output on a file system that they share?"
            )
        if self.chief:
            trainer.write(self.folder / CONFIGURATION)
        return done

    def _train(self, done, logs):
        """Trains from a step on; returns whether to the end.

        A checkpoint is that of before the step's validation, which is gone through again when the
        run is resumed: nothing depends on how long it takes.
        """
        trainer, total = self.trainer, self.trainer.total_steps
        batches = iter(self._batches(trainer.dataset, done))
        measures, stopped, timer = None, False, None
        if self._is_validated(done):
            self._validate(done, logs)
        while done < total and not stopped:
            previous, measures = measures, self._step(next(batches), done)
            if previous is not None:  # read while the device is at work on this step
                stopped = self._read(done, previous)["signalled"] > 0
            done += 1
            logs.advance()
            timer = timer or _Timer(done)
            last = stopped or done == total
            if last or done % trainer.log_every == 0:
                values = self._read(done, measures)
                del values["signalled"]
                logs.train(done, trainer.objective.finished(values), timer.step_seconds(done))
            if last or self._is_validated(done) or done % trainer.checkpoint_every == 0:
                self._read(done, measures)
                self.checkpoints.save(done)
            if self._is_validated(done) and not stopped:
                self._validate(done, logs)
                timer = _Timer(done)
        return not stopped

    def _is_validated(self, done):
        trainer = self.trainer
        due = done > 0 and done % trainer.validate_every == 0
        return trainer.validation is not None and (due or done == trainer.total_steps)

    def _build(self):
        """Network, head, optimizer and the compiled functions."""
        trainer, strategy = self.trainer, self.strategy
        if not tf.config.get_visible_devices("GPU"):
            # On a CPU it costs far more than it gains: benchmarks/train_step.py.
            tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
        keras.utils.set_random_seed(trainer.seed)
        with strategy.scope(), _precision(trainer.precision):
            self.network = trainer.model.build(
                trainer.dataset.snippet_frames, self._front_end(), explicit_draws=True
            )
            head = trainer.objective.projector.build(
                self.network.output.shape[1], trainer.objective.output_size(trainer.dataset)
            )
            model = with_head(self.network, head)
            variables = [variable.value for variable in model.trainable_variables]
            adam = FusedAdam(trainer.optimizer, variables)
        self.step = TrainingStep(trainer.objective, model, adam, trainer.microbatch)
        self.blocks = sum(isinstance(layer, NFBlock) for layer in self.network.layers)

        def replica_step(batch, draws, number, signalled):
            context = tf.distribute.get_replica_context()
            measures = self.step(batch, draws, number)
            total = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(signalled))
            return {**measures, "signalled": total}

        def replica_outputs(batch):
            """Outputs, and labels if there are any, of all replicas."""
            views, rows = len(trainer.objective.views), tf.shape(batch[0])[0]
            # Of a last batch, some replicas have nothing; convolutions want at least a row.
            snippets = [_at_least_one(part) for part in batch[:views]]
            depth = tf.ones((tf.maximum(rows, 1), views, self.blocks))
            outputs = trainer.objective.outputs(model, (snippets, {"depth": depth}), snippets)
            outputs = outputs[:rows]
            context = tf.distribute.get_replica_context()
            if context.num_replicas_in_sync == 1:
                return outputs, *batch[views:]
            parts = map(tf.identity, (outputs, *batch[views:]))
            return tuple(context.all_gather(part, axis=0) for part in parts)

        @tf.function(autograph=False)
        def train_step(*arguments):
            return self._local(strategy.run(replica_step, arguments))

        @tf.function(
            autograph=False, reduce_retracing=True
        )  # the last batch of a validation is smaller
        def outputs(batch):
            return self._local(strategy.run(replica_outputs, (batch,)))

        self._train_step, self._outputs = train_step, outputs

    def _step(self, batch, done):
        size = self.trainer.dataset.batch_size
        draws = self.trainer.objective.draw(self.trainer.seed, done, size, self.blocks)
        signalled = tf.constant(0.0 if self.signal is None else 1.0)
        draws = tf.nest.map_structure(tf.constant, draws)
        return self._train_step(batch, draws, tf.constant(done, tf.int64), signalled)

    def _read(self, done, measures):
        """Measures as numbers; a loss or gradient that is not finite ends the run."""
        values = {name: float(value) for name, value in measures.items()}
        for name in ("loss", "gradient_norm"):
            if not math.isfinite(values[name]):
                raise InputError(
                    f"{name}: expected a finite number, got {values[name]} in step {done}; the "
                    f"last good checkpoint is {self.checkpoints.latest}; a lower learning rate "
                    "may help, or python -m tfrecord_tools.verify on the records"
                )
        return values

    def _validate(self, done, logs):
        objective = self.trainer.objective
        scores = objective.scores(self._validation_outputs())
        logs.validation(done, scores)
        if objective.criterion in scores:
            self.checkpoints.save_best(done, scores[objective.criterion])

    def _validation_outputs(self):
        dataset = self.trainer.validation
        batches = iter(self._batches(dataset))
        for _ in range(dataset.steps):
            outputs, *labels = (part.numpy() for part in self._outputs(next(batches)))
            if not np.isfinite(outputs).all():
                raise InputError(
                    f"Trainer.validation: expected finite outputs, got others for {dataset.records}"
                    f"; the last good checkpoint is {self.checkpoints.latest}; python -m "
                    "tfrecord_tools.verify tells whether the records are sound"
                )
            yield outputs, *labels

    def _batches(self, dataset, first_step=0):
        return self.strategy.distribute_datasets_from_function(
            lambda context: dataset.build(context, self.trainer.seed, first_step)
        )

    def _local(self, values):
        """Of what is the same in all replicas, the first."""
        return tf.nest.map_structure(
            lambda value: self.strategy.experimental_local_results(value)[0], values
        )

    def _front_end(self):
        return LogMel.from_config(self.trainer.dataset.manifest.header.front_end)

    def _of_all_replicas(self, number):
        """A whole number of this process, as those of all replicas: waits for all processes."""

        def gathered():
            context = tf.distribute.get_replica_context()
            return context.all_gather(tf.constant([number]), axis=0)

        gather = tf.function(lambda: self._local(self.strategy.run(gathered)), autograph=False)
        return gather().numpy().tolist()

    @contextlib.contextmanager
    def _caught_signals(self):
        """The first SIGINT or SIGTERM is noted; the second has its usual effect."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def restore():
            for number, handler in before.items():
                signal.signal(number, handler)

        def note(number, _):
            self.signal = signal.Signals(number)
            restore()

        for number in before:
            signal.signal(number, note)
        try:
            yield
        finally:
            restore()


def _at_least_one(rows):
    """The rows, and a row of zeros where there is none."""
    missing = tf.maximum(1 - tf.shape(rows)[0], 0)
    return tf.pad(rows, [[0, missing], *[[0, 0]] * (rows.shape.rank - 1)])


class _Timer:
    """Seconds per step since it was last asked, or since it was made, after a first step: that one
    compiles.
    """

    def __init__(self, done):
        self._done, self._since = done, time.monotonic()

    def step_seconds(self, done):
        """None where no step was taken since."""
        if done == self._done:
            return None
        now = time.monotonic()
        seconds = (now - self._since) / (done - self._done)
        self._done, self._since = done, now
        return seconds


@contextlib.contextmanager
def _precision(name):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy({"float32": "float32", "bfloat16": "mixed_bfloat16"}[name])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
