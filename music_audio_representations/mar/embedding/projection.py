"""Embeddings as points of a plane, to look at.

Both methods keep neighbours together; distances between far points mean little.
"""

import logging
import os
import pathlib
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from mar.errors import InputError
from mar.util.atomic import whole
from mar.util.progress import Progress

SMALL = 2_000  # points that t-SNE takes seconds for
_PERPLEXITY = 30.0
_STEPS, _STEPS_KEPT = (100, 100, 250), 25  # of PaCMAP's three phases; after so many they are kept
_JITTER = 1e-4

Arrays = dict[str, np.ndarray]


def project(
    vectors: np.ndarray, seed: int = 0, unfinished: str | os.PathLike | None = None
) -> np.ndarray:
    """A map of embeddings by the angles between them.

    t-SNE (van der Maaten and Hinton, 2008) of up to 2,000 items, whose equal input gives equal
    output; PaCMAP (Wang et al., 2021) of more, whose does on one machine.

    Args:
        vectors: `(items, dimensions)`, at least three items.
        seed: of the optimisation.
        unfinished: folder by which PaCMAP resumes; what it keeps stays.

    Returns:
        float64 `(items, 2)`, within 0…1; both axes have one scale. Embeddings that are all alike
        are one point.

    Raises:
        InputError: fewer than three items; more than 2,000 without the package for them; or what
            is resumed is damaged.
    """
    if len(vectors) < 3:
        raise InputError(f"expected at least three embeddings to draw a map, got {len(vectors)}")
    if not np.ptp(vectors, axis=0).any():  # as a network that has collapsed makes them
        return np.full((len(vectors), 2), 0.5)
    if len(vectors) <= SMALL:
        points = _tsne(np.asarray(vectors, np.float64), seed)
    else:
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        units = np.asarray(vectors / np.maximum(norms, np.finfo(np.float32).tiny), np.float32)
        points = _pacmap(units, seed, None if unfinished is None else pathlib.Path(unfinished))
    spread = np.ptp(points, axis=0)
    return (points - points.min(axis=0) - spread / 2) / spread.max() + 0.5


def _tsne(vectors: np.ndarray, seed: int) -> np.ndarray:
    import threadpoolctl
    from sklearn.manifold import TSNE

    perplexity = min(_PERPLEXITY, (len(vectors) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, metric="cosine", init="pca", random_state=seed)
    with threadpoolctl.threadpool_limits(1):  # more threads wait for each other on a busy machine
        return tsne.fit_transform(vectors).astype(np.float64)


def _pacmap(units: np.ndarray, seed: int, unfinished: pathlib.Path | None) -> np.ndarray:
    """PaCMAP's own pairs and steps, one by one, so that they can be counted and kept."""
    library = _library()
    pairs = _kept(unfinished, "pairs", lambda: _pairs(library, units, seed))
    state = _kept(unfinished, "state", lambda: _beginning(units))
    first = int(state.pop("done"))
    points, moments, squares = (state[name] for name in ("points", "moments", "squares"))
    with Progress(sum(_STEPS), "step of the map", first) as progress:
        for step in range(first, sum(_STEPS)):
            middle, near, far = library.find_weight(1000.0, step, num_iters=_STEPS)
            slopes = library.pacmap_grad(points, *pairs.values(), near, middle, far)
            library.update_embedding_adam(points, slopes, moments, squares, 0.9, 0.999, 1.0, step)
            progress.update()
            if unfinished is not None and (step + 1) % _STEPS_KEPT == 0:
                _keep(unfinished / "state.npz", {"done": np.array(step + 1), **state})
    return points.astype(np.float64)


def _library() -> Any:
    """The functions that PaCMAP consists of.

    Raises:
        InputError: it is not installed.
    """
    try:
        import pacmap.pacmap as library
    except ImportError:
        raise InputError(
            f"a map of more than {SMALL} tracks needs PaCMAP: "
            "pip install music-audio-representations[explore]"
        ) from None
    logging.getLogger(library.__name__).setLevel(logging.ERROR)  # it warns of every seed
    return library


def _pairs(library: Any, units: np.ndarray, seed: int) -> Arrays:
    """Which points shall be near, less near and far, int32 `(pairs, 2)` each."""
    import faiss

    generator, threads = np.random.default_rng(seed), faiss.omp_get_max_threads()
    # Thousands of equal rows would have no neighbours but one another.
    jitter = _JITTER * units.std() * generator.standard_normal(units.shape, np.float32)
    reducer = library.PaCMAP(apply_pca=False, random_state=seed)
    reducer.decide_num_pairs(len(units))
    try:
        reducer.sample_pairs(units + jitter, False)
    finally:
        faiss.omp_set_num_threads(threads)  # all but one of which the seed has taken
    return {
        "near": reducer.pair_neighbors,
        "middle": reducer.pair_MN,
        "far": reducer.pair_FP,
    }


def _beginning(units: np.ndarray) -> Arrays:
    """Points at their first two principal components, and the moments of Adam."""
    centred = units - units.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    points = (0.01 * centred @ axes[:, :-3:-1]).astype(np.float32)
    moments = {name: np.zeros_like(points) for name in ("moments", "squares")}
    return {"done": np.array(0), "points": points, **moments}


def _kept(folder: pathlib.Path | None, name: str, make: Callable[[], Arrays]) -> Arrays:
    """What an interrupted run has left in a folder, or else is made, and left there."""
    if folder is None:
        return make()
    path = folder / f"{name}.npz"
    if not path.exists():
        _keep(path, make())
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)  # whose checksums are compared
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: damaged ({error}); delete {folder}, and the map is computed anew"
        ) from None


def _keep(path: pathlib.Path, arrays: Arrays) -> None:
    with whole(path) as unfinished:
        np.savez(unfinished, **arrays)  # type: ignore[arg-type]
