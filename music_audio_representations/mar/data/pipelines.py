"""Batches of snippets and of pairs from TFRecords with a manifest, as `tf.data.Dataset`s."""

import functools
import logging
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from mar.config import Configurable, Param
from mar.data import sampling
from mar.errors import ConfigError
from mar.records.manifest import Manifest
from mar.records.reader import RecordReader
from mar.util.exit_guard import exit_guard
from mar.util.kinds import NonNegativeInt, PositiveFloat, PositiveInt, ProperShare

if TYPE_CHECKING:
    import tensorflow as tf

_LOG = logging.getLogger(__name__)
_FOREVER = 2**63 - 1
_PREFETCHED_STEPS = 2


class Field(NamedTuple):
    """One array of a batch: the shape of an example in it, and its type."""

    shape: tuple[int, ...]
    dtype: str


class RecordDataset(Configurable):
    """What both data sets share: which tracks there are, and which rows a worker reads.

    A batch is a dictionary of arrays by name, and a pure function of (seed, step). Random windows
    go on for ever; fixed ones pass through all tracks once, in order, and the last batch may be
    smaller.
    """

    records: str = Param(doc="Folder of the TFRecords, or their manifest; a path or a URI.")
    batch_size: PositiveInt = Param(default=512, doc="Examples in the batch of all replicas.")
    snippet_frames: PositiveInt = Param(default=300, doc="Frames of a snippet; 300 are 3 s.")
    windows: Literal["random", "fixed"] = Param(
        default="random",
        doc="random: tracks and places drawn afresh. fixed: the same ones each time (validation).",
    )
    windows_per_track: PositiveInt = Param(default=1, doc="With fixed windows: of each track.")
    held_out: ProperShare | None = Param(
        default=None, doc="Share of the tracks that is for validation; all of an artist or none."
    )
    part: Literal["train", "validation"] | None = Param(default=None, doc="The others, or those.")

    def __post_init__(self) -> None:
        _expect(
            (self.part is None) == (self.held_out is None),
            self,
            "part",
            "train or validation where held_out is given, or else null",
        )

    @functools.cached_property
    def reader(self) -> RecordReader:
        """The `RecordReader` of the records."""
        return RecordReader(self.records)

    @property
    def manifest(self) -> Manifest:
        """The records' `Manifest`: vocabulary, front end, hop."""
        return self.reader.manifest

    @functools.cached_property
    def tracks(self) -> np.ndarray:
        """Rows of the manifest whose tracks are of this part and long enough, `(n,)`."""
        part = np.full(len(self.manifest), True)
        if self.part is not None and self.held_out is not None:
            part = sampling.of_part(self.manifest, self.part, self.held_out)
        long_enough = self.manifest.frames >= self._needed_frames()
        rows = np.flatnonzero(part & long_enough)
        excluded = part.sum() - len(rows)
        if excluded:
            _LOG.warning(
                "%s: %d of %d tracks are shorter than %d frames and are left out",
                *(self.records, excluded, part.sum(), self._needed_frames()),
            )
        if len(rows) == 0:
            raise ConfigError(
                f"{self.records}: no track has the {self._needed_frames()} frames that are needed"
            )
        return rows

    @property
    def steps(self) -> int | None:
        """Number of batches; None with random windows, which never end."""
        if self.windows == "random":
            return None
        return -(-len(self.tracks) * self.windows_per_track // self.batch_size)

    def check_replicas(self, replicas: int) -> None:
        """Raises a ConfigError where the batch cannot be divided among so many replicas."""
        size = self.batch_size
        lower = size // replicas * replicas
        nearest = lower if lower and size - lower <= lower + replicas - size else lower + replicas
        expected = f"a multiple of the {replicas} replicas, such as {nearest}"
        _expect(size % replicas == 0, self, "batch_size", expected)

    def build(
        self,
        input_context: "tf.distribute.InputContext | None" = None,
        seed: int = 0,
        first_step: int = 0,
    ) -> "tf.data.Dataset":
        """The batches, prefetched, in the stored type: dictionaries of tensors, as `read`'s.

        Each element is the batch of one replica, as `strategy.distribute_datasets_from_function`
        takes them: a worker with r replicas gets r elements a step, which together are its own
        contiguous rows of the global batch. Without a context, it is the global batch.

        Of a batch of 8 on two workers with two replicas each, the first elements are

            worker 0: rows 0 and 1, rows 2 and 3
            worker 1: rows 4 and 5, rows 6 and 7

        Args:
            input_context: of the worker.
            seed: of the run.
            first_step: the step to begin with; its batch is what it would have been.

        Returns:
            A data set that is not sharded any further.

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
        fields = self._fields()
        guard = exit_guard()

        def replica_batch(element):
            step, replica = divmod(int(element), local)
            with guard as process_lives:
                if not process_lives:
                    return [np.empty((0, *field.shape), field.dtype) for field in fields.values()]
                batch = self.read(seed, step, worker * local + replica, replicas)
                return [batch[name] for name in fields]

        @tf.autograph.experimental.do_not_convert
        def tensors(element):
            types = [tf.as_dtype(field.dtype) for field in fields.values()]
            arrays = tf.numpy_function(replica_batch, [element], types)
            return {
                name: tf.ensure_shape(array, (None, *field.shape))
                for (name, field), array in zip(fields.items(), arrays, strict=True)
            }

        last = _FOREVER if self.steps is None else self.steps * local
        dataset = tf.data.Dataset.range(first_step * local, last)
        dataset = dataset.map(tensors, num_parallel_calls=2, deterministic=True)
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        # There is nothing to tune here, and its thread can miss that the iterator is being
        # destroyed: that waited for up to a minute.
        options.autotune.enabled = False
        return dataset.prefetch(_PREFETCHED_STEPS * local).with_options(options)

    def indices(self, seed: int, step: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Where the global batch of a step lies.

        Returns:
            tracks (rows of the manifest), int `(B,)`; and the first frames of each view's
            snippets, int `(B,)` or `(B, snippets of an example)`, by the views' names.
        """
        raise NotImplementedError

    def read(
        self, seed: int, step: int, replica: int = 0, replicas: int = 1
    ) -> dict[str, np.ndarray]:
        """A replica's batch of a step, as arrays by name: see the class.

        Raises:
            InputError: the records cannot be read.
        """
        rows = self._rows(step, replica, replicas)
        tracks, starts = self.indices(seed, step)
        return self._batch(tracks[rows], {view: first[rows] for view, first in starts.items()})

    def _batch(self, tracks, starts):
        return {view: self._snippets(tracks, first) for view, first in starts.items()}

    def _snippets(self, tracks, starts):
        """Snippets `(B, …, snippet_frames, n_mels)` as stored: at `(B, …)` in tracks `(B,)`."""
        repeated = np.repeat(tracks, starts.size // max(len(tracks), 1))
        snippets = self.reader.read(repeated, starts.ravel(), self.snippet_frames, dtype=None)
        return snippets.reshape(*starts.shape, *snippets.shape[1:])

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

    def _snippet_field(self, *inner):
        header = self.manifest.header
        return Field((*inner, self.snippet_frames, header.n_mels), header.dtype)


class SnippetDataset(RecordDataset):
    """Snippets and their labels: `{"snippets": (B, 300, 96), "labels": (B, vocabulary) float32}`.

    Snippets are plain log-mel in the stored type; `mar.standardize` makes a network's input of
    them: `model(mar.standardize(batch["snippets"]))`.
    """

    track_sampling: Literal["uniform", "label_balanced"] = Param(
        default="uniform",
        doc="How tracks are drawn: all alike, or with each label equally often what one is drawn "
        "for.",
    )

    def indices(self, seed: int, step: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Tracks, and first frames of `snippets`, `(B,)` each: see `RecordDataset.indices`."""
        frames, snippet = self.manifest.frames, self.snippet_frames
        if self.windows == "fixed":
            rows, (starts,) = self._fixed(
                step, lambda f: [sampling.fixed_starts(f, snippet, self.windows_per_track)]
            )
            return rows, {"snippets": starts}
        rng = sampling.generator(seed, step, "snippets")
        rows = self.tracks[sampling.tracks(rng, len(self.tracks), self.batch_size, self._weights)]
        return rows, {"snippets": sampling.starts(rng, frames[rows], snippet)}

    def _batch(self, tracks, starts):
        return {**super()._batch(tracks, starts), "labels": self.manifest.multi_hot(tracks)}

    @functools.cached_property
    def _weights(self):
        if self.track_sampling == "uniform":
            return None
        weights = sampling.label_balance(self.manifest, self.tracks)
        if not weights.any():
            raise ConfigError(f"{self.records}: no track has a label to be balanced by")
        return weights

    def _needed_frames(self):
        return self.snippet_frames

    def _fields(self):
        labels = Field((len(self.manifest.header.vocabulary),), "float32")
        return {"snippets": self._snippet_field(), "labels": labels}


class PairDataset(RecordDataset):
    """Two snippets of each track: `{"anchors": (B, 300, 96), "positives": (B, 300, 96)}`.

    With hard negatives, also `"negatives"`, `(B, hard_negatives, 300, 96)`. Snippets are plain
    log-mel in the stored type, see `mar.standardize`.
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
        super().__post_init__()
        _expect(
            not self.hard_negatives
            or (self.max_centre_distance_seconds is not None and self.windows == "random"),
            self,
            "hard_negatives",
            "0 where max_centre_distance_seconds is null or windows are fixed",
        )

    def indices(self, seed: int, step: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Tracks, and first frames of `anchors`, `positives` and, where they are asked for,
        `negatives`: see `RecordDataset.indices`.
        """
        frames, snippet = self.manifest.frames, self.snippet_frames
        if self.windows == "fixed":
            rows, (anchors, positives) = self._fixed(
                step,
                lambda f: sampling.fixed_pair_starts(
                    f, snippet, self.windows_per_track, self._limit
                ),
            )
            return rows, {"anchors": anchors, "positives": positives}
        rng = sampling.generator(seed, step, "pairs")
        rows = self.tracks[sampling.tracks(rng, len(self.tracks), self.batch_size)]
        anchors = sampling.starts(rng, frames[rows], snippet)
        positives = sampling.positive_starts(rng, anchors, frames[rows], snippet, self._limit)
        starts = {"anchors": anchors, "positives": positives}
        if self.hard_negatives:
            starts["negatives"] = sampling.hard_negative_starts(
                rng, anchors, frames[rows], snippet, self._limit, self.hard_negatives
            )
        return rows, starts

    @property
    def identical_pairs(self) -> int:
        """Number of tracks in which there is one place alone for both snippets of a pair."""
        if self._limit == 0:
            return len(self.tracks)
        return int(np.sum(self.manifest.frames[self.tracks] == self.snippet_frames))

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

    def _fields(self):
        fields = {"anchors": self._snippet_field(), "positives": self._snippet_field()}
        if self.hard_negatives:
            fields["negatives"] = self._snippet_field(self.hard_negatives)
        return fields


def _expect(condition, component, name, expected):
    if not condition:
        given = getattr(component, name)
        raise ConfigError(f"{type(component).__name__}.{name}: expected {expected}, got {given}")
