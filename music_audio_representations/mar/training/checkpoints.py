"""Where a run's weights come from and go: checkpoints, another model, an earlier run set aside."""

import json
import logging
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from mar.errors import ConfigError, InputError
from mar.models.loading import load_model
from mar.models.runs import BEST, CHECKPOINTS, FACTS
from mar.models.saving import front_end
from mar.optim.average import WeightAverage
from mar.optim.fused_adam import FusedAdam
from mar.util import plain_data
from mar.util.atomic import whole
from mar.util.lock import FolderLock

CONTENT = "ids_labels_groups_checksums"  # of the tracks, hashed; among the facts about the data
_VALIDATED_ON = "validated_on/.ATTRIBUTES/VARIABLE_VALUE"
_TOLD = 8  # differences that are told one by one
_LOG = logging.getLogger("mar")


class Checkpoints:
    """Weights, Adam's moments and the step, which seeds and the place in the data follow from.

    Args:
        folder: is made where it is missing.
        keep: number of the latest checkpoints that stay.
        state: what is saved beside the step, as `state` returns it.
        facts: nested dictionary of what a checkpoint must have in common with the run.
        lock: of the run's folder, of the process that writes; None in the others.
        validated_on: a number that stands for the validation; 0: there is none. The best score so
            far is kept with it, and begins anew where it is another one.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        keep: int,
        state: dict[str, Any],
        facts: dict[str, Any],
        lock: FolderLock | None,
        validated_on: int = 0,
    ) -> None:
        self._folder, self._facts, self._lock = pathlib.Path(folder), facts, lock
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._score = tf.Variable(float("-inf"), trainable=False)
        self._current = validated_on
        self._validated_on = tf.Variable(validated_on, dtype=tf.int64, trainable=False)
        state = {**state, "step": self._step, "score": self._score}
        self._earlier = tf.train.Checkpoint(**state)  # as version 0.1.0 wrote it
        self._checkpoint = tf.train.Checkpoint(**state, validated_on=self._validated_on)
        self._last = tf.train.CheckpointManager(self._checkpoint, self._folder, keep)
        self._best = tf.train.CheckpointManager(self._checkpoint, self._folder / BEST, 1)

    @property
    def latest(self) -> str | None:
        """Path of the latest checkpoint, or None."""
        return self._last.latest_checkpoint

    def restore(self) -> int:
        """Takes up the latest checkpoint that can be read.

        Returns:
            the step to begin with, 0 without a checkpoint.

        Raises:
            ConfigError: they belong to another architecture, configuration or data set.
            InputError: none of them can be read.
        """
        if self.latest is None:
            return 0
        self._compare()
        reasons = []
        for path in reversed(self._last.checkpoints):
            try:
                self._read(path)
            except (tf.errors.OpError, AssertionError, ValueError) as error:
                reasons.append(f"{path}: cannot be restored: {str(error).strip().splitlines()[0]}")
                _LOG.warning(reasons[-1])
            else:
                _LOG.info("resumes from %s", path)
                self._forget_score_of_another_validation()
                return int(self._step)
        raise InputError(f"{reasons[0]}; nor can any before it; --fresh sets them aside")

    def _read(self, path):
        has_validation = tf.train.load_checkpoint(path).has_tensor(_VALIDATED_ON)
        self._validated_on.assign(0)
        checkpoint = self._checkpoint if has_validation else self._earlier
        checkpoint.restore(path).assert_consumed()

    def _forget_score_of_another_validation(self):
        before = int(self._validated_on)
        if not self._current:
            return
        if before not in (0, self._current):
            _LOG.warning("the validation is another one than before: the best model begins anew")
            self._score.assign(float("-inf"))
        self._validated_on.assign(self._current)

    def save(self, step: int) -> None:
        """Writes a checkpoint after as many steps.

        Raises:
            InputError: it cannot be written, or the lock was lost; the one before is whole.
        """
        self._write(self._last, step)

    def save_best(self, step: int, score: float) -> None:
        """Writes the checkpoint to `best/` where the score is higher than all before."""
        if score > float(self._score):
            self._score.assign(score)
            self._write(self._best, step)

    def _write(self, manager, step):
        if self._lock is None:
            return
        self._lock.check()
        before = self.latest
        self._step.assign(step)
        try:
            if before is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                with whole(self._folder / FACTS) as unfinished:
                    unfinished.write_text(json.dumps(self._facts, indent=1), encoding="utf-8")
            manager.save(checkpoint_number=step)
        except (tf.errors.OpError, OSError) as error:
            raise InputError(
                f"{manager.directory}: the checkpoint of step {step} cannot be written: "
                f"{str(error).strip().splitlines()[0]}; the last good one is {before}; the same "
                "command resumes from there"
            ) from None

    def _compare(self):
        path = self._folder / FACTS
        try:
            earlier = plain_data.read(path)
        except (FileNotFoundError, InputError) as error:
            raise InputError(f"{path}: cannot be read: {error}; --fresh sets it aside") from None
        expected = {**self._facts, "data": dict(self._facts["data"])}
        if CONTENT not in earlier.get("data", {}):  # which version 0.1.0 did not note
            expected["data"].pop(CONTENT)
        different = sorted(differences(earlier, expected))
        if different:
            told = "; ".join(different[:_TOLD])
            if len(different) > _TOLD:
                told += f"; and {len(different) - _TOLD} more"
            raise ConfigError(
                f"{self._folder}: its checkpoints are of another run: {told}; give "
                "another --output, or --fresh to set them aside and start anew"
            )


def state(
    model: keras.Model, adam: FusedAdam, average: WeightAverage | None = None
) -> dict[str, Any]:
    """What a run is resumed from, as arguments of a `tf.train.Checkpoint`.

    Args:
        model: the Keras model that is trained.
        adam: its optimizer.
        average: of its weights. Then `weights`, which are those of the model that a checkpoint
            is, are the average, and what is trained is beside it.
    """
    trained = {variable.path: variable.value for variable in model.weights}
    if average is None:
        return {"weights": trained, "adam": adam}
    averages = dict(zip(trained, average.averages, strict=True))
    return {"weights": averages, "trained": trained, "adam": adam}


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Yields `key: was old, is new` for all that differs in nested dictionaries."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            yield from differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield f"{path} was {old!r}, is {new!r}"


def warm_start(network: keras.Model, source: str) -> None:
    """Gives a network the weights of a model.

    Args:
        network: as `SfNfNetF0.build` returns it, with the front end of the records.
        source: as `mar.load_model` takes it.

    Raises:
        ConfigError: the model has another front end or architecture.
        InputError: it cannot be read.
    """
    model = load_model(source)
    if front_end(model).resolved() != front_end(network).resolved():
        raise ConfigError(
            f"Trainer.initial_weights: {source} expects another front end than that of the "
            "records; write them with the model's (mar records write --config records/mule for the "
            "published weights)"
        )
    ours, theirs = ({w.path: w for w in m.weights} for m in (network, model))
    for path in {**ours, **theirs}:
        shapes = [
            tuple(weights[path].shape) if path in weights else None for weights in (ours, theirs)
        ]
        if shapes[0] != shapes[1]:
            raise ConfigError(
                f"Trainer.initial_weights: {source} has another architecture: expected {path} of "
                f"shape {shapes[0]}, got {shapes[1]}"
            )
    for path, weight in ours.items():
        weight.assign(theirs[path])


def set_aside(folder: pathlib.Path) -> None:
    """Moves all of an earlier run in a folder to `previous-N/`, its checkpoints last.

    So nothing but an empty folder ever looks like a run that has not begun. What is hidden stays:
    the folder's lock.
    """
    contents = [path for path in folder.glob("[!.]*") if _number(path) is None]
    if not contents:
        return
    numbers = filter(None, map(_number, folder.glob("*")))
    aside = folder / f"previous-{1 + max(numbers, default=0)}"
    aside.mkdir()
    for path in sorted(contents, key=lambda path: path.name == CHECKPOINTS):
        path.rename(aside / path.name)


def _number(path):
    """N of `previous-N`, or None."""
    prefix, _, number = path.name.partition("-")
    return int(number) if prefix == "previous" and number.isdigit() else None
