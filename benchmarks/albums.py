"""Whether tracks of one album are near each other, and whether a correction for hubs helps.

    python benchmarks/albums.py EMBEDDINGS…

Albums are the folders of at least 4 tracks of a data set. Prints, for the cosine similarity, for it
after the mean of all tracks was subtracted, and for local scaling (Zelnik-Manor and Perona, 2004,
as Schnitzer et al., 2012, use it against hubs; of the 10 nearest): the share of the 10 nearest that
are of the same album, averaged over tracks, how often the nearest is, and the skewness of how often
a track is among the 10 nearest of others, which hubs make large.
"""

import posixpath

import numpy as np
from absl import app
from scipy import stats

from mar.embedding.store import Embeddings

K, FEWEST = 10, 4


def cosines(vectors):
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return units @ units.T


def locally_scaled(similarities):
    """Similarities with each track's distance measured by that of its K-th nearest."""
    squares = np.maximum(2 - 2 * similarities, 0)
    np.fill_diagonal(squares, 0)
    scale = np.sqrt(np.sort(squares, axis=1)[:, K]) + 1e-9
    return -squares / (scale[:, None] * scale)


def report(name, similarities, albums, counted, compared=None):
    """Prints one row; returns the shares of the tracks, with which later ones are `compared`."""
    similarities = similarities.copy()
    np.fill_diagonal(similarities, -np.inf)
    nearest = np.argsort(-similarities, axis=1)[:, :K]
    same = albums[nearest] == albums[:, None]
    sizes = np.minimum(K, [np.sum(albums == album) - 1 for album in albums])
    share = (same.sum(axis=1) / np.maximum(sizes, 1))[counted]
    skewness = stats.skew(np.bincount(nearest.ravel(), minlength=len(albums)))
    more = ""
    if compared is not None:
        difference = share - compared
        error = np.std(difference) / np.sqrt(len(share))
        more = f" ({difference.mean():+.3f} ± {error:.3f}, paired)"
    print(
        f"  {name}: {share.mean():.3f}{more} of the nearest {K}, "
        f"{same[counted, 0].mean():.3f} of the nearest, skewness {skewness:.2f}"
    )
    return share


def main(argv):
    if len(argv) < 2:
        raise app.UsageError("expected folders that mar embed wrote")
    for folder in argv[1:]:
        embeddings = Embeddings(folder)
        paths, vectors = embeddings.paths, embeddings.means(embeddings.paths)
        _, albums = np.unique([posixpath.dirname(path) for path in paths], return_inverse=True)
        counted = np.bincount(albums)[albums] >= FEWEST
        print(
            f"{folder}: {counted.sum()} tracks of {len(set(albums[counted]))} albums, among "
            f"{len(paths)}"
        )
        similarities = cosines(vectors)
        plain = report("cosine", similarities, albums, counted)
        report("centred", cosines(vectors - vectors.mean(axis=0)), albums, counted, plain)
        report("local scaling", locally_scaled(similarities), albums, counted, plain)


if __name__ == "__main__":
    app.run(main)
