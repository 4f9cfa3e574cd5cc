"""What more labels would bring: scores of probes that were trained on fewer examples.

The test items are the same for all of them.
"""

import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from mar.probing.metrics import Score
from mar.probing.probe import Examples
from mar.probing.repeats import mean_scores, subset

DRAWS = 3  # of the examples of one size, whose scores are averaged
_LOG = logging.getLogger(__name__)


def few(kind: str, targets: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Some training items, bool `(items,)`: so many of each label, or all that there are.

    Of any number of labels an item counts for each that it has; as many have none. Of values so
    many items are taken in all.

    Args:
        kind: of the task.
        targets: `(items, labels)`: 0/1, or values.
        count: of items.
        generator: of the draw.
    """
    chosen = np.zeros(len(targets), bool)
    for rows in _groups(kind, targets):
        chosen[generator.permutation(rows)[:count]] = True
    return chosen


def points(
    kind: str,
    training: Examples,
    sizes: Sequence[int],
    score: Callable[[Examples], dict[str, Score]],
    of_all: dict[str, Score],
    seed: int,
) -> pd.DataFrame:
    """The points of the curve.

    Args:
        kind: of the task.
        training: all training examples.
        sizes: examples of each label; those of which no label has more are left out, and logged.
        score: function of training examples → `{metric: Score}` on the test items.
        of_all: the scores of all training examples.
        seed: of the draws.

    Returns:
        A row for each size and metric: `examples` of a label, `items` in training (the mean of the
        draws), `metric`, `value`, `low` and `high` (95 %). In the last rows are all of them;
        `examples` is how many the most frequent label has.
    """
    most = max(len(rows) for rows in _groups(kind, training.targets))
    if left_out := [size for size in sizes if size >= most]:
        _LOG.warning("curve: left out %s: no label has more than %d examples", left_out, most)
    table = []
    for size in sorted({size for size in sizes if size < most}):
        scores, items = [], []
        for draw in range(DRAWS):
            generator = np.random.default_rng([seed, size, draw])
            chosen = few(kind, training.targets, size, generator)
            items.append(int(chosen.sum()))
            scores.append(score(subset(training, chosen)))
            _LOG.info("curve: %d examples, draw %d of %d", size, draw + 1, DRAWS)
        table += _rows(size, float(np.mean(items)), mean_scores(scores))
    table += _rows(most, float(len(training.targets)), of_all)
    return pd.DataFrame(table, columns=["examples", "items", "metric", "value", "low", "high"])


def _groups(kind: str, targets: np.ndarray) -> Iterator[np.ndarray]:
    """The rows of each label that occurs, and those without one."""
    if kind == "regression":
        yield np.arange(len(targets))
        return
    for has in (*targets.T.astype(bool), ~targets.any(axis=1)):
        if has.any():
            yield np.flatnonzero(has)


def _rows(size: int, items: float, scores: dict[str, Score]) -> list[tuple]:
    return [(size, items, metric, score.value, *score.interval) for metric, score in scores.items()]
