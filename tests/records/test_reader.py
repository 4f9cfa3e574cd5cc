"""Random access: what is read, what it costs, what is refused."""

import contextlib
import os
import shutil

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from helpers import small_records
from helpers.processes import run_python
from mar.errors import InputError
from mar.records import manifest as manifests
from mar.records import storage
from mar.records.reader import RecordReader

FRAMES = [700, 300, 45, 1200, 500, 333, 900, 310]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records") / "set"
    small_records.data_set(folder, FRAMES, shard_bytes=250_000)
    return folder


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_reads_the_frames_that_were_asked_for(tmp_path, dtype):
    reader = small_records.data_set(tmp_path / "set", FRAMES, shard_bytes=250_000, dtype=dtype)
    assert len(reader.manifest.header.shards) > 2
    rng = np.random.default_rng(0)
    tracks = rng.permutation(np.repeat([0, 1, 3, 4, 5, 6, 7], 20))
    first = rng.integers(0, np.array(FRAMES)[tracks] - 300 + 1)
    found = reader.read(tracks, first, 300)
    assert found.dtype == np.float32
    assert reader.read(tracks, first, 300, dtype=None).dtype == dtype
    for snippet, track, start in zip(found, tracks, first, strict=True):
        expected = small_records.spectrogram(track, FRAMES[track], dtype)[start : start + 300]
        np.testing.assert_array_equal(snippet, expected)


def test_the_last_frames_of_every_track_can_be_read(folder):
    reader = RecordReader(folder)
    for track, frames in enumerate(FRAMES):
        (whole,) = reader.read([track], [0], frames)
        np.testing.assert_array_equal(whole, small_records.spectrogram(track, frames))


def test_nothing_is_a_batch_too(folder):
    assert RecordReader(folder).read([], [], 300).shape == (0, 300, 96)


def test_memory_is_used_again_when_nobody_looks_at_it_any_more(folder):
    reader = RecordReader(folder)
    expected = small_records.spectrogram(3, 1200)

    def read(start, dtype=None):
        return reader.read([3, 3], [start, start + 10], 300, dtype)

    first = read(0)
    view, address = first[1:, 5:].swapaxes(0, 1), first.ctypes.data
    tensor = tf.convert_to_tensor(read(20)[1])
    del first
    for start in range(100, 120):  # while there is a view, it keeps its values
        np.testing.assert_array_equal(read(start)[0], expected[start : start + 300])
        assert read(start, "float32").ctypes.data != address
    np.testing.assert_array_equal(view[:, 0], expected[15:310])
    np.testing.assert_array_equal(tensor, expected[30:330])
    del view
    addresses = {read(start).ctypes.data for start in range(20)}
    assert addresses == {address}
    assert reader.read([1], [0], 300, None).ctypes.data % 64 == 0


def test_the_manifest_knows_ids_and_labels(folder):
    manifest = manifests.read(folder)
    tracks = [7, 0, 3, 3, 5]
    hot = np.zeros((5, 7), np.float32)
    for row, track in enumerate(tracks):
        hot[row, small_records.labels(track)] = 1
        assert manifest.id(track) == f"track {track}"
        assert manifest.labels(track).tolist() == small_records.labels(track)
    np.testing.assert_array_equal(manifest.multi_hot(tracks), hot)
    expected = sum(manifest.multi_hot([track])[0] for track in range(len(FRAMES)))
    np.testing.assert_array_equal(manifest.label_counts(), expected)


@pytest.mark.parametrize(("track", "first"), [(1, 1), (1, -1), (2, 0), (8, 0), (-1, 0), (3, 901)])
def test_frames_that_are_not_there_are_refused(folder, track, first):
    with pytest.raises(InputError, match="track"):
        RecordReader(folder).read([0, track], [0, first], 300)


def test_a_snippet_costs_its_own_bytes(folder):
    """Counted by the kernel: all that the process reads by system calls."""
    reader = RecordReader(folder)
    reader.read([0, 1, 3, 4, 5, 6, 7], [0] * 7, 300)  # opens all shards

    def bytes_read():
        with open("/proc/self/io") as file:
            return int(next(line for line in file if line.startswith("rchar")).split()[1])

    before = bytes_read()
    snippets = reader.read(np.full(200, 3), np.arange(200), 300, dtype=None)
    assert bytes_read() - before < 1.01 * snippets.nbytes


def test_more_shards_than_the_process_may_open(tmp_path):
    small_records.data_set(tmp_path / "set", [310] * 60, shard_bytes=60_000)
    script = """
import resource, sys
import numpy as np
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
from mar.records.reader import RecordReader
reader = RecordReader(sys.argv[1])
assert len(reader.manifest.header.shards) == 60
for seed in range(5):
    tracks = np.random.default_rng(seed).integers(0, 60, 500)
    assert np.isfinite(reader.read(tracks, tracks % 10, 300)).all()
"""
    process = run_python("-c", script, tmp_path / "set")
    assert process.returncode == 0, process.stderr


def shard(folder, number=1):
    return sorted(folder.glob("*.tfrecord"))[number]


def test_a_missing_shard_is_named(copy):
    shard(copy).unlink()
    with pytest.raises(InputError, match=r"shard-00001-of-0\d+\.tfrecord: no such file"):
        RecordReader(copy)


def test_a_truncated_shard_is_named(copy):
    os.truncate(shard(copy), 1000)
    with pytest.raises(InputError, match=r"shard-00001.*: has 1000 bytes, the manifest says \d+"):
        RecordReader(copy)


def test_a_shard_truncated_while_it_is_open_is_named(copy):
    reader = RecordReader(copy)
    size = shard(copy, 0).stat().st_size
    reader.read([0], [0], 300)
    os.truncate(shard(copy, 0), size // 4)
    with pytest.raises(InputError, match="shard-00000.*truncated since it was opened"):
        reader.read([0], [400], 300)


def data_set_with(folder, dtype, value):
    """A reader of tracks of which the seventh has a value in frame 850."""
    small_records.data_set(folder, FRAMES, shard_bytes=250_000, dtype=dtype)
    reader = RecordReader(folder)
    offset = int(reader.manifest.offsets[6] + 850 * reader.manifest.header.frame_bytes)
    with open(shard(folder, reader.manifest.shard_index[6]), "r+b") as file:
        file.seek(offset)
        file.write(np.array(value, dtype).tobytes())
    return reader


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_track_that_is_not_finite_is_named(tmp_path, dtype, value):
    reader = data_set_with(tmp_path / "set", dtype, value)
    for kept in (None, "float32"):
        with pytest.raises(InputError, match=r"track 'track 6' has NaN or infinity in frame 850;"):
            reader.read([0, 6, 6], [0, 0, 600], 300, kept)
    assert np.isfinite(reader.read([0, 6], [0, 550], 300)).all()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("end", ["min", "max"])
def test_all_finite_values_are_read(tmp_path, dtype, end):
    value = getattr(np.finfo(dtype), end)
    reader = data_set_with(tmp_path / "set", dtype, value)
    assert reader.read([0, 6], [0, 600], 300, None)[1, 250, 0] == value


def test_a_manifest_of_another_data_set_is_refused(copy, tmp_path):
    ids = [f"other {t}" for t in range(len(FRAMES))]
    small_records.data_set(tmp_path / "other", FRAMES, shard_bytes=250_000, ids=ids)
    assert [p.stat().st_size for p in sorted(copy.glob("*.tfrecord"))] == [
        p.stat().st_size for p in sorted((tmp_path / "other").glob("*.tfrecord"))
    ]
    shutil.copy(tmp_path / "other" / manifests.NAME, copy)
    with pytest.raises(InputError, match="shard-00000.*not the file that the manifest"):
        RecordReader(copy).read([0], [0], 300)


def test_what_is_no_manifest_is_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pytest.raises(InputError, match="none.*No such file"):
        RecordReader(tmp_path / "none")
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(InputError, match=r"text\.parquet: not a manifest"):
        RecordReader(tmp_path / "text.parquet")
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match=r"other\.parquet: .*mar records index"):
        RecordReader(tmp_path / "other.parquet")


def test_a_damaged_manifest_is_refused(folder, tmp_path):
    """A flipped bit, wherever it is but in the padding of Parquet's footer, or a lost end."""
    whole = (folder / manifests.NAME).read_bytes()
    path = tmp_path / "m.parquet"
    for byte in range(0, len(whole) // 2, 7):  # the pages of the columns
        path.write_bytes(whole[:byte] + bytes([whole[byte] ^ 4]) + whole[byte + 1 :])
        with contextlib.suppress(InputError):
            found, expected = manifests.read(path), manifests.read(folder)
            for name in ("offsets", "frames", "checksums", "shard_index"):
                np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        path.write_bytes(whole[:byte])
        with pytest.raises(InputError, match="not a manifest, or a damaged one"):
            manifests.read(path)


def test_tensorflow_file_systems_give_the_same(folder):
    """`ram://` is one that only TensorFlow knows, as hdfs:// and Azure."""
    import tensorflow as tf

    for path in folder.iterdir():
        with tf.io.gfile.GFile(f"ram://set/{path.name}", "wb") as file:
            file.write(path.read_bytes())
    remote, local = RecordReader("ram://set"), RecordReader(folder)
    tracks, first = [0, 3, 3, 6], [400, 0, 900, 77]
    np.testing.assert_array_equal(remote.read(tracks, first, 300), local.read(tracks, first, 300))
    file = storage.open_file(f"ram://set/{shard(folder).name}")
    assert file.read(file.size - 3, 10) == shard(folder).read_bytes()[-3:]
    assert file.read(file.size, 10) == b""
    with pytest.raises(InputError, match="ram://nowhere/manifest.parquet: cannot be read"):
        RecordReader("ram://nowhere")


def test_a_shard_that_cannot_be_read_any_more_is_named(folder):
    """As one on a server that went away."""
    import tensorflow as tf

    for path in folder.iterdir():
        with tf.io.gfile.GFile(f"ram://lost/{path.name}", "wb") as file:
            file.write(path.read_bytes())
    reader = RecordReader("ram://lost")
    reader.read([0], [0], 300)
    tf.io.gfile.remove(f"ram://lost/{shard(folder, 0).name}")
    with pytest.raises(InputError, match=r"ram://lost/shard-00000.*: cannot be read any more"):
        reader.read([0], [0], 300)


def test_files_that_give_less_at_a_time_are_read_whole(folder, monkeypatch):
    """As network file systems may."""
    preadv = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, into, at: preadv(fd, [into[0][:1000]], at))
    (snippet,) = RecordReader(folder).read([3], [17], 300)
    np.testing.assert_array_equal(snippet, small_records.spectrogram(3, 1200)[17:317])


def test_an_unknown_scheme_names_what_is_needed():
    with pytest.raises(InputError, match=r"nonsense://.*\[io\]"):
        RecordReader("nonsense://host/set")


def test_a_manifests_digest_is_of_its_tracks_however_they_are_stored(folder):
    header, table = manifests.read(folder).header, manifests.read_rows(folder)
    in_pieces = pa.concat_tables([table[:3], table[3:3], table[3:]])
    groups = pa.array(["", "ä", *table["id"].to_pylist()[2:]])
    named = table.set_column(table.column_names.index("group"), "group", groups)
    tables = (table, in_pieces, named, table.take([1, 0, *range(2, len(table))]))
    same, pieces, grouped, turned = (manifests.Manifest("m", header, t).digest() for t in tables)
    assert same == pieces
    assert len({same, grouped, turned}) == 3
