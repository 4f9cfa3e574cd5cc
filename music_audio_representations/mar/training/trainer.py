"""Pre-training: what a run is configured by, and how it begins and ends."""

import contextlib
import hashlib
import json
import os
import pathlib
import signal
from collections.abc import Iterator
from typing import Any, Literal

import keras
import tensorflow as tf

from mar.audio.logmel import LogMel
from mar.config import Configurable, Param
from mar.data import levels, warping  # noqa: F401 (which recipes name)
from mar.data.pipelines import RecordDataset
from mar.errors import ConfigError
from mar.models.layers import NFBlock
from mar.models.projectors import with_head
from mar.models.runs import CARD_FACTS, CHECKPOINTS
from mar.models.sfnfnet import SfNfNetF0, untrained
from mar.optim.adam import ScoochAdam
from mar.optim.average import WeightAverage
from mar.records import buckets
from mar.training import (
    checkpoints,
    checks,
    distribution,
    model_card,
    objectives,  # noqa: F401 (which recipes name)
    pair_objectives,  # noqa: F401
)
from mar.training.checkpoints import CONTENT, Checkpoints
from mar.training.comparison import CONFIGURATION
from mar.training.failures import explained
from mar.training.linear_probe import LinearProbe
from mar.training.logs import Logs
from mar.training.loop import Run
from mar.training.objective import Objective
from mar.util.atomic import make_folder
from mar.util.backends import require_tensorflow
from mar.util.kinds import NonNegativeInt, PositiveInt, Rate, Seed
from mar.util.lock import FolderLock

# What may change while a run is interrupted: nothing of it changes the batches or the updates.
_FREE = (
    "strategy",
    "device",
    "microbatch",
    "recompute",
    "log_every",
    "validate_every",
    "checkpoint_every",
    "keep",
    "validation",
    "probe",
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
    seed: Seed = Param(default=0, doc="Of the initial weights, the batches and all draws.")
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
    recompute: bool = Param(
        default=False,
        doc="Whether what is within a block is computed again for the gradient instead of being "
        "held. The result is the same.",
    )
    average_decay: Rate | None = Param(
        default=None,
        doc="Decay of an exponential moving average of the weights, which is what is validated, "
        "probed and exported then; null: none.",
    )
    probe: LinearProbe | None = Param(
        default=None, doc="What the embeddings are probed on in passing; null: nothing."
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
        if self.steps is None and self.total_steps < 1:
            raise ConfigError(
                f"Trainer.steps: expected a number, since the schedule is at its end already: "
                f"{self.total_steps} steps of it are left"
            )
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
                the folder is in a bucket; another process trains into it; a loss that is not
                finite; a checkpoint that cannot be written.
        """
        require_tensorflow("training")
        folder = buckets.on_disk(folder)
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
        if anew and not fresh and (folder / CARD_FACTS).exists():
            raise ConfigError(
                f"{folder}: holds the model of a run whose checkpoints are gone, so that it cannot "
                f"be resumed; --fresh sets it aside"
            )
        if anew and self.initial_weights is not None:
            checkpoints.warm_start(network, self.initial_weights)
        if chief and fresh:
            checkpoints.set_aside(folder)
        distribution.of_all_replicas(strategy, 0)  # until the chief is there
        average = self._average(strategy, model)
        state = checkpoints.state(model, optimizer, average)
        saved = Checkpoints(
            *(checkpoint_folder, self.keep, state, self.facts(), lock), self.validated_on()
        )
        done = saved.restore()
        checks.check_workers(checkpoint_folder, distribution.of_all_replicas(strategy, done))
        if chief:
            self.write(folder / CONFIGURATION)

        views = len(self.objective.views) + self.objective.hard_negatives(self.dataset)
        logs = Logs(folder, done, self.total_steps, self.dataset.batch_size, views, chief)
        run = Run(self, strategy, network, model, optimizer, average, saved, logs)
        with contextlib.closing(logs):
            stopped_by = run.train(done)
        if chief and stopped_by is None:
            with run.as_it_will_be():
                model_card.write(self, network, folder, distribution.hardware(strategy))
        return stopped_by

    def _average(self, strategy, model) -> WeightAverage | None:
        if self.average_decay is None:
            return None
        with strategy.scope():
            return WeightAverage(self.average_decay, [v.value for v in model.weights])

    def build(self) -> tuple[keras.Model, keras.Model]:
        """The untrained network, and the model that is trained: the network with the head on it.

        To be called under the strategy's scope. Opens the records, whose front end the network has.
        """
        front_end = LogMel.from_config(self.dataset.manifest.header.front_end)
        outputs = self.objective.output_size(len(self.dataset.manifest.header.vocabulary))
        with _precision(self.precision):
            network = untrained(
                *(self.model, self.objective.network_frames(self.dataset), front_end, self.seed),
                explicit_draws=True,
            )
            for block in network.layers if self.recompute else ():
                if isinstance(block, NFBlock):
                    block.recompute = True
            head = self.objective.projector.build(network.output.shape[1], outputs)
            return network, with_head(network, head)

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
            CONTENT: manifest.digest(),
        }
        settings["steps"] = self.total_steps
        return json.loads(json.dumps({"configuration": settings, "data": data}))

    def validated_on(self) -> int:
        """A number that stands for the validation, wherever its records lie; 0: there is none."""
        if self.validation is None:
            return 0
        described = self.validation.resolved()
        (settings,) = described.values()
        settings.pop("records")
        text = json.dumps([described, self.validation.manifest.digest()], sort_keys=True)
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


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
