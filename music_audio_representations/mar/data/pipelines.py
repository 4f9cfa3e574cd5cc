"""Batches of snippets and of pairs from TFRecords with a manifest, as `tf.data.Dataset`s."""

import functools
import logging
from typing import Literal

import numpy as np

from mar.config import Configurable, Param
from mar.data import sampling
from mar.errors import ConfigError
from mar.records.reader import RecordReader
from mar.util.exit_guard import python_calls
from mar.util.kinds import NonNegativeInt, PositiveFloat, PositiveInt

_FOREVER = 2**63 - 1
_PREFETCHED_STEPS = 2


class RecordDataset(Configurable):
    """What both data sets share: which tracks there are, and which rows a worker reads.

    A batch is a pure function of (seed, step). Random windows go on for ever; fixed ones pass
    through all tracks once, in order, and the last batch may be smaller.
    """

    records: str = Param(doc="Folder of the TFRecords, or their manifest; a path or a URI.")
    batch_size: PositiveInt = Param(
        default=512, doc="Examples in the global batch, over all replicas."
    )
    snippet_frames: PositiveInt = Param(default=300, doc="Frames of a snippet; 300 are 3 s.")
    windows: Literal["random", "fixed"] = Param(
        default="random",
        doc="random: tracks and places drawn afresh. fixed: the same ones each time (validation).",
    )
    windows_per_track: PositiveInt = Param(
        default=1, doc="With fixed windows, examples of each track."
    )

    @functools.cached_property
    def reader(self):
        """The `RecordReader` of the records."""
        return RecordReader(self.records)

    @property
    def manifest(self):
        """The records' `Manifest`: vocabulary, front end, hop."""
        return self.reader.manifest

    @functools.cached_property
    def tracks(self):
        """Rows of the manifest whose tracks are long enough, `(n,)`."""
        rows = np.flatnonzero(self.manifest.frames >= self._needed_frames())
        excluded = len(self.manifest) - len(rows)
        if excluded:
            logging.warning(
                "%s: %d of %d tracks are shorter than %d frames and are left out",
                *(self.records, excluded, len(self.manifest), self._needed_frames()),
            )
        if len(rows) == 0:
            raise ConfigError(
                f"{self.records}: no track has the {self._needed_frames()} frames that are needed"
            )
        return rows

    @property
    def steps(self):
        """Number of batches; None with random windows, which never end."""
        if self.windows == "random":
            return None
        return -(-len(self.tracks) * self.windows_per_track // self.batch_size)

    def check_replicas(self, replicas):
        """Raises a ConfigError where the batch cannot be divided among so many replicas."""
        size = self.batch_size
        lower = size // replicas * replicas
        nearest = lower if lower and size - lower <= lower + replicas - size else lower + replicas
        expected = f"a multiple of the {replicas} replicas, such as {nearest}"
        _expect(size % replicas == 0, self, "batch_size", expected)

    def build(self, input_context=None, seed=0, first_step=0):
        """The batches, prefetched, in the stored type.

        Each element is the batch of one replica, as `strategy.distribute_datasets_from_function`
        takes them: a worker with r replicas gets r elements a step, which together are its own
        contiguous rows of the global batch. Without a context, it is the global batch.

        Args:
            input_context: `tf.distribute.InputContext` of the worker.
            seed: of the run.
            first_step: the step to begin with; its batch is what it would have been.

        Returns:
            `tf.data.Dataset`, not sharded any further.

        Raises:
            ConfigError: the batch cannot be divided among the replicas, or no track is long enough.
            InputError: the records cannot be read.
        """
        import tensorflow as tf

        replicas = input_context.num_replicas_in_sync if input_context else 1
        workers = input_context.num_input_pipelines if input_context else 1
        worker = input_context.input_pipeline_id if input_context else 0
        self.check_replicas(replicas)
        if seed < 0 or first_step < 0:
            raise ConfigError(f"expected seed and step of at least 0, got {seed} and {first_step}")
        self.indices(seed, first_step)  # whatever is wrong shows here, not in TensorFlow's threads
        local = replicas // workers
        signature = self._signature(tf)
        calls = python_calls()

        def replica_batch(element):
            step, replica = divmod(int(element), local)
            with calls as go_on:
                if not go_on:
                    shapes = [[0, *spec.shape[1:]] for spec in signature]
                    dtypes = [spec.dtype.as_numpy_dtype for spec in signature]
                    return tuple(map(np.empty, shapes, dtypes))
                return self.read(seed, step, worker * local + replica, replicas)

        def tensors(element):
            outputs = tf.numpy_function(replica_batch, [element], [s.dtype for s in signature])
            pairs = zip(outputs, signature, strict=True)
            return tuple(tf.ensure_shape(output, spec.shape) for output, spec in pairs)

        last = _FOREVER if self.steps is None else self.steps * local
        dataset = tf.data.Dataset.range(first_step * local, last)
        dataset = dataset.map(tensors, num_parallel_calls=2, deterministic=True)
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        # There is nothing to tune here, and its thread can miss that the iterator is being
        # destroyed: that waited for up to a minute.
        options.autotune.enabled = False
        return dataset.prefetch(_PREFETCHED_STEPS * local).with_options(options)

    def _rows(self, step, replica, replicas):
        """The slice of the global batch that a replica reads."""
        size = self.batch_size
        if self.steps is not None:
            size = min(size, len(self.tracks) * self.windows_per_track - step * size)
        return slice(replica * size // replicas, (replica + 1) * size // replicas)

    def _fixed(self, step, starts):
        """Tracks of a step's fixed windows, and their places among `starts` of all tracks."""
        total = len(self.tracks) * self.windows_per_track
        examples = np.arange(step * self.batch_size, min((step + 1) * self.batch_size, total))
        rows = self.tracks[examples // self.windows_per_track]
        windows = examples % self.windows_per_track
        return rows, [s[np.arange(len(rows)), windows] for s in starts(self.manifest.frames[rows])]

    def _snippets_spec(self, tf, *inner):
        shape = (None, *inner, self.snippet_frames, self.manifest.header.n_mels)
        return tf.TensorSpec(shape, tf.as_dtype(self.manifest.header.dtype))


class SnippetDataset(RecordDataset):
    """Snippets and their labels: `(snippets (B, 300, 96), labels (B, vocabulary) float32)`."""

    track_sampling: Literal["uniform", "label_balanced"] = Param(
        default="uniform",
        doc="How tracks are drawn: all alike, or so that each label comes equally often.",
    )

    def indices(self, seed, step):
        """Tracks (rows of the manifest) and first frames of the global batch, `(B,)` each."""
        frames, snippet = self.manifest.frames, self.snippet_frames
        if self.windows == "fixed":
            rows, (starts,) = self._fixed(
                step, lambda f: [sampling.fixed_starts(f, snippet, self.windows_per_track)]
            )
            return rows, starts
        rng = sampling.generator(seed, step, "snippets")
        rows = self.tracks[sampling.tracks(rng, len(self.tracks), self.batch_size, self._weights)]
        return rows, sampling.starts(rng, frames[rows], snippet)

    def read(self, seed, step, replica=0, replicas=1):
        """A replica's snippets and labels of a step, as NumPy."""
        rows = self._rows(step, replica, replicas)
        tracks, starts = (indices[rows] for indices in self.indices(seed, step))
        snippets = self.reader.read(tracks, starts, self.snippet_frames, dtype=None)
        return snippets, self.manifest.multi_hot(tracks)

    @functools.cached_property
    def _weights(self):
        if self.track_sampling == "uniform":
            return None
        weights = sampling.label_balance(self.manifest)[self.tracks]
        if not weights.any():
            raise ConfigError(f"{self.records}: no track has a label to be balanced by")
        return weights

    def _needed_frames(self):
        return self.snippet_frames

    def _signature(self, tf):
        labels = tf.TensorSpec((None, len(self.manifest.header.vocabulary)), tf.float32)
        return self._snippets_spec(tf), labels


class PairDataset(RecordDataset):
    """Two snippets of each track: `(anchors (B, 300, 96), positives (B, 300, 96))`.

    With hard negatives, `(anchors, positives, negatives (B, hard_negatives, 300, 96))`.
    """

    max_centre_distance_seconds: PositiveFloat | None = Param(
        default=5.0,
        doc="The centres of a pair are less than this apart; null: anywhere in the track "
        "(AudioSet).",
    )
    hard_negatives: NonNegativeInt = Param(
        default=0,
        doc="For each anchor, more snippets of its track, farther away than a positive can be.",
    )

    def __post_init__(self) -> None:
        _expect(
            not self.hard_negatives
            or (self.max_centre_distance_seconds is not None and self.windows == "random"),
            self,
            "hard_negatives",
            "0 where max_centre_distance_seconds is null or windows are fixed",
        )

    def indices(self, seed, step):
        """Tracks, anchors, positives `(B,)`, and hard negatives `(B, hard_negatives)`."""
        frames, snippet = self.manifest.frames, self.snippet_frames
        if self.windows == "fixed":
            rows, (anchors, positives) = self._fixed(
                step,
                lambda f: sampling.fixed_pair_starts(
                    f, snippet, self.windows_per_track, self._limit
                ),
            )
            return rows, anchors, positives, np.zeros((len(rows), 0), np.int64)
        rng = sampling.generator(seed, step, "pairs")
        rows = self.tracks[sampling.tracks(rng, len(self.tracks), self.batch_size)]
        anchors = sampling.starts(rng, frames[rows], snippet)
        positives = sampling.positive_starts(rng, anchors, frames[rows], snippet, self._limit)
        negatives = np.zeros((len(rows), 0), np.int64)
        if self.hard_negatives:
            negatives = sampling.hard_negative_starts(
                rng, anchors, frames[rows], snippet, self._limit, self.hard_negatives
            )
        return rows, anchors, positives, negatives

    def read(self, seed, step, replica=0, replicas=1):
        """A replica's snippets of a step, as NumPy."""
        rows = self._rows(step, replica, replicas)
        tracks, *starts, negatives = (indices[rows] for indices in self.indices(seed, step))
        views = [self.reader.read(tracks, first, self.snippet_frames, None) for first in starts]
        if self.hard_negatives:
            repeated = np.repeat(tracks, self.hard_negatives)
            far = self.reader.read(repeated, negatives.ravel(), self.snippet_frames, None)
            views.append(far.reshape(len(tracks), self.hard_negatives, *far.shape[1:]))
        return tuple(views)

    @functools.cached_property
    def _limit(self):
        """Largest distance of a pair in frames, or None."""
        if self.max_centre_distance_seconds is None:
            return None
        hop_seconds = self.manifest.header.hop_seconds
        return sampling.distance_limit(self.max_centre_distance_seconds, hop_seconds)

    def _needed_frames(self):
        if not self.hard_negatives:
            return self.snippet_frames
        return sampling.hard_negative_frames(self.snippet_frames, self._limit)

    def _signature(self, tf):
        views = [self._snippets_spec(tf)] * 2
        if self.hard_negatives:
            views.append(self._snippets_spec(tf, self.hard_negatives))
        return tuple(views)


def _expect(condition, component, name, expected):
    if not condition:
        given = getattr(component, name)
        raise ConfigError(f"{type(component).__name__}.{name}: expected {expected}, got {given}")
