"""Pieces of audio, packed into batches."""

import collections
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

Tag = TypeVar("Tag")


def in_batches(
    groups: Iterable[tuple[Tag, np.ndarray]],
    forward: Callable[[np.ndarray], np.ndarray],
    batch_size: int,
    dimensions: int,
) -> Iterator[tuple[Tag, np.ndarray]]:
    """Embeds groups of snippets, packed into full batches whatever the groups' sizes.

    With batches of 4, and groups a of 3 snippets and b of 2:

        a comes    3 snippets wait
        b comes    5 wait, the first 4 are embedded; a is whole and is yielded
        the end    the last snippet is embedded alone; b is whole too

    Args:
        groups: `(tag, snippets (k, …))`; k may be 0.
        forward: embeds at most `batch_size` snippets, `(n, …)` → `(n, dimensions)`.
        batch_size: snippets in a batch.
        dimensions: of an embedding.

    Yields:
        `(tag, embeddings (k, dimensions))` of every group, in order.
    """
    pending: collections.deque[tuple[Tag, int]] = collections.deque()
    waiting: list[np.ndarray] = []
    count = 0
    done = np.zeros((0, dimensions), np.float32)
    groups = iter(groups)
    while True:
        group = next(groups, None)
        if group is not None:
            tag, snippets = group
            pending.append((tag, len(snippets)))
            waiting.append(snippets)
            count += len(snippets)
        if count >= batch_size or (group is None and count):
            snippets = np.concatenate(waiting)
            ready = count if group is None else count - count % batch_size
            for first in range(0, ready, batch_size):
                batch = snippets[first : min(first + batch_size, ready)]
                done = np.concatenate([done, forward(batch)])
            waiting, count = [snippets[ready:]], count - ready
        while pending and pending[0][1] <= len(done):
            tag, size = pending.popleft()
            yield tag, done[:size]
            done = done[size:]
        if group is None:
            return
