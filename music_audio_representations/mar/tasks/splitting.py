"""How a collection of one's own is split, where it does not say so itself."""

import collections
import os
from collections.abc import Sequence

import numpy as np

from mar.errors import InputError
from mar.tasks.base import SPLITS
from mar.util.groups import Separation

_SEED = 0
_FOLDS = 5


def check_separated(
    where: str | os.PathLike[str],
    splits: Sequence[str],
    together: Sequence[str | None],
    separated_by: Separation,
) -> None:
    """Raises an InputError where a group is in two splits of a table."""
    sides: dict[str, str] = {}
    for group, split in zip(together, splits, strict=True):
        if group is not None and sides.setdefault(group, split) != split:
            raise InputError(
                f"{where}: expected each {separated_by} in one split, found {group!r} in "
                f"{sides[group]} and in {split}"
            )


def split(
    paths: Sequence[str],
    strata: Sequence[str],
    together: Sequence[str | None],
    separated_by: Separation | None,
) -> list[str]:
    """Three fifths train, one valid, one test: classes in proportion, no group in two parts.

    Args:
        paths: of the items.
        strata: the class of each.
        together: the group of each; None for one that is alone.
        separated_by: what the groups are, for messages.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    kind = separated_by or "artist"
    sides = [path if group is None else group for path, group in zip(paths, together, strict=True)]
    largest = max(collections.Counter(strata).values())
    if min(len(set(sides)), largest) < _FOLDS:
        raise InputError(
            f"expected at least {_FOLDS} files of a class, and as many files or {kind}s in all, to "
            f"split them; found {largest} and {len(set(sides))}. Give a column `split`"
        )
    of_classes = collections.Counter(label for label, _ in set(zip(strata, sides, strict=True)))
    if max(of_classes.values()) < len(SPLITS):
        raise InputError(
            f"expected classes of at least {len(SPLITS)} {kind}s, so that each can be learnt and "
            f"tested, found at most {max(of_classes.values())}. Give a column `split`"
        )
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=_SEED)
    splits = np.array(["train"] * len(paths), dtype=object)
    for name, (_, rows) in zip(("test", "valid"), folds.split(paths, strata, sides), strict=False):
        splits[rows] = name
    return splits.tolist()
