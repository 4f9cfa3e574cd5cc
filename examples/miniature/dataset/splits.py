"""Which compositions may not be told apart, and which part of the data set each is in.

Works that share a melody, or a title, are one group, and no group is in two parts: what is tested
has not been heard in training, in whatever key or meter.
"""

import collections
import re
from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from examples.miniature.dataset.compositions import Composition

SPLITS = {"train": 0.6, "valid": 0.2, "test": 0.2}
_GRAM = 6  # melodic intervals
_OVERLAP = 0.25  # of the smaller set of them


def groups(works: Sequence[Composition]) -> list[int]:
    """The group of each work: the index of its first member.

    Two are in one group if more than a quarter of the sequences of six melodic intervals in one of
    them are in the other, if their titles are alike, or by way of a third.
    """
    pairs = np.array(list(_alike(works)), int).reshape(-1, 2)
    links = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(works), len(works)))
    _, component = connected_components(links, directed=False)
    _, first, inverse = np.unique(component, return_index=True, return_inverse=True)
    return first[inverse].tolist()


def _alike(works):
    """Yields pairs of indices of works that share a melody or a title."""
    grams = [melodic_grams(work.melody) for work in works]
    having, titled = collections.defaultdict(list), {}
    for index, (work, ours) in enumerate(zip(works, grams, strict=True)):
        shared = collections.Counter(other for gram in ours for other in having[gram])
        for other, count in shared.items():
            if count > _OVERLAP * min(len(ours), len(grams[other])):
                yield index, other
        yield index, titled.setdefault(plain_title(work.title), index)
        for gram in ours:
            having[gram].append(index)


def melodic_grams(melody: Sequence[int]) -> set[tuple[int, ...]]:
    """The set of sequences of six intervals, in semitones, in a melody: alike in every key."""
    intervals = np.diff(melody).tolist()
    return {tuple(intervals[i : i + _GRAM]) for i in range(len(intervals) - _GRAM + 1)}


def plain_title(title: str) -> str:
    """A title without case, punctuation, articles and order of words."""
    words = re.findall(r"[a-z0-9]+", title.lower().replace("'", ""))
    return " ".join(sorted(set(words) - {"the", "a", "an"}))


def assign(group_of: Sequence[int], genres: Sequence[str], seed: int = 0) -> list[str]:
    """The part of each composition, "train", "valid" or "test".

    Args:
        group_of: as `groups` returns it.
        genres: of the compositions; each is divided in the same proportion as far as groups allow.
        seed: of the order.

    Returns:
        A list of names.
    """
    members = collections.defaultdict(list)
    for index, group in enumerate(group_of):
        members[group].append(index)
    order = np.random.default_rng(seed).permutation(sorted(members)).tolist()
    order.sort(key=lambda group: -len(members[group]))
    totals = collections.Counter(genres)
    given = {split: collections.Counter() for split in SPLITS}
    splits = [None] * len(group_of)
    for group in order:
        counts = collections.Counter(genres[index] for index in members[group])
        genre = counts.most_common(1)[0][0]

        def lack(split, genre=genre):
            return SPLITS[split] - given[split][genre] / totals[genre]

        split = max(SPLITS, key=lack)
        given[split].update(counts)
        for index in members[group]:
            splits[index] = split
    return splits


def shares(count: int, kinds: int) -> dict[str, list[int]]:
    """How many items of each kind are in each part, `{split: [number for each kind]}`.

    The numbers differ by one at most within a part; in all they are `count`.
    """
    sizes = {split: round(count * share) for split, share in SPLITS.items()}
    sizes["train"] += count - sum(sizes.values())
    return {
        split: [size // kinds + (kind < size % kinds) for kind in range(kinds)]
        for split, size in sizes.items()
    }
