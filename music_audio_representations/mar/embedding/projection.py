"""Embeddings as points of a plane, to look at."""

import numpy as np

from mar.errors import InputError

_PERPLEXITY = 30.0


def project(vectors: np.ndarray, seed: int = 0) -> np.ndarray:
    """t-SNE of the angles between embeddings (van der Maaten and Hinton, 2008).

    It keeps neighbours together; distances between far points mean little. Equal input gives equal
    output.

    Args:
        vectors: `(items, dimensions)`, at least three items.
        seed: of the optimisation.

    Returns:
        float64 `(items, 2)`, within 0…1; both axes have one scale. Embeddings that are all alike
        are one point.

    Raises:
        InputError: fewer than three items.
    """
    import threadpoolctl
    from sklearn.manifold import TSNE

    if len(vectors) < 3:
        raise InputError(f"expected at least three embeddings to draw a map, got {len(vectors)}")
    if not np.ptp(vectors, axis=0).any():  # as a network that has collapsed makes them
        return np.full((len(vectors), 2), 0.5)
    perplexity = min(_PERPLEXITY, (len(vectors) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, metric="cosine", init="pca", random_state=seed)
    with threadpoolctl.threadpool_limits(1):  # more threads wait for each other on a busy machine
        points = tsne.fit_transform(np.asarray(vectors, np.float64)).astype(np.float64)
    spread = np.ptp(points, axis=0)
    return (points - points.min(axis=0) - spread / 2) / spread.max() + 0.5
