"""The models of a run of `mar train`: those it exported, and those of its checkpoints."""

import dataclasses
import os
import pathlib
import re

import keras

from mar.audio.logmel import LogMel
from mar.errors import InputError
from mar.models.bundle import Bundle
from mar.models.layers import undrawn
from mar.models.sfnfnet import SfNfNetF0
from mar.util import plain_data
from mar.util.kinds import PositiveInt

# In the folder of a run; the facts of the card say after how many steps the models are.
MODEL, BEST_MODEL, CARD_FACTS = "model.keras", "best.keras", "model_card.json"
STEPS, BEST_STEP = "steps", "best_step"
CHECKPOINTS = "checkpoints"
FACTS, BEST = "run.json", "best"  # in the folder of its checkpoints
_CHECKPOINT = re.compile(r"ckpt-(\d+)(\.index|\.data-\d+-of-\d+)?")


@dataclasses.dataclass(frozen=True)
class Saved:
    """One of the models of a run.

    Attributes:
        folder: of the run, absolute.
        path: its `.keras` file; or its checkpoint, as TensorFlow has it: without the endings of its
            files.
        step: after which it was saved; None where a `.keras` file has no card beside it.
    """

    folder: pathlib.Path
    path: pathlib.Path
    step: int | None

    @property
    def name(self) -> str:
        """What `mar.load_model` takes for it, in whatever folder and at whatever time."""
        return str(self.path) if self.step is None else f"{self.folder}@{self.step}"

    @property
    def is_exported(self) -> bool:
        """Whether it is a file, not a checkpoint."""
        return self.path.suffix == ".keras"


def find(path: str | os.PathLike[str]) -> Saved | None:
    """The model that is meant, where it is one of a run; its records need not be there.

    Args:
        path: the folder of a run, finished or not: the last model; `FOLDER@best`: the best by
            validation; `FOLDER@STEP`; the folder of its checkpoints, or a checkpoint in it.

    Returns:
        None where the path is of something else, or of nothing.

    Raises:
        InputError: the folder is not that of a run, or has no such checkpoint.
    """
    if (address := _address(path)) is None:
        return None
    folder, which = address
    if not (folder / MODEL).exists():
        _description(folder)
    last, best = _by_step(folder, MODEL, STEPS, ""), _by_step(folder, BEST_MODEL, BEST_STEP, BEST)
    if which is None and not last and (folder / MODEL).exists():
        return Saved(folder, folder / MODEL, None)
    saved = {**best, **last}
    if which is None or which == BEST:
        step = max(last if which is None else best, default=None)
    else:
        step = int(which) if which.isdecimal() else None
    if step not in saved:
        raise InputError(_missing(folder, which, sorted(saved)))
    return Saved(folder, saved[step], step)


def best_step(folder: pathlib.Path) -> int | None:
    """After how many steps the model of a run was best; None where nothing was validated."""
    return max(_by_step(folder, BEST_MODEL, BEST_STEP, BEST), default=None)


def load(saved: Saved) -> keras.Model:
    """Builds the network that a run trains, with the weights of one of its checkpoints.

    Raises:
        ConfigError: the run has a network of a class that is not there.
        InputError: the checkpoint is damaged.
    """
    described, frames, front_end = _description(saved.folder)
    facts = str(saved.folder / CHECKPOINTS / FACTS)
    network = SfNfNetF0.from_config(described, facts)
    with undrawn():
        model = network.build(frames, LogMel.from_config(front_end, facts))
    try:
        bundle = Bundle(saved.path)
        for variable in model.weights:
            variable.assign(bundle.array(_key(variable.path)))
    except ValueError as error:  # InputError of the bundle; or the shape differs
        reason = str(error).removeprefix(f"{saved.path}: ").splitlines()[0]
        raise InputError(
            f"{saved.path}: the checkpoint is damaged, or of another run: {reason}; "
            f"{saved.folder}@STEP is the model of another one"
        ) from None
    return model


def _address(path: str | os.PathLike[str]) -> tuple[pathlib.Path, str | None] | None:
    """The folder of a run and which of its models is meant, None for the last.

    models/run@best                          models/run, best
    models/run, models/run/checkpoints       models/run, None
    models/run/checkpoints/best              models/run, best
    models/run/checkpoints/ckpt-20.index     models/run, 20
    """
    absolute, which = os.path.abspath(path), None
    before, at, after = absolute.rpartition("@")
    if at and not os.path.exists(absolute) and os.path.isdir(before):
        absolute, which = before, after
    place = pathlib.Path(absolute)
    if (checkpoint := _CHECKPOINT.fullmatch(place.name)) and not place.is_dir():
        place, which = place.parent, checkpoint[1]
    elif not place.is_dir():
        return None
    if place.name == BEST and (place.parent / FACTS).exists():
        place, which = place.parent, which or BEST
    if place.name == CHECKPOINTS and (checkpoint or (place / FACTS).exists()):
        place = place.parent
    return place, which


def _by_step(folder: pathlib.Path, exported: str, step: str, place: str) -> dict[int, pathlib.Path]:
    """Checkpoints of a place by their steps, and the exported model of the step that is a fact."""
    names = (folder / CHECKPOINTS / place).glob("*.index")
    paths = {path.with_suffix("") for path in names if _CHECKPOINT.fullmatch(path.name)}
    by_step = {int(path.name.rpartition("-")[2]): path for path in paths}
    if (folder / exported).exists() and (folder / CARD_FACTS).exists():
        facts = plain_data.read(folder / CARD_FACTS)
        if isinstance(facts.get(step), int):
            by_step[facts[step]] = folder / exported
    return by_step


def _description(folder: pathlib.Path) -> tuple[dict, int, dict]:
    """What the facts of a run say: network, frames of a snippet, front end."""
    path = folder / CHECKPOINTS / FACTS
    if not path.exists():
        raise InputError(
            f"{folder}: expected a SavedModel, but it has no folder variables/, or the folder of a "
            f"run, but it has no {CHECKPOINTS}/{FACTS}"
        )
    facts = plain_data.read(path)
    try:
        configuration, front_end = facts["configuration"], facts["data"]["front_end"]
        (dataset,) = configuration["dataset"].values()
        (objective,) = configuration["objective"].values()
        plain_data.checked(dataset, {"snippet_frames": PositiveInt}, "its data set")
        frames = objective.get("frames") or dataset["snippet_frames"]
        plain_data.checked({"frames": frames}, {"frames": PositiveInt}, "a snippet")
        return configuration["model"], frames, front_end
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{path}: not the facts of a run of mar train ({error!r})") from None


def _missing(folder: pathlib.Path, which: str | None, steps: list[int]) -> str:
    """Says that a run lacks a model."""
    there = ", ".join(map(str, steps)) or "none"
    if which is None:
        return f"{folder}: the run has no checkpoint yet"
    if which == BEST:
        return (
            f"{folder}@{which}: no checkpoint is the best yet, as nothing was validated; those of "
            f"steps: {there}"
        )
    return (
        f"{folder}@{which}: expected {BEST}, or the step of a checkpoint that is there ({there}), "
        f"got {which}"
    )


def _key(path: str) -> str:
    """Of a weight in a checkpoint, in whose keys `/` and `.` of a name are escaped."""
    escaped = path.replace(".", "..").replace("/", ".S")
    return f"weights/{escaped}/.ATTRIBUTES/VARIABLE_VALUE"
