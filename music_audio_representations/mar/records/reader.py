"""Random access to spectrograms in TFRecords: a snippet costs the bytes of a snippet."""

import collections
import concurrent.futures
import resource
import threading

import numpy as np

from mar.errors import InputError
from mar.records import manifest as manifests
from mar.records import storage

LOCAL_THREADS = 4
_ALIGNMENT = 64  # TensorFlow takes over arrays that are aligned thus without a copy
_KEPT_BUFFERS = 8  # a pipeline has about six batches at once


class RecordReader:
    """Reads runs of frames of a data set's tracks.

    Args:
        location: the data set's folder or its manifest; a path or a URI (see `storage`).

    Attributes:
        manifest: the `Manifest`.

    Raises:
        InputError: no manifest, or a shard is missing or not of the size that the manifest says.
    """

    def __init__(self, location):
        self.manifest = manifests.read(location)
        header = self.manifest.header
        locations = [self.manifest.shard_location(shard) for shard in range(len(header.shards))]
        _check_sizes(header.shards, locations)
        remote = any(map(storage.is_remote, locations))
        threads = storage.REMOTE_THREADS if remote else LOCAL_THREADS
        self._shards = _OpenShards(header.shards, locations)
        self._pool = concurrent.futures.ThreadPoolExecutor(threads)
        self._buffers = collections.deque(maxlen=_KEPT_BUFFERS)
        self._threads = threads

    def read(self, track_indices, first_frames, frames, dtype="float32"):
        """Reads snippets, one positioned read each.

        Args:
            track_indices: `(n,)` rows of the manifest.
            first_frames: `(n,)` first frame of each.
            frames: number of frames of each.
            dtype: of the result; None keeps the stored one.

        Returns:
            `(n, frames, n_mels)`.

        Raises:
            InputError: a snippet reaches over its track's end, or a shard cannot be read.
        """
        manifest, header = self.manifest, self.manifest.header
        tracks, first = np.asarray(track_indices, np.int64), np.asarray(first_frames, np.int64)
        self._check_range(tracks, first, frames)
        shape = (len(tracks), frames, header.n_mels)
        snippets = _aligned_empty(shape, header.dtype, self._buffers)
        offsets = manifest.offsets[tracks] + first * header.frame_bytes
        shards = manifest.shard_index[tracks]
        order = np.lexsort((offsets, shards))
        rows = [part for part in np.array_split(order, self._threads) if len(part)]
        jobs = [
            self._pool.submit(self._read_rows, snippets, part, shards[part], offsets[part])
            for part in rows
        ]
        for job in jobs:
            job.result()
        return snippets if dtype is None else snippets.astype(dtype, copy=False)

    def _read_rows(self, snippets, rows, shards, offsets):
        bytes_each = snippets[0].nbytes
        buffer = memoryview(snippets.reshape(-1).view(np.uint8))
        opened, file = None, None
        places = zip(rows.tolist(), shards.tolist(), offsets.tolist(), strict=True)
        try:
            for row, shard, offset in places:
                if shard != opened:
                    opened, file = shard, self._shards.open(shard)
                place = buffer[row * bytes_each : (row + 1) * bytes_each]
                if file.read_into(place, offset) != bytes_each:
                    location = self.manifest.shard_location(shard)
                    raise InputError(
                        f"{location}: ends within the {bytes_each} bytes at byte {offset}: "
                        f"truncated since it was opened"
                    )
        except OSError as error:
            reason = error.strerror or error
            raise InputError(
                f"{self.manifest.shard_location(opened)}: cannot be read any more: {reason}"
            ) from None

    def _check_range(self, tracks, first, frames):
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
    """Shards that are open, the ones used last, within what the process may have open."""

    def __init__(self, shards, locations):
        self._shards, self._locations = shards, locations
        # A quarter: there may be several readers, and others who open files.
        self._capacity = max(1, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)
        self._open = collections.OrderedDict()
        self._known = set()
        self._lock = threading.Lock()

    def open(self, shard):
        """The open file. One that another displaced stays open while a thread still uses it."""
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

    def _check(self, shard, file):
        """That it is the file which the manifest speaks of, once for each."""
        if shard in self._known:
            return
        if manifests.fingerprint(file) != self._shards[shard].fingerprint:
            raise InputError(
                f"{self._locations[shard]}: not the file that the manifest was made of (its "
                f"beginning differs); python -m tfrecord_tools.verify says what is wrong"
            )
        self._known.add(shard)


def _check_sizes(shards, locations):
    for shard, location, size in zip(shards, locations, storage.sizes(locations), strict=True):
        if size is None:
            raise InputError(f"{location}: no such file; the manifest has {len(shards)} shards")
        if size != shard.size:
            raise InputError(
                f"{location}: has {size} bytes, the manifest says {shard.size}: truncated, or "
                f"changed after the manifest was made"
            )


class _Lent:
    """Memory that goes back among the buffers when the array of it and all views of that are gone.

    Memory that is new costs about as much as what is read into it.
    """

    def __init__(self, raw, buffers):
        self.__array_interface__ = raw.__array_interface__
        self._raw, self._buffers = raw, buffers

    def __del__(self):
        self._buffers.append(self._raw)


def _aligned_empty(shape, dtype, buffers):
    """An array whose memory is one of the buffers, if the next of them has the right size."""
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    try:
        raw = buffers.pop()
    except IndexError:
        raw = b""
    if len(raw) != count + _ALIGNMENT:
        raw = np.empty(count + _ALIGNMENT, np.uint8)
    lent = np.asarray(_Lent(raw, buffers))
    start = -raw.ctypes.data % _ALIGNMENT
    return lent[start : start + count].view(dtype).reshape(shape)
