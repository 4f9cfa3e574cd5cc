"""The one training loop, on the public `tf.distribute` API."""

import contextlib
import logging
import math
import pathlib
import signal
import threading
import time

import keras
import tensorflow as tf

from mar.audio.logmel import LogMel
from mar.errors import ConfigError, InputError
from mar.models.heads import with_head
from mar.models.layers import NFBlock
from mar.models.released import load_model
from mar.models.saving import front_end
from mar.training import distribution, products
from mar.training.adam import FusedAdam
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
        self.trainer, self.folder = trainer, pathlib.Path(folder)
        self.strategy = distribution.strategy(trainer.strategy, trainer.device)
        self.chief = distribution.is_chief(self.strategy)
        self._check_batch()
        if self.chief:
            if fresh:
                _set_aside(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
        self._build()
        self.checkpoints = Checkpoints(
            self.folder / "checkpoints",
            trainer.keep,
            self.step.model,
            self.step.adam,
            trainer.facts(),
            self.chief,
        )
        self.signal = None

    def go(self):
        """Trains to the end, or to a signal, which is returned."""
        trainer = self.trainer
        done = self.checkpoints.restore()
        if done == 0 and trainer.initial_weights is not None:
            self._start_from(trainer.initial_weights)
        if self.chief:
            trainer.write(self.folder / CONFIGURATION)
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
            products.write(trainer, self.network, self.folder, distribution.hardware(self.strategy))
        return None

    def _train(self, done, logs):
        """Trains from a step on; returns whether to the end."""
        trainer, total = self.trainer, self.trainer.total_steps
        batches = iter(self._batches(trainer.dataset, done))
        measures, stopped, timer = None, False, _Timer(done)
        while done < total and not stopped:
            previous, measures = measures, self._step(next(batches), done)
            if previous is not None:  # read while the device is at work on this step
                stopped = self._read(done, previous)["signalled"] > 0
            done += 1
            logs.advance()
            last = stopped or done == total
            if last or done % trainer.log_every == 0:
                values = self._read(done, measures)
                del values["signalled"]
                logs.train(done, trainer.objective.finished(values), timer.step_seconds(done))
            if trainer.validation is not None and (
                done == total or done % trainer.validate_every == 0
            ):
                self._validate(done, logs)
                timer = _Timer(done)
            if last or done % trainer.checkpoint_every == 0:
                self._read(done, measures)
                self.checkpoints.save(done)
        return done == total

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
            views = len(trainer.objective.views)
            depth = tf.ones((tf.shape(batch[0])[0], views, self.blocks))
            outputs = trainer.objective.outputs(model, (batch, {"depth": depth}), batch)
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
        trainer = self.trainer
        batches = iter(self._batches(trainer.validation))
        outputs = (
            [part.numpy() for part in self._outputs(next(batches))]
            for _ in range(trainer.validation.steps)
        )
        scores = trainer.objective.scores(outputs)
        logs.validation(done, scores)
        if trainer.objective.criterion in scores:
            self.checkpoints.save_best(done, scores[trainer.objective.criterion])

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
        return LogMel(self.trainer.dataset.manifest.header.front_end)

    def _start_from(self, source):
        model = load_model(source)
        if front_end(model).resolved() != self._front_end().resolved():
            raise ConfigError(
                f"Trainer.initial_weights: {source} expects another front end than that of "
                f"{self.trainer.dataset.records}; write the records with the model's "
                "(configs/records/mule.yaml for the published weights)"
            )
        ours, theirs = ({w.path: w for w in m.weights} for m in (self.network, model))
        for path in {**ours, **theirs}:
            shapes = [tuple(w[path].shape) if path in w else None for w in (ours, theirs)]
            if shapes[0] != shapes[1]:
                raise ConfigError(
                    f"Trainer.initial_weights: {source} has another architecture: expected {path} "
                    f"of shape {shapes[0]}, got {shapes[1]}"
                )
        for path, weight in ours.items():
            weight.assign(theirs[path])

    def _check_batch(self):
        dataset, replicas = self.trainer.dataset, self.strategy.num_replicas_in_sync
        if len(dataset.tracks) < dataset.batch_size:
            logging.getLogger("mar").warning(
                "%s: %d tracks for a batch of %d: tracks come more than once in a batch",
                *(dataset.records, len(dataset.tracks), dataset.batch_size),
            )
        rows, microbatch = dataset.batch_size // replicas, self.trainer.microbatch
        if dataset.batch_size % replicas == 0 and microbatch is not None and rows % microbatch:
            fitting = [m for m in range(1, rows + 1) if rows % m == 0]
            nearest = min(fitting, key=lambda m: abs(m - microbatch))
            raise ConfigError(
                f"Trainer.microbatch: expected a divisor of the {rows} rows of each of the "
                f"{replicas} replicas, such as {nearest}, got {microbatch}"
            )

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


class _Timer:
    """Seconds per step since it was last asked; the first step, which compiles, does not count."""

    def __init__(self, done):
        self._done, self._since = done, time.monotonic()

    def step_seconds(self, done):
        now = time.monotonic()
        seconds = (now - self._since) / max(done - self._done, 1)
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


def _set_aside(folder):
    """Moves all of an earlier run to `previous-N/`."""
    contents = [p for p in folder.glob("*") if not p.name.startswith("previous-")]
    if contents:
        number = 1 + len(list(folder.glob("previous-*")))
        aside = folder / f"previous-{number}"
        aside.mkdir()
        for path in contents:
            path.rename(aside / path.name)
