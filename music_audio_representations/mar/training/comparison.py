"""Runs beside one another: how far they are, what they score, which of their settings differ."""

import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mar.errors import InputError
from mar.training import history
from mar.util import yaml_file

CONFIGURATION = "configuration.yaml"  # in the folder of a run
_NOT_SCORES = ("step", "part", "learning_rate", "gradient_norm")


def rows(folders: Sequence[str | os.PathLike[str]]) -> list[dict[str, Any]]:
    """A row for each run: its `run` (the folder), `step`, scores, and settings that differ.

    A score is the last that was logged, by its part and name (`validation.accuracy`); a setting is
    called as `--set` takes it. What a run does not have is None.

    Raises:
        InputError: a folder is not that of a run.
    """
    settings = [dict(flat(_configuration(folder))) for folder in folders]
    names = dict.fromkeys(name for of_run in settings for name in of_run)
    differing = [
        name
        for name in names
        if any(of_run.get(name) != settings[0].get(name) for of_run in settings)
    ]
    scores = [_scores(folder) for folder in folders]
    scored = dict.fromkeys(name for of_run in scores for name in of_run)
    return [
        {
            "run": os.fspath(folder),
            **{name: of_run.get(name) for name in scored},
            **{name: of_it.get(name) for name in differing},
        }
        for folder, of_run, of_it in zip(folders, scores, settings, strict=True)
    ]


def flat(configuration: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields `Class.parameter.path` and value of all that a nested configuration says."""
    if isinstance(configuration, Mapping) and configuration:
        for name, value in configuration.items():
            yield from flat(value, f"{path}.{name}" if path else str(name))
    else:
        yield path, configuration


def _configuration(folder):
    path = pathlib.Path(folder) / CONFIGURATION
    if not path.exists():
        raise InputError(
            f"{folder}: expected the folder of a run of mar train, but it has no {CONFIGURATION}"
        )
    return yaml_file.document(path)


def _scores(folder):
    """The last scores of each part, and the step they belong to."""
    last = {record["part"]: record for record in history.read(folder)}
    step = max((record["step"] for record in last.values()), default=0)
    return {"step": step} | {
        f"{part}.{name}": value
        for part, record in last.items()
        for name, value in record.items()
        if name not in _NOT_SCORES
    }
