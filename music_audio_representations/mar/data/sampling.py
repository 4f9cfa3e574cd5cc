"""Which tracks and frames make the global batch of a step (paper, section 2.3).

Pure functions of a random generator, which in turn depends on (seed, step, purpose) alone: any
worker knows the whole batch, reads its own rows, and can begin at any step.
"""

import math
import zlib

import numpy as np


def generator(seed, step, purpose):
    """A NumPy random generator of its own for each seed, step and purpose (a string)."""
    return np.random.default_rng([seed, step, zlib.crc32(purpose.encode())])


def tracks(rng, count, size, weights=None):
    """Tracks of a batch, drawn with replacement.

    Args:
        rng: NumPy generator.
        count: number of tracks.
        size: number of draws.
        weights: `(count,)`, at least 0: in proportion to these; None: uniformly.

    Returns:
        int64 `(size,)`.
    """
    if weights is None:
        return rng.integers(0, count, size)
    cumulative = np.cumsum(weights)
    drawn = np.searchsorted(cumulative, rng.random(size) * cumulative[-1], side="right")
    return np.minimum(drawn, np.flatnonzero(weights)[-1])  # the product may round up to the sum


def label_balance(manifest):
    """Weights of tracks with which each label is drawn equally often, `(tracks,)`.

    A track's weight is the sum, over its labels, of one over the number of tracks with that label:
    a label's tracks share one unit among them. A track without labels is never drawn.
    """
    return manifest.sum_over_labels(1.0 / np.maximum(manifest.label_counts(), 1))


def starts(rng, frames, snippet):
    """First frames of random snippets, uniform over all places where none is padded.

    Args:
        rng: NumPy generator.
        frames: `(n,)` lengths of the tracks, each at least `snippet`.
        snippet: length of the snippets.
    """
    return rng.integers(0, np.asarray(frames) - snippet + 1)


def distance_limit(seconds, hop_seconds):
    """The largest number of frames between two centres that are *less than* `seconds` apart."""
    return math.ceil(round(seconds / hop_seconds, 6)) - 1


def positive_starts(rng, anchors, frames, snippet, limit=None):
    """First frames of snippets near others of the same tracks.

    Args:
        rng: NumPy generator.
        anchors: `(n,)` first frames of the others.
        frames: `(n,)` lengths of the tracks.
        snippet: length of the snippets.
        limit: largest distance in frames; None: anywhere in the track.

    Returns:
        `(n,)`, uniform over what is allowed.
    """
    last = np.asarray(frames) - snippet
    if limit is None:
        return rng.integers(0, last + 1)
    lowest, highest = np.maximum(anchors - limit, 0), np.minimum(anchors + limit, last)
    return rng.integers(lowest, highest + 1)


def hard_negative_starts(rng, anchors, frames, snippet, limit, count):
    """First frames of snippets of the same tracks that are too far away to be positives.

    Args:
        rng: NumPy generator.
        anchors: `(n,)` first frames.
        frames: `(n,)` lengths of the tracks, at least `hard_negative_frames`.
        snippet: length of the snippets.
        limit: the largest distance of a positive, in frames.
        count: how many for each anchor.

    Returns:
        `(n, count)`, uniform over what is allowed.
    """
    before = np.maximum(anchors - limit, 0)  # places in front of the anchor
    resume = anchors + limit + 1  # the first place behind it
    behind = np.maximum(np.asarray(frames) - snippet + 1 - resume, 0)
    drawn = rng.integers(0, np.broadcast_to((before + behind)[:, None], (len(anchors), count)))
    return np.where(drawn < before[:, None], drawn, (resume - before)[:, None] + drawn)


def hard_negative_frames(snippet, limit):
    """Length from which a track has a hard negative, wherever in it the anchor lies."""
    return snippet + 2 * (limit + 1) - 1


def fixed_starts(frames, snippet, per_track):
    """First frames of evenly spaced snippets: the middles of equal parts of all possible places.

    Returns:
        int64 `(n, per_track)`.
    """
    parts = (np.arange(per_track) + 0.5) / per_track
    return np.floor((np.asarray(frames) - snippet)[:, None] * parts).astype(np.int64)


def fixed_pair_starts(frames, snippet, per_track, limit=None):
    """First frames of pairs around the places of `fixed_starts`, half the largest distance apart.

    Returns:
        anchors and positives, int64 `(n, per_track)` each.
    """
    last = (np.asarray(frames) - snippet)[:, None]
    distance = (last if limit is None else np.minimum(last, limit)) // 2
    anchors = fixed_starts(frames, snippet, per_track) - distance // 2
    anchors = np.clip(anchors, 0, last - distance)
    return anchors, anchors + distance
