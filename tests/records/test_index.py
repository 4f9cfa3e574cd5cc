"""TFRecords that others wrote with TensorFlow, in the layouts that are usual."""

import numpy as np
import pytest
import tensorflow as tf

from helpers import small_records
from mar.errors import ConfigError, InputError
from mar.records import index, schema
from mar.records.reader import RecordReader
from mar.records.verify import verify

FRAMES = [320, 450, 301]


def tf_feature(value):
    if isinstance(value, np.ndarray):
        return tf.train.Feature(float_list=tf.train.FloatList(value=value.ravel()))
    if all(isinstance(item, int) for item in value):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=value))
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=value))


def write(path, examples):
    with tf.io.TFRecordWriter(str(path)) as file:
        for values in examples:
            features = {name: tf_feature(value) for name, value in values.items()}
            example = tf.train.Example(features=tf.train.Features(feature=features))
            file.write(example.SerializeToString())


def layout(dtype="float32", **names):
    features = {**dict.fromkeys(schema.FEATURES), "spectrogram": "mel", **names}
    return index.Layout(features, dtype, small_records.FRONT_END)


def spectrograms(dtype="float32"):
    return [small_records.spectrogram(track, frames, dtype) for track, frames in enumerate(FRAMES)]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float_list"])
def test_spectrograms_as_bytes_and_as_floats(tmp_path, dtype):
    floats = dtype == "float_list"
    values = spectrograms("float32" if floats else dtype)
    for number, rows in enumerate((values[:2], values[2:])):
        write(
            tmp_path / f"{number}.tfrecord",
            [{"a": [7], "mel": v if floats else [v.tobytes()], "z": [b"other"]} for v in rows],
        )
    paths = [tmp_path / "0.tfrecord", tmp_path / "1.tfrecord"]
    count = index.index(
        paths, layout("float32" if floats else dtype), tmp_path / "manifest.parquet"
    )
    assert count == 3
    reader = RecordReader(tmp_path)
    for track, expected in enumerate(values):
        (found,) = reader.read([track], [10], 291)
        np.testing.assert_array_equal(found, expected[10:301])
    assert [reader.manifest.id(track) for track in range(3)] == [
        "0.tfrecord:0",
        "0.tfrecord:1",
        "1.tfrecord:0",
    ]
    assert not any(verify(reader.manifest))


@pytest.mark.parametrize("strings", [True, False])
def test_ids_and_labels(tmp_path, strings):
    labels = [[b"rock", b"calm"], [], [b"jazz"]] if strings else [[2, 0], [], [1]]
    write(
        tmp_path / "a",
        [
            {"mel": [v.tobytes()], "name": [f"é{t}".encode()], "tags": labels[t], "n": [len(v)]}
            for t, v in enumerate(spectrograms())
        ],
    )
    named = layout(id="name", labels="tags", frames="n")
    manifest_path = tmp_path / "elsewhere" / "set.parquet"
    manifest_path.parent.mkdir()
    index.index([tmp_path / "a"], named, manifest_path)
    manifest = RecordReader(manifest_path).manifest
    assert [manifest.id(track) for track in range(3)] == ["é0", "é1", "é2"]
    assert manifest.header.vocabulary == (["calm", "jazz", "rock"] if strings else ["0", "1", "2"])
    hot = [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    np.testing.assert_array_equal(manifest.multi_hot([0, 1, 2]), hot)
    assert not any(verify(manifest))
    with pytest.raises(
        InputError, match=r"track 'é\d' has the label .* not in the vocabulary of 1"
    ):
        index.index([tmp_path / "a"], named, manifest_path, ["calm"])


@pytest.mark.parametrize(
    ("example", "settings", "message"),
    [
        ({"other": [b"x"]}, {}, r"no feature 'mel', expected as spectrogram; has \['other'\]"),
        ({"mel": [1, 2]}, {}, "expected a bytes_list or a float_list, got ints"),
        ({"mel": [b"x" * 100]}, {}, "100 bytes, not a multiple of the 384 of a frame"),
        ({"mel": [b""]}, {}, "0 bytes, not a multiple"),
        ({"mel": [bytes(384), bytes(384)]}, {}, "expected one value, got 2"),
        ({"mel": np.zeros(96)}, {"dtype": "float16"}, "a float_list, which is float32"),
        ({"mel": [bytes(768)], "n": [3]}, {"frames": "n"}, "says 3 frames, holds 2"),
        ({"mel": [bytes(384)], "n": [b"1"]}, {"frames": "n"}, "'n': expected one integer"),
        ({"mel": [bytes(384)], "n": []}, {"frames": "n"}, "'n': expected one integer"),
        ({"mel": [bytes(384)], "i": [1]}, {"id": "i"}, "'i': expected one string"),
        ({"mel": [bytes(384)], "l": np.ones(1)}, {"labels": "l"}, "got floats"),
    ],
)
def test_records_laid_out_otherwise_are_named(tmp_path, example, settings, message):
    write(tmp_path / "a", [example])
    with pytest.raises(InputError, match=rf"a: record 0 at byte 0: .*{message}"):
        index.index([tmp_path / "a"], layout(**settings), tmp_path / "m.parquet")
    assert not (tmp_path / "m.parquet").exists()


def test_tracks_without_ids_are_told_apart_though_their_files_are_called_alike(tmp_path):
    for name in ("train", "test"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "part-0", [{"mel": [bytes(384)]}])
    paths = [tmp_path / "train" / "part-0", tmp_path / "test" / "part-0"]
    index.index(paths, layout(), tmp_path / "m.parquet")
    manifest = RecordReader(tmp_path / "m.parquet").manifest
    assert [manifest.id(track) for track in range(2)] == ["train/part-0:0", "test/part-0:0"]


def test_where_a_manifest_cannot_be_is_told_at_once(tmp_path):
    (tmp_path / "file").touch()
    for path, message in (
        (tmp_path / "m.txt", "expected a name that ends in .parquet"),
        ("s3://b/m.parquet", "s3://b/m.parquet: expected a place on a disk"),
        (tmp_path / "file" / "m.parquet", "m.parquet: cannot be written: (Not a|File exists)"),
    ):
        with pytest.raises((ConfigError, InputError), match=message):
            index.index([tmp_path / "none"], layout(), path)
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        index.index([tmp_path], layout(), tmp_path / "new" / "m.parquet")


def test_damaged_files_and_duplicate_ids_are_named(tmp_path):
    write(tmp_path / "a", [{"mel": [bytes(384)], "name": [b"x"]}])
    write(tmp_path / "b", [{"mel": [bytes(384)], "name": [b"x"]}])
    with pytest.raises(InputError, match="the id 'x' occurs in a, b"):
        index.index([tmp_path / "a", tmp_path / "b"], layout(id="name"), tmp_path / "m.parquet")
    data = bytearray((tmp_path / "b").read_bytes())
    data[100] ^= 1
    (tmp_path / "b").write_bytes(data)
    with pytest.raises(InputError, match="b: record 0 at byte 0: the CRC of its data differs"):
        index.index([tmp_path / "a", tmp_path / "b"], layout(id="name"), tmp_path / "m.parquet")
