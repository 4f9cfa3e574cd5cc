"""Pre-training: what it is configured by, its loop, and its step."""

import contextlib
import json
import os
import pathlib
import signal
from collections.abc import Callable, Iterator
from typing import Any, Literal

import keras
import tensorflow as tf

from mar.audio.logmel import LogMel
from mar.config import Configurable, Param
from mar.data.pipelines import RecordDataset
from mar.errors import ConfigError
from mar.models.projectors import with_head
from mar.models.runs import CHECKPOINTS
from mar.models.sfnfnet import SfNfNetF0, untrained
from mar.optim.adam import ScoochAdam
from mar.optim.fused_adam import FusedAdam
from mar.training import checkpoints, checks, distribution, grad_cache, model_card, validation
from mar.training.checkpoints import Checkpoints
from mar.training.failures import explained, finite
from mar.training.logs import Logs
from mar.training.objectives import Objective
from mar.training.signals import caught_signals
from mar.util.atomic import make_folder
from mar.util.backends import require_tensorflow
from mar.util.kinds import NonNegativeInt, PositiveInt
from mar.util.lock import FolderLock

CONFIGURATION = "configuration.yaml"

# What may change while a run is interrupted: nothing of it changes the batches or the updates.
_FREE = (
    "strategy",
    "device",
    "microbatch",
    "log_every",
    "validate_every",
    "checkpoint_every",
    "keep",
    "validation",
    "initial_weights",
)


class Trainer(Configurable):
    """Pre-trains a network (paper, section 2). It describes a run; `run` opens the records."""

    model: SfNfNetF0 = Param(default=SfNfNetF0(), doc="The network.")
    objective: Objective = Param(doc="What it learns.")
    dataset: RecordDataset = Param(doc="What it learns from.")
    validation: RecordDataset | None = Param(
        default=None, doc="What it is tested on; null: nothing."
    )
    optimizer: ScoochAdam = Param(doc="How the loss is minimised.")
    steps: NonNegativeInt | None = Param(
        default=None,
        doc="Training steps; null: the schedule's length; 0 leaves the untrained network.",
    )
    seed: NonNegativeInt = Param(
        default=0, doc="Of the initial weights, the batches and all draws."
    )
    strategy: Literal["one_device", "mirrored", "multi_worker"] = Param(
        default="one_device",
        doc="one_device; mirrored: all GPUs of this machine; multi_worker: TF_CONFIG's machines.",
    )
    device: Literal["auto", "gpu", "cpu"] = Param(
        default="auto", doc="gpu demands one; cpu avoids it."
    )
    precision: Literal["float32", "bfloat16"] = Param(
        default="float32", doc="Of activations; weights: float32."
    )
    microbatch: PositiveInt | None = Param(
        default=None,
        doc="Rows of a replica's batch whose activations are held at a time; null: all. The result "
        "is the same.",
    )
    initial_weights: str | None = Param(
        default=None, doc="Model to start from, as mar.load_model takes it."
    )
    log_every: PositiveInt = Param(default=20, doc="Steps between two lines of metrics.jsonl.")
    validate_every: PositiveInt = Param(default=2000, doc="Steps between two validations.")
    checkpoint_every: PositiveInt = Param(default=1000, doc="Steps between two checkpoints.")
    keep: PositiveInt = Param(default=3, doc="Number of the latest checkpoints that stay.")

    def __post_init__(self) -> None:
        if self.steps is None and self.optimizer.schedule is None:
            raise ConfigError("Trainer.steps: expected a number, since there is no schedule")
        checks.check_datasets(self)

    def run(self, folder: str | os.PathLike[str], fresh: bool = False) -> signal.Signals | None:
        """Trains, or resumes what was interrupted.

        SIGINT and SIGTERM let it write a checkpoint and return; a second one has its usual effect.

        Args:
            folder: of the run: `checkpoints/`, `metrics.jsonl`, `tensorboard/`,
                `configuration.yaml`; at the end also `model.keras`, `best.keras` (by validation),
                `saved_model/`, `model_card.md`, `model_card.json`, `loss.png`.
            fresh: whether to set an earlier run in this folder aside, as `previous-1/`.

        Returns:
            The signal that ended it early, or None.

        Raises:
            ConfigError, InputError: what is wrong, before the first step where that can be known;
                another process trains into the folder; a loss that is not finite; a checkpoint that
                cannot be written.
        """
        require_tensorflow("training")
        folder = pathlib.Path(folder)
        checks.check_records(self)
        with explained(folder / CHECKPOINTS):
            strategy = distribution.strategy(self.strategy, self.device)
            checks.check_batches(self, strategy.num_replicas_in_sync)
            chief = distribution.is_chief(strategy)
            with _written_by(folder) if chief else contextlib.nullcontext() as lock:
                return self._run(strategy, folder, fresh, lock)

    def _run(
        self,
        strategy: tf.distribute.Strategy,
        folder: pathlib.Path,
        fresh: bool,
        lock: FolderLock | None,
    ) -> signal.Signals | None:
        """As `run`, in a folder that no other run writes into; the chief alone has its lock."""
        checkpoint_folder = folder / CHECKPOINTS
        chief = lock is not None
        with strategy.scope():
            network, model = self.build()
            optimizer = self.optimizer.build(v.value for v in model.trainable_variables)
        anew = fresh or tf.train.latest_checkpoint(checkpoint_folder) is None
        if anew and self.initial_weights is not None:
            checkpoints.warm_start(network, self.initial_weights)
        if chief and fresh:
            checkpoints.set_aside(folder)
        distribution.of_all_replicas(strategy, 0)  # until the chief is there
        saved = Checkpoints(checkpoint_folder, self.keep, model, optimizer, self.facts(), lock)
        done = saved.restore()
        checks.check_workers(checkpoint_folder, distribution.of_all_replicas(strategy, done))
        if chief:
            self.write(folder / CONFIGURATION)

        views = len(self.objective.views) + self.objective.hard_negatives(self.dataset)
        logs = Logs(folder, done, self.total_steps, self.dataset.batch_size, views, chief)
        with contextlib.closing(logs):
            stopped_by = self._train(strategy, model, optimizer, saved, logs, done)
        if chief and stopped_by is None:
            model_card.write(self, network, folder, distribution.hardware(strategy))
        return stopped_by

    def build(self) -> tuple[keras.Model, keras.Model]:
        """The untrained network, and the model that is trained: the network with the head on it.

        To be called under the strategy's scope. Opens the records, whose front end the network has.
        """
        front_end = LogMel.from_config(self.dataset.manifest.header.front_end)
        outputs = self.objective.output_size(self.dataset)
        with _precision(self.precision):
            network = untrained(
                *(self.model, self.dataset.snippet_frames, front_end, self.seed),
                explicit_draws=True,
            )
            head = self.objective.projector.build(network.output.shape[1], outputs)
            return network, with_head(network, head)

    def _train(
        self,
        strategy: tf.distribute.Strategy,
        model: keras.Model,
        optimizer: FusedAdam,
        saved: Checkpoints,
        logs: Logs,
        done: int,
    ) -> signal.Signals | None:
        """Takes the steps from `done` on; returns the signal that ended them early, or None.

        A checkpoint is that of before the step's validation, which is gone through again when the
        run is resumed: nothing depends on how long it takes.
        """
        take_step = compiled_step(strategy, model, optimizer, self.objective, self.microbatch)
        validate = self._validation(strategy, model, saved, logs)
        batches = iter(distribution.batches(strategy, self.dataset, self.seed, done))
        size, blocks = self.dataset.batch_size, model.inputs[1].shape[1]
        negatives = self.objective.hard_negatives(self.dataset)
        measures, stopped = None, False
        with caught_signals() as caught:
            if self._is_validated(done):
                validate(done)
            while done < self.total_steps and not stopped:
                batch = next(batches)
                draws = self.objective.draw(self.seed, done, size, blocks, negatives)
                previous = measures
                measures = take_step(batch, draws, done, caught.received is not None)
                if previous is not None:  # read while the device is at work on this step
                    stopped = finite(previous, done, saved.latest)["signalled"] > 0
                done += 1
                logs.advance()
                last = stopped or done == self.total_steps
                if last or done % self.log_every == 0:
                    means = finite(measures, done, saved.latest)
                    del means["signalled"]
                    logs.train(done, self.objective.from_means(means))
                if last or self._is_validated(done) or done % self.checkpoint_every == 0:
                    finite(measures, done, saved.latest)
                    saved.save(done)
                if self._is_validated(done) and not stopped:
                    validate(done)
        if stopped:
            return caught.received or signal.SIGTERM  # which another worker may have received
        return None

    def _is_validated(self, done):
        due = done > 0 and done % self.validate_every == 0
        return self.validation is not None and (due or done == self.total_steps)

    def _validation(self, strategy, model, saved, logs) -> Callable[[int], None]:
        """A function that validates after so many steps."""
        if self.validation is None:
            return lambda done: None
        score = validation.scorer(strategy, model, self.objective, self.validation)

        def validate(done):
            scores = score(saved.latest)
            logs.validation(done, scores)
            if self.objective.criterion in scores:
                saved.save_best(done, scores[self.objective.criterion])

        return validate

    @property
    def total_steps(self) -> int:
        """Training steps."""
        if self.steps is not None:
            return self.steps
        assert self.optimizer.schedule is not None  # `__post_init__` expects one of the two
        return self.optimizer.schedule.steps

    def facts(self) -> dict[str, Any]:
        """What a run that is resumed must have in common with the one before."""
        settings = {k: v for k, v in self.resolved()["Trainer"].items() if k not in _FREE}
        (dataset,) = settings["dataset"].values()
        manifest = self.dataset.manifest
        dataset.pop("records")  # which may have moved
        data = {
            "tracks": len(manifest),
            "frames": int(manifest.frames.sum()),
            "labels": {name: at for at, name in enumerate(manifest.header.vocabulary)},
            "front_end": manifest.header.front_end,
        }
        settings["steps"] = self.total_steps
        return json.loads(json.dumps({"configuration": settings, "data": data}))


def train_step(
    model: keras.Model,
    optimizer: FusedAdam,
    objective: Objective,
    batch: dict[str, tf.Tensor],
    draws: dict[str, dict[str, tf.Tensor]],
    step: tf.Tensor,
    microbatch: int | None = None,
) -> dict[str, tf.Tensor]:
    """Forward, backward, update: the same in each replica of any strategy.

    Gradients are those of the mean loss of the global batch.

    Args:
        model: as `mar.models.projectors.with_head` returns it.
        optimizer: of the model's trainable variables.
        objective: what is learnt.
        batch: `(n, …)` by name, this replica's part of what the data set yields.
        draws: `(N, …)`, for all of the batch, as `Objective.draw` returns them.
        step: int64 scalar, 0 for the first.
        microbatch: rows of a replica's batch whose activations are held at a time; None: all.

    Returns:
        float32 scalars by name, the same in every replica: `loss`, what the objective measures,
        `learning_rate` and `gradient_norm`.
    """
    draws, global_batch = distribution.shares(batch, draws)
    loss, measures, gradients = loss_gradients(
        model, objective, batch, draws, global_batch, microbatch
    )
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync > 1:
        gradients = context.all_reduce(tf.distribute.ReduceOp.MEAN, gradients)
    scalars = tf.stack([loss, *measures.values()])
    means = tf.unstack(context.all_reduce(tf.distribute.ReduceOp.MEAN, scalars))
    rate, *powers = optimizer.coefficients(step)
    optimizer.apply(gradients, rate, *powers)
    return {
        **dict(zip(["loss", *measures], means, strict=True)),
        "learning_rate": rate,
        "gradient_norm": tf.linalg.global_norm(gradients),
    }


def loss_gradients(
    model: keras.Model,
    objective: Objective,
    batch: dict[str, tf.Tensor],
    draws: dict[str, dict[str, tf.Tensor]],
    global_batch: dict[str, tf.Tensor],
    microbatch: int | None = None,
) -> grad_cache.Gradients:
    """Loss, what else is measured, and gradients of a replica's rows of a batch.

    Args:
        draws: those rows of `train_step`'s; the other arguments are its own.
        global_batch: `(N, …)` by name, from which mixup takes partners.
    """

    def forward(rows: tuple[dict, dict]) -> tf.Tensor:
        return objective.outputs(model, *rows, global_batch)

    def loss(outputs: tf.Tensor, rows: tuple[dict, dict]) -> tuple[tf.Tensor, dict]:
        return objective.loss(outputs, *rows, global_batch)

    variables = [variable.value for variable in model.trainable_variables]
    rows = batch, draws
    return grad_cache.gradients(forward, loss, rows, variables, microbatch, objective.separable)


def compiled_step(
    strategy: tf.distribute.Strategy,
    model: keras.Model,
    optimizer: FusedAdam,
    objective: Objective,
    microbatch: int | None = None,
) -> Callable[[dict, dict, int, bool], dict[str, tf.Tensor]]:
    """`train_step` in all replicas at once: a function of batch, draws, step and a signal.

    The signal is whether this process is to stop; `signalled`, beside the measures, is the number
    of replicas that are, so that all processes stop after the same step.
    """

    def replica_step(batch, draws, step, signalled):
        measures = train_step(model, optimizer, objective, batch, draws, step, microbatch)
        context = tf.distribute.get_replica_context()
        total = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(signalled))
        return {**measures, "signalled": total}

    compiled = distribution.compiled(strategy, replica_step)

    def take_step(batch, draws, step, signalled):
        draws = tf.nest.map_structure(tf.constant, draws)
        return compiled(batch, draws, tf.constant(step, tf.int64), tf.constant(float(signalled)))

    return take_step


@contextlib.contextmanager
def _written_by(folder: pathlib.Path) -> Iterator[FolderLock]:
    """Makes the folder of a run and holds its lock; a run that wrote nothing leaves no folder."""
    is_new = not folder.exists()
    make_folder(folder)
    try:
        with FolderLock(folder) as lock:
            yield lock
    finally:
        if is_new:
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()


@contextlib.contextmanager
def _precision(name: str) -> Iterator[None]:
    """Keras layers that are made within compute in this type."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy({"float32": "float32", "bfloat16": "mixed_bfloat16"}[name])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
