"""How a collection of one's own is split, where it does not say so itself."""

import os
import warnings
from collections.abc import Sequence

import numpy as np

from mar.errors import InputError

_SEED = 0
_FOLDS = 5  # of which one is for validation, and one for testing
_FEWEST = 3
REPEATS = 5


def check_separated(
    where: str | os.PathLike[str],
    splits: Sequence[str],
    together: Sequence[str | None],
    kind: str,
) -> None:
    """Raises an InputError where a group is in two splits of a table; `kind` is what groups are."""
    sides: dict[str, str] = {}
    for group, split in zip(together, splits, strict=True):
        if group is not None and sides.setdefault(group, split) != split:
            raise InputError(
                f"{where}: expected each {kind} in one split, found {group!r} in "
                f"{sides[group]} and in {split}; where that is meant, give the column another name"
            )


def divided(
    targets: np.ndarray,
    classes: Sequence[str] | None,
    sides: Sequence[str],
    kind: str,
    where: str | os.PathLike[str],
) -> tuple[list[str], np.ndarray | None]:
    """Which part each item is in, or where parts would be empty of labels, folds of all items.

    Three fifths are for training, one for validation, one for testing; classes in proportion, no
    group in two parts. Where most labels have fewer than five files or groups, all items are tested
    by turns, by what the others train.

    Args:
        targets: `(items, labels)`: 0/1, or values.
        classes: the class of each item; None for any number of labels, and for values.
        sides: the group of each, or the item itself.
        kind: what groups are, for messages: files, artists, albums or folders.
        where: the table or folder, for messages.

    Returns:
        "train", "valid" or "test" of each item, and None; or "test" for all, and int
        `(repeats, items)`: in which fold of each repetition an item is tested.

    Raises:
        InputError: there are too few for either.
    """
    counts = _sides_of_labels(targets, sides)
    files, distinct = int(_positives(targets).sum(axis=0).max(initial=0)), len(set(sides))
    if min(files, distinct) < _FEWEST:
        raise InputError(
            f"{where}: expected at least {_FEWEST} files of a class, and as many files or {kind}s "
            f"in all, to split them; found {files} and {distinct}. Give a column `split`"
        )
    if counts.max() < _FEWEST:
        raise InputError(
            f"{where}: expected classes of at least {_FEWEST} {kind}s, so that each can be learnt "
            f"and tested, found at most {counts.max()}. Give a column `split`"
        )
    if 2 * counts[counts < _FOLDS].sum() < counts.sum():
        strata = ["all"] * len(sides) if classes is None else classes
        test, valid = _folds(strata, sides, _FOLDS, _SEED)[:2]
        splits = np.array(["train"] * len(sides), dtype=object)
        splits[test], splits[valid] = "test", "valid"
        return splits.tolist(), None
    strata = _rarest(targets) if classes is None else classes
    count = int(np.clip(counts[counts > 1].min(), 2, _FOLDS))
    folds = np.zeros((REPEATS, len(sides)), np.int8)
    for repeat in range(REPEATS):
        for number, rows in enumerate(_folds(strata, sides, count, repeat)):
            folds[repeat, rows] = number
    return ["test"] * len(sides), folds


def _positives(targets):
    """Which labels each item has, bool `(items, labels)`; values are one label that all have."""
    return targets > 0 if targets.dtype == np.uint8 else np.ones((len(targets), 1), bool)


def _sides_of_labels(targets, sides):
    """How many groups have each label that occurs."""
    numbers = np.unique(np.asarray(sides, object).astype(str), return_inverse=True)[1]
    counts = np.array([len(np.unique(numbers[has])) for has in _positives(targets).T], int)
    return counts[counts > 0] if counts.any() else np.zeros(1, int)


def _rarest(targets):
    """The rarest label of each item, as a stratum; of values there is one."""
    has = _positives(targets)
    rarity = np.where(has, has.sum(axis=0), len(has) + 1)
    return np.where(has.any(axis=1), rarity.argmin(axis=1), -1).astype(str).tolist()


def _folds(strata, sides, count, seed):
    """The rows of each fold; of a repetition, in another random order."""
    from sklearn.model_selection import StratifiedGroupKFold

    folds = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        return [rows for _, rows in folds.split(strata, strata, sides)]
