"""The model of a checkpoint in the folder of a run."""

import json
import pathlib
from typing import Any

import keras

from mar.audio.logmel import LogMel
from mar.errors import InputError
from mar.models.sfnfnet import SfNfNetF0

MODEL, CHECKPOINTS = "model.keras", "checkpoints"  # in the folder of a run
FACTS, BEST = "run.json", "best"  # in that of its checkpoints
_NAME = "ckpt-"


def load(folder: pathlib.Path, which: str | None = None) -> keras.Model:
    """Builds the network that a run trains, with the weights of one of its checkpoints.

    Args:
        folder: of the run, finished or not; its records need not be there.
        which: `best` by validation, or a step; None: the last.

    Raises:
        ConfigError: the run has a network of a class that is not there.
        InputError: the folder is not that of a run, or has no such checkpoint; it is damaged.
    """
    model = _network(folder / CHECKPOINTS / FACTS)
    path = _checkpoint(folder, which)
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(str(path))
        for variable in model.weights:
            variable.assign(reader.get_tensor(_key(variable.path)))
    except (tf.errors.OpError, RuntimeError, IndexError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"{path}: the checkpoint is damaged, or of another run: {reason}; {folder}@STEP is the "
            "model of another one"
        ) from None
    return model


def _network(path: pathlib.Path) -> keras.Model:
    """The untrained network that the facts of a run describe."""
    facts = _read(path)
    try:
        configuration, front_end = facts["configuration"], facts["data"]["front_end"]
        (dataset,) = configuration["dataset"].values()
        frames, described = dataset["snippet_frames"], configuration["model"]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{path}: not the facts of a run of mar.train ({error!r})") from None
    network = SfNfNetF0.from_config(described, str(path))
    return network.build(frames, LogMel.from_config(front_end, str(path)))


def _read(path: pathlib.Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{path.parent.parent}: expected a SavedModel, but it has no folder variables/, or the "
            f"folder of a run, but it has no {CHECKPOINTS}/{FACTS}"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def _checkpoint(folder: pathlib.Path, which: str | None) -> pathlib.Path:
    """The checkpoint's path, as TensorFlow has it: without the endings of its files."""
    last, best = (_by_step(folder / CHECKPOINTS / place) for place in ("", BEST))
    if which is None and last:
        return last[max(last)]
    if which == BEST and best:
        return best[max(best)]
    kept = {**best, **last}
    if which is not None and which.isdecimal() and int(which) in kept:
        return kept[int(which)]
    steps = ", ".join(map(str, sorted(kept))) or "none"
    if which is None:
        raise InputError(f"{folder}: the run has no checkpoint yet")
    if which == BEST:
        raise InputError(
            f"{folder}@{which}: no checkpoint is the best yet, as nothing was validated; those of "
            f"steps: {steps}"
        )
    raise InputError(
        f"{folder}@{which}: expected {BEST}, or the step of a checkpoint that is there ({steps}), "
        f"got {which}"
    )


def _by_step(folder: pathlib.Path) -> dict[int, pathlib.Path]:
    paths = [path.with_suffix("") for path in folder.glob(f"{_NAME}*.index")]
    return {int(path.name.removeprefix(_NAME)): path for path in paths}


def _key(path: str) -> str:
    """Of a weight in a checkpoint, in whose keys `/` and `.` of a name are escaped."""
    escaped = path.replace(".", "..").replace("/", ".S")
    return f"weights/{escaped}/.ATTRIBUTES/VARIABLE_VALUE"
