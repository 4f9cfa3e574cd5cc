"""How embeddings were made, compared: what a data set records must not differ within it."""

import re
from collections.abc import Mapping
from typing import Any

from mar.errors import ConfigError

NOT_COMPARED = ("version", "model_source", "model_file", "front_end", "front_end_config")


def difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """How two provenances differ, for a message; empty where they do not.

    ; front_end: fmin 0.0 there, fmin 20.0 here; model: mule (3f2ab01c…) there, m.keras (…) here
    """
    names = [name for name in {**one, **other} if name not in NOT_COMPARED]
    differing = {
        name: (one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)
    }
    if "model" in differing:
        differing["model"] = model(one), model(other)
    if not _same_front_end(one, other):
        differing = {"front_end": _front_ends(one, other), **differing}
        differing.setdefault("model", (model(one), model(other)))  # which the front end is of
    return "".join(f"; {name}: {a} there, {b} here" for name, (a, b) in differing.items())


def model(made: Mapping[str, Any]) -> str:
    """The model of a provenance as people know it: where it came from, and what tells its weights.

    /models/a.keras (weights 3f2ab01c…), logmel_mean, or weights 3f2ab01c… alone
    """
    source, weights = made.get("model_source"), str(made.get("model"))
    if re.fullmatch("[0-9a-f]{64}", weights):
        weights = f"weights {weights[:8]}…"
    return weights if source in (None, weights) else f"{source} ({weights})"


def pooling(made: Mapping[str, Any]) -> str | None:
    """How the frames of another's encoder became vectors; None of a model of ours.

    mean_deviation of 49.333 frames a second, or as imported
    """
    if made.get("pooling") is None:
        return None
    rate = made.get("frame_rate")
    return made["pooling"] + ("" if rate is None else f" of {rate:g} frames a second")


def _front_ends(one, other):
    """What differs in the settings of two front ends; where they are not known, their hashes."""
    try:
        first, second = (_settings(made) for made in (one, other))
    except ConfigError:
        return one.get("front_end"), other.get("front_end")
    names = [name for name in {**first, **second} if first.get(name) != second.get(name)]
    return tuple(
        ", ".join(f"{name} {each[name]}" for name in names if name in each)
        for each in (first, second)
    )


def _same_front_end(one, other):
    """Whether the settings are equal: the hashes that were recorded may be of another version."""
    if one.get("front_end") == other.get("front_end"):
        return True
    try:
        return _settings(one) == _settings(other)
    except ConfigError:
        return False


def _settings(made):
    """The parameters of a front end, defaults filled in; raises ConfigError where it is unknown."""
    from mar.audio.front_end import FrontEnd
    from mar.audio.logmel import LogMel  # noqa: F401 - one of them

    (settings,) = FrontEnd.from_config(made.get("front_end_config") or {}).resolved().values()
    return settings
