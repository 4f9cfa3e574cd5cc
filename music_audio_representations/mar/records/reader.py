"""Random access to spectrograms in TFRecords: a snippet costs no more than its own bytes.

A spectrogram lies in its shard row by row, so that a run of frames is a run of bytes. With 96 mels
in float16 (192 bytes a frame) and a track whose manifest row says offset 1,000,

    frames 500 to 799 are the 300 · 192 = 57,600 bytes from byte 1,000 + 500 · 192 = 97,000

and go, by one positioned read, straight to their place in the array that is returned.
"""

import collections
import concurrent.futures
import resource
import threading
from collections.abc import Sequence

import numpy as np

from mar.errors import InputError
from mar.records import manifest as manifests
from mar.records import storage
from mar.records.header import Shard, fingerprint
from mar.records.storage import File, Location

LOCAL_THREADS = 4
_ALIGNMENT = 64  # bytes; TensorFlow takes over arrays that are aligned to it without a copy
_KEPT_BUFFERS = 8  # a pipeline has about six batches at once


class RecordReader:
    """Reads runs of frames of a data set's tracks.

    Args:
        location: the data set's folder or its manifest; a path or a URI (see `storage`).

    Attributes:
        manifest: the `Manifest`.

    Raises:
        InputError: there is no manifest, it has labels without a name, or a shard is missing or has
            another size than the manifest says.
    """

    def __init__(self, location: Location) -> None:
        self.manifest = manifests.read(location)
        self.manifest.check_labels()
        header = self.manifest.header
        locations = [self.manifest.shard_location(shard) for shard in range(len(header.shards))]
        _check_sizes(header.shards, locations)
        remote = any(map(storage.is_remote, locations))
        threads = storage.REMOTE_THREADS if remote else LOCAL_THREADS
        self._shards = _OpenShards(header.shards, locations)
        self._pool = concurrent.futures.ThreadPoolExecutor(threads)
        self._buffers: collections.deque[np.ndarray] = collections.deque(maxlen=_KEPT_BUFFERS)
        self._threads = threads

    def read(
        self,
        track_indices: Sequence[int] | np.ndarray,
        first_frames: Sequence[int] | np.ndarray,
        frames: int,
        dtype: str | None = "float32",
    ) -> np.ndarray:
        """Reads snippets, one positioned read each.

        Args:
            track_indices: `(snippets,)` rows of the manifest.
            first_frames: `(snippets,)` first frame of each in its track.
            frames: length of each.
            dtype: of the result; None keeps the stored one.

        Returns:
            `(snippets, frames, n_mels)`.

        Raises:
            InputError: a snippet reaches beyond its track or has values that are not finite, or a
                shard cannot be read.
        """
        manifest, header = self.manifest, self.manifest.header
        tracks, first = np.asarray(track_indices, np.int64), np.asarray(first_frames, np.int64)
        self._check_range(tracks, first, frames)
        shape = (len(tracks), frames, header.n_mels)
        snippets = _aligned_empty(shape, header.dtype, self._buffers)
        offsets = manifest.offsets[tracks] + first * header.frame_bytes
        shards = manifest.shard_index[tracks]
        # Each thread reads in the order in which the bytes lie, and opens few shards. Snippets of
        # shards [1, 0, 1, 0] at offsets [900, 50, 100, 70] are read in the order [1, 3, 2, 0], by
        # two threads [1, 3] and [2, 0]; row 1 of the result is still the second that was asked for.
        order = np.lexsort((offsets, shards))
        jobs = [
            self._pool.submit(self._read_rows, snippets, rows, shards[rows], offsets[rows])
            for rows in np.array_split(order, self._threads)
            if len(rows)
        ]
        for job in jobs:
            job.result()
        self._check_finite(snippets, tracks, first)
        return snippets if dtype is None else snippets.astype(dtype, copy=False)

    def _read_rows(
        self, snippets: np.ndarray, rows: np.ndarray, shards: np.ndarray, offsets: np.ndarray
    ) -> None:
        """Reads `snippets[rows]`, which lie at these offsets of these shards."""
        snippet_bytes = snippets[0].nbytes
        buffer = snippets.reshape(-1).view(np.uint8).data
        opened, file = -1, None
        for row, shard, offset in zip(
            rows.tolist(), shards.tolist(), offsets.tolist(), strict=True
        ):
            if file is None or shard != opened:
                opened, file = shard, self._shards.open(shard)
            place = buffer[row * snippet_bytes : (row + 1) * snippet_bytes]
            try:
                count = file.read_into(place, offset)
            except OSError as error:
                raise InputError(
                    f"{self.manifest.shard_location(shard)}: cannot be read any more: "
                    f"{error.strerror or error}"
                ) from None
            if count != snippet_bytes:
                raise InputError(
                    f"{self.manifest.shard_location(shard)}: ends within the {snippet_bytes} bytes "
                    f"at byte {offset}: truncated since it was opened"
                )

    def _check_finite(self, snippets: np.ndarray, tracks: np.ndarray, first: np.ndarray) -> None:
        # Compared as integers: NumPy looks at half-precision numbers five times slower. Where none
        # is negative, as in log-mel, the largest tells: float16 has 0x3C00 for 1, 0x7C00 for
        # infinity, above that NaN, and from 0x8000 on all that is negative.
        bits = snippets.view(f"u{snippets.itemsize}")
        exponent = np.array(np.inf, snippets.dtype).view(bits.dtype)
        if bits.max(initial=0) < exponent or (bits & exponent).max(initial=0) < exponent:
            return
        bad = ~np.isfinite(snippets).all(axis=2)
        row = int(np.argmax(bad.any(axis=1)))
        raise InputError(
            f"{self.manifest.location}: track {self.manifest.id(tracks[row])!r} has NaN or "
            f"infinity in frame {first[row] + np.argmax(bad[row])}; `python -m "
            f"tfrecord_tools.verify` lists all such tracks: write the data set anew without them"
        )

    def _check_range(self, tracks: np.ndarray, first: np.ndarray, frames: int) -> None:
        manifest = self.manifest
        if len(tracks) and not (tracks.min() >= 0 and tracks.max() < len(manifest)):
            raise InputError(f"{manifest.location}: expected tracks 0 to {len(manifest) - 1}")
        outside = np.flatnonzero((first < 0) | (first + frames > manifest.frames[tracks]))
        if len(outside):
            track, start = tracks[outside[0]], first[outside[0]]
            raise InputError(
                f"{manifest.location}: track {manifest.id(track)!r} has {manifest.frames[track]} "
                f"frames; {frames} from frame {start} were asked for"
            )


class _OpenShards:
    """The shards used last stay open, as many as the process may well have open."""

    def __init__(self, shards: Sequence[Shard], locations: Sequence[str]) -> None:
        self._shards, self._locations = shards, locations
        # A quarter: there may be several readers, and other code opens files too.
        self._capacity = max(1, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)
        self._open: collections.OrderedDict[int, File] = collections.OrderedDict()
        self._known: set[int] = set()
        self._lock = threading.Lock()

    def open(self, shard: int) -> File:
        """The open file of a shard.

        One that others displace from here stays open for as long as a thread still uses it.
        """
        with self._lock:
            if shard in self._open:
                self._open.move_to_end(shard)
                return self._open[shard]
        file = storage.open_file(self._locations[shard])
        self._check(shard, file)
        with self._lock:
            self._open[shard] = file
            if len(self._open) > self._capacity:
                self._open.popitem(last=False)
        return file

    def _check(self, shard: int, file: File) -> None:
        """Refuses a file that is not the one the manifest was made of; checks each shard once."""
        if shard in self._known:
            return
        if fingerprint(file) != self._shards[shard].fingerprint:
            raise InputError(
                f"{self._locations[shard]}: not the file that the manifest was made of (its "
                f"beginning differs); mar records verify says what is wrong"
            )
        self._known.add(shard)


def _check_sizes(shards: Sequence[Shard], locations: Sequence[str]) -> None:
    for shard, location, size in zip(shards, locations, storage.sizes(locations), strict=True):
        if size is None:
            raise InputError(f"{location}: no such file; the manifest has {len(shards)} shards")
        if size != shard.size:
            raise InputError(
                f"{location}: has {size} bytes, the manifest says {shard.size}: truncated, or "
                f"changed after the manifest was made"
            )


class _Lent:
    """Memory that returns to the buffers when the last array that views it is gone.

    New memory costs about as much time as reading into it.
    """

    def __init__(self, raw: np.ndarray, buffers: collections.deque[np.ndarray]) -> None:
        self.__array_interface__ = raw.__array_interface__
        self._raw, self._buffers = raw, buffers

    def __del__(self) -> None:
        self._buffers.append(self._raw)


def _aligned_empty(
    shape: tuple[int, ...], dtype: str, buffers: collections.deque[np.ndarray]
) -> np.ndarray:
    """An array in the memory of the next buffer, or in new memory if that has another size."""
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    try:
        raw = buffers.pop()
    except IndexError:
        raw = np.empty(0, np.uint8)
    if len(raw) != count + _ALIGNMENT:
        raw = np.empty(count + _ALIGNMENT, np.uint8)
    lent = np.asarray(_Lent(raw, buffers))
    start = -raw.ctypes.data % _ALIGNMENT
    return lent[start : start + count].view(dtype).reshape(shape)
