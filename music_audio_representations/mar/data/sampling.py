"""Which tracks and frames make the global batch of a step (paper, section 2.3).

Pure functions of a random generator, which in turn depends on (seed, step, purpose) alone: any
worker knows the whole batch, reads its own rows, and can begin at any step.
"""

import hashlib
import logging
import math
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mar.errors import ConfigError
from mar.records.manifest import Manifest

_LOG = logging.getLogger(__name__)


def generator(seed: int, step: int, purpose: str) -> np.random.Generator:
    """A NumPy random generator of its own for each seed, step and purpose (a string)."""
    return np.random.default_rng([seed, step, zlib.crc32(purpose.encode())])


def tracks(
    rng: np.random.Generator, count: int, size: int, weights: np.ndarray | None = None
) -> np.ndarray:
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


def held_out(groups: pa.ChunkedArray, share: float) -> np.ndarray:
    """Which tracks are held out, bool `(tracks,)`: all of a group or none of it.

    Each group has a number from 0 to 1 that depends on its name alone, and is held out where that
    is less than `share`: it stays on its side when others come or go. Where that leaves nothing on
    one side, the group with the least number alone is held out, or the one with the greatest alone
    is not, however many tracks it has.

    Args:
        groups: `(tracks,)` names, of at least two groups.
        share: of the groups, about.
    """
    encoded = groups.combine_chunks().dictionary_encode()
    digests = (
        hashlib.blake2b(name.encode(), digest_size=8).digest()
        for name in encoded.dictionary.to_pylist()
    )
    numbers = np.array([int.from_bytes(digest, "big") for digest in digests]) / 2.0**64
    side = numbers < share
    side[np.argmin(numbers)], side[np.argmax(numbers)] = True, False
    return side[encoded.indices.to_numpy()]


def of_part(manifest: Manifest, part: str, share: float) -> np.ndarray:
    """Which tracks are of a part, bool `(tracks,)`.

    Args:
        manifest: of the tracks.
        part: "validation", the tracks that are held out, or "train", the others.
        share: see `held_out`.

    Raises:
        ConfigError: there is only one group.
    """
    groups = manifest.groups
    count = pc.count_distinct(groups).as_py()
    if count < 2:
        raise ConfigError(
            f"{manifest.location}: expected tracks of at least two artists (albums, folders), so "
            f"that held_out: {share:g} can be for validation, got {len(groups)} tracks of {count}; "
            f"validate on other records, or on none (validation: null)"
        )
    validation = held_out(groups, share)
    if part == "validation":
        return validation
    _tell_held_out(manifest, validation, count, share)
    return ~validation


def _tell_held_out(manifest, validation, groups, share):
    """Logs how many tracks are held out, as a warning where that is far from the share."""
    held = float(validation.mean())
    far = not 0.5 <= held / share <= 2.0 or not 0.5 <= (1.0 - held) / (1.0 - share) <= 2.0
    _LOG.log(
        logging.WARNING if far else logging.INFO,
        "%s: %d of %d tracks are held out, %.3g %% for held_out: %g, as all of an artist (album, "
        "folder) is or none of it, and there are %d of them",
        *(manifest.location, validation.sum(), len(validation), 100 * held, share, groups),
    )


def label_balance(manifest: Manifest, tracks: np.ndarray) -> np.ndarray:
    """Weights of tracks with which each label is equally often what a track is drawn for, `(n,)`.

    It comes with the tracks that are drawn for their other labels too. A track's weight is the sum,
    over its labels, of one over the number of these tracks with that label: they share one unit
    among them. A track without labels is never drawn.

    Args:
        manifest: of the tracks.
        tracks: `(n,)` rows that are drawn from.
    """
    return manifest.sum_over_labels(1.0 / np.maximum(manifest.label_counts(tracks), 1))[tracks]


def starts(rng: np.random.Generator, frames: np.ndarray, snippet: int) -> np.ndarray:
    """First frames of random snippets, uniform over all places where none is padded.

    Args:
        rng: NumPy generator.
        frames: `(n,)` lengths of the tracks, each at least `snippet`.
        snippet: length of the snippets.
    """
    return rng.integers(0, np.asarray(frames) - snippet + 1)


def distance_limit(seconds: float, hop_seconds: float) -> int:
    """The largest number of frames between two centres that are *less than* `seconds` apart.

    Within 5 s at a hop of 10 ms that is 499: 500 frames are 5 s, and no longer less.
    """
    return math.ceil(round(seconds / hop_seconds, 6)) - 1


def positive_starts(
    rng: np.random.Generator,
    anchors: np.ndarray,
    frames: np.ndarray,
    snippet: int,
    limit: int | None = None,
) -> np.ndarray:
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


def hard_negative_starts(
    rng: np.random.Generator,
    anchors: np.ndarray,
    frames: np.ndarray,
    snippet: int,
    limit: int,
    count: int,
) -> np.ndarray:
    """First frames of snippets of the same tracks that are too far away to be positives.

    Places in front of the anchor and behind it are numbered through, and a number is drawn. Of a
    track of 10 frames with snippets of 1 frame, an anchor at 4 and a limit of 2, the places are

        0 1 . . . . . 7 8 9      where 2 to 6 may be positives: `before` is 2, `resume` is 7
        0 1           2 3 4      are their numbers

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


def hard_negative_frames(snippet: int, limit: int) -> int:
    """Length from which a track has a hard negative, wherever in it the anchor lies."""
    return snippet + 2 * (limit + 1) - 1


def fixed_starts(frames: np.ndarray, snippet: int, per_track: int) -> np.ndarray:
    """First frames of evenly spaced snippets: the middles of equal parts of all possible places.

    A track of 11 frames has 10 steps between the first and the last snippet of one frame; two
    parts of 5 have their middles at 2.5 and 7.5, and the snippets begin at 2 and 7.

    Returns:
        int64 `(n, per_track)`.
    """
    parts = (np.arange(per_track) + 0.5) / per_track
    return np.floor((np.asarray(frames) - snippet)[:, None] * parts).astype(np.int64)


def fixed_pair_starts(
    frames: np.ndarray, snippet: int, per_track: int, limit: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """First frames of pairs around the places of `fixed_starts`, half the largest distance apart.

    Returns:
        anchors and positives, int64 `(n, per_track)` each.
    """
    last = (np.asarray(frames) - snippet)[:, None]
    distance = (last if limit is None else np.minimum(last, limit)) // 2
    anchors = fixed_starts(frames, snippet, per_track) - distance // 2
    anchors = np.clip(anchors, 0, last - distance)
    return anchors, anchors + distance
