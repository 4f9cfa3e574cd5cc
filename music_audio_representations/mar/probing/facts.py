"""The facts of a run: what its `result.json` says."""

import pathlib
from types import NoneType

from mar.errors import InputError
from mar.tasks.base import METRICS, SPLITS

FACTS: dict[str, type | tuple[type, ...]] = {
    # the task
    "task": str,
    "protocol": str,  # which of its splits: "paper", or "own" for a collection of one's own
    "kind": str,  # "multilabel", "multiclass", "key" or "regression"
    "labels": list,
    "undefined_labels": list,  # left out of the means: all test items have them, or none
    "items": dict,  # {part: number of items}
    "items_sha256": str,  # of ids, splits, labels and targets
    "missing": int,  # items that had no embedding
    # the embeddings
    "model": str,
    "embeddings": dict,  # their provenance
    # the probe
    "pooling": str,  # "mean" or "windows", on which it was trained
    "config": dict,
    "config_sha256": str,
    "batch_size": int,
    "steps": int,
    "seed": int,
    "trials": int,  # of the search on the validation set
    "training_rows": int,
    # the scores
    "valid": dict,  # {metric: value}
    "test": dict,  # {metric: {"value", "low", "high"}}
    "constant_guess": dict,  # {metric: value}: the same prediction for every test item
    "resamples": int,
    # the machine
    "probe_seconds": (int, float),
    "cpus": int,
    "mar_version": str,
    "date": str,
}
# There may be also
# `floor`, the scores of nearest neighbours, see `mar.probing.floor.floor_facts`;
# `decisions`, where labels are decided on, see `mar.probing.judging.judge`;
# `asked`, of `mar reproduce`: SHA-256 of all that the result follows from;
# `turns`, where all items were tested by turns: {"repeats", "folds"}, see `mar.probing.repeats`.
SCORE = ("value", "low", "high")  # of one metric on the test set
_NUMBER = (int, float, NoneType)  # JSON has no NaN: what is undefined is null


def check_facts(path: pathlib.Path, facts: dict) -> None:
    """Raises an InputError unless facts have the form of `FACTS`."""

    def expect(holds: bool, what: str, value: object) -> None:
        if not holds:
            raise InputError(f"{path}: expected {what}, got {value!r:.80}; probe again")

    expect(isinstance(facts, dict), "a dictionary", facts)
    for name, kind in FACTS.items():
        expect(name in facts, f"the fact {name!r}", sorted(facts))
        wanted = getattr(kind, "__name__", "number")
        fits = isinstance(facts[name], kind) and not isinstance(facts[name], bool)
        expect(fits, f"a {wanted} as {name!r}", facts[name])
    expect(facts["kind"] in METRICS, f"a kind of {', '.join(METRICS)}", facts["kind"])
    for part in SPLITS:
        count = facts["items"].get(part)
        expect(isinstance(count, int), f"the number of items in {part}", facts["items"])
    for name in ("valid", "constant_guess"):
        for metric, value in facts[name].items():
            expect(isinstance(value, _NUMBER), f"a number as {name}.{metric}", value)
    for metric, score in facts["test"].items():
        ends = [score.get(end, "") for end in SCORE] if isinstance(score, dict) else [""]
        expect(all(isinstance(end, _NUMBER) for end in ends), f"a score as test.{metric}", score)
