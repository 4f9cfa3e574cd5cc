"""What pre-training is configured by."""

import json
import pathlib
from typing import Literal

from mar.config import Configurable, Param
from mar.data.pipelines import RecordDataset
from mar.errors import ConfigError
from mar.models.sfnfnet import SfNfNetF0
from mar.optim.adam import ScoochAdam
from mar.training.objectives import Objective
from mar.util.kinds import NonNegativeInt, PositiveInt

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
    """Pre-trains a network from a configuration (paper, section 2)."""

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
        for dataset in filter(None, (self.dataset, self.validation)):
            self.objective.check(dataset)
        if self.dataset.windows != "random":
            raise ConfigError("Trainer.dataset: expected windows: random, got fixed")
        if self.validation is not None:
            self._check_validation()

    def run(self, folder, fresh=False):
        """Trains, or goes on with what was interrupted.

        SIGINT and SIGTERM let it write a checkpoint and return; a second one has its usual effect.

        Args:
            folder: of the run: `checkpoints/`, `metrics.jsonl`, `tensorboard/`,
                `configuration.yaml`; at the end also `model.keras`, `saved_model/`,
                `model_card.md`, `loss.png`.
            fresh: whether to set an earlier run in this folder aside, as `previous-1/`.

        Returns:
            The signal that ended it early, or None.

        Raises:
            ConfigError, InputError: what is wrong, before the first step where that can be known;
                a loss that is not finite; a checkpoint that cannot be written.
        """
        from mar.training.failures import explained
        from mar.training.run import Run

        with explained(pathlib.Path(folder) / "checkpoints"):
            return Run(self, folder, fresh).go()

    @property
    def total_steps(self):
        """Training steps."""
        return self.optimizer.schedule.steps if self.steps is None else self.steps

    def facts(self):
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

    def _check_validation(self):
        if self.validation.windows != "fixed":
            raise ConfigError("Trainer.validation: expected windows: fixed, got random")
        ours, theirs = self.dataset.manifest.header, self.validation.manifest.header
        for name in ("front_end", "vocabulary"):
            if getattr(ours, name) != getattr(theirs, name):
                raise ConfigError(
                    f"Trainer.validation: expected the {name} of {self.dataset.records}, got "
                    f"another in {self.validation.records}"
                )
        if self.validation.snippet_frames != self.dataset.snippet_frames:
            raise ConfigError(
                f"Trainer.validation: expected snippet_frames of {self.dataset.snippet_frames}, "
                f"got {self.validation.snippet_frames}"
            )
