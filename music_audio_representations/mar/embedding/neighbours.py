"""Nearest tracks by cosine similarity of their mean embeddings."""

import os

import numpy as np
import pyarrow.compute as pc

from mar.embedding import files, store
from mar.errors import InputError


def nearest(folder, query, k=10, without=()):
    """The tracks of a data set that are most similar to a vector.

    Reads the data set once, in batches.

    Args:
        folder: of a data set that `mar.embed` wrote.
        query: `(dimensions,)`.
        k: how many.
        without: paths that are left out.

    Returns:
        A list of `(similarity in −1…1, path)`, best first; fewer than `k` where there are fewer.

    Raises:
        InputError: no data set, or embeddings of another length.
    """
    dimensions = store.provenance(folder)["dimensions"]
    if query.shape != (dimensions,):
        raise InputError(f"{folder}: embeddings have {dimensions} values, the query {query.shape}")
    best = []
    for paths, vectors in store.vectors(folder):
        norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
        similarities = vectors @ query / np.maximum(norms, 1e-12)
        found = zip(similarities.tolist(), paths, strict=True)
        best += [pair for pair in found if pair[1] not in without]
        best = sorted(best, key=lambda pair: (-pair[0], pair[1]))[:k]
    return best


def stored(folder, track):
    """The mean embedding that a data set has of a track.

    Args:
        folder: of the data set.
        track: the path of the very file, or its key there.

    Returns:
        `(key, (dimensions,))`, or None where the data set does not have it.
    """
    key = files.key(track)
    is_it = pc.field("path") == key
    if os.path.isfile(track):
        status = os.stat(track)
        is_it = pc.field("size") == status.st_size
        is_it &= pc.field("mtime_ns") == status.st_mtime_ns
    for paths, vectors in store.vectors(folder, is_it):
        for path, vector in zip(paths, vectors, strict=True):
            if os.path.basename(path) == os.path.basename(key):
                return path, vector
    return None
