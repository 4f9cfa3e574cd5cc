"""What must hold before the first step of a run."""

import logging
import pathlib
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from mar.errors import ConfigError, InputError
from mar.training.objectives import check_labels

if TYPE_CHECKING:
    from mar.training.trainer import Trainer

_LOG = logging.getLogger(__name__)


def check_datasets(trainer: "Trainer") -> None:
    """That objective, data set and validation fit one another, as far as they are described.

    Raises:
        ConfigError: they do not.
    """
    dataset, validation = trainer.dataset, trainer.validation
    for given in filter(None, (dataset, validation)):
        trainer.objective.check(given)
    if dataset.windows != "random":
        raise ConfigError("Trainer.dataset: expected windows: random, got fixed")
    unused = getattr(dataset, "hard_negatives", 0)
    if unused and not trainer.objective.hard_negatives(dataset):
        raise ConfigError(
            f"Trainer.dataset: expected hard_negatives of 0, as {type(trainer.objective).__name__} "
            f"has no use for them, got {unused}"
        )
    frames = trainer.objective.network_frames(dataset)
    for name, probed in _probed(trainer):
        if probed.snippet_frames != frames:
            raise ConfigError(
                f"{name}: expected snippet_frames of the network's {frames}, got "
                f"{probed.snippet_frames}"
            )
    if validation is None:
        return
    if validation.windows != "fixed":
        raise ConfigError("Trainer.validation: expected windows: fixed, got random")
    if validation.snippet_frames != dataset.snippet_frames:
        raise ConfigError(
            f"Trainer.validation: expected snippet_frames of {dataset.snippet_frames}, "
            f"got {validation.snippet_frames}"
        )


def check_records(trainer: "Trainer") -> None:
    """As `check_datasets`, of what the records' manifests say.

    Raises:
        ConfigError: the records do not fit the objective, or those of the validation do not fit
            those that are learnt from.
        InputError: they cannot be read.
    """
    dataset, validation = trainer.dataset, trainer.validation
    for given in filter(None, (dataset, validation)):
        trainer.objective.check_records(given)
    for name, probed in _probed(trainer):
        _check_header(name, probed, dataset, "front_end")
        check_labels(probed, name)
    if trainer.probe is not None:
        _check_header("LinearProbe.test", trainer.probe.test, trainer.probe.train, "vocabulary")
    if validation is None:
        return
    for field in ("front_end", "vocabulary"):
        _check_header("Trainer.validation", validation, dataset, field)
    learnt, tested = (given.manifest.ids.take(given.tracks) for given in (dataset, validation))
    shared = pc.sum(pc.is_in(tested, value_set=learnt)).as_py()
    if shared:
        _LOG.warning(
            "Trainer.validation: %d of its %d tracks are learnt from too, so that its scores are "
            "not those of new tracks; expected other records, or held_out with part: train and "
            "part: validation",
            *(shared, len(tested)),
        )


def check_batches(trainer: "Trainer", replicas: int) -> None:
    """That the batches can be divided among so many devices.

    Raises:
        ConfigError: a batch that is not a multiple of the replicas, or rows of a replica that are
            not a multiple of the microbatch.
    """
    dataset, microbatch = trainer.dataset, trainer.microbatch
    probed = [given for _, given in _probed(trainer)]
    for given in filter(None, (dataset, trainer.validation, *probed)):
        given.check_replicas(replicas)
    rows = dataset.batch_size // replicas
    if microbatch is not None and rows % microbatch:
        divisors = [divisor for divisor in range(1, rows + 1) if rows % divisor == 0]
        nearest = min(divisors, key=lambda divisor: abs(divisor - microbatch))
        raise ConfigError(
            f"Trainer.microbatch: expected a divisor of the {rows} rows of each of the {replicas} "
            f"replicas, such as {nearest}, got {microbatch}"
        )
    if len(dataset.tracks) < dataset.batch_size:
        _LOG.warning(
            "%s: %d tracks for a batch of %d: tracks come more than once in a batch",
            *(dataset.records, len(dataset.tracks), dataset.batch_size),
        )


def check_workers(folder: pathlib.Path, steps: list[int]) -> None:
    """That all workers begin with the same step.

    Args:
        folder: of the checkpoints.
        steps: that of each replica.

    Raises:
        InputError: they do not.
    """
    if len(set(steps)) > 1:
        raise InputError(
            f"{folder}: expected the same checkpoints in all workers, got those of steps {steps}; "
            "is --output on a file system that they share?"
        )


def _probed(trainer):
    """What the trainer's probe learns from and is tested on, with their names."""
    if trainer.probe is None:
        return []
    return [(f"LinearProbe.{part}", getattr(trainer.probe, part)) for part in ("train", "test")]


def _check_header(name, given, dataset, field):
    """That records have what the data set's have."""
    if getattr(given.manifest.header, field) != getattr(dataset.manifest.header, field):
        raise ConfigError(
            f"{name}: expected the {field} of {dataset.records}, got another in {given.records}"
        )
