"""Framing and Examples, against TensorFlow's own."""

import numpy as np
import pytest
import tensorflow as tf

from mar.records import example, framing, storage


def write(path, *datas):
    path.write_bytes(b"".join(piece for data in datas for piece in framing.frame(data)))
    return storage.open_file(path)


def test_tensorflow_reads_what_we_frame(tmp_path):
    datas = [b"", b"x", bytes(range(256)) * 100]
    write(tmp_path / "a", *datas)
    assert [record.numpy() for record in tf.data.TFRecordDataset(str(tmp_path / "a"))] == datas


def test_we_read_what_tensorflow_frames(tmp_path):
    datas = [b"", b"x", bytes(range(256)) * 100]
    with tf.io.TFRecordWriter(str(tmp_path / "a")) as file:
        for data in datas:
            file.write(data)
    found = list(framing.records(storage.open_file(tmp_path / "a"), "a"))
    assert [data for _, _, data in found] == datas
    assert [(record, offset) for record, offset, _ in found] == [(0, 0), (1, 16), (2, 33)]


def test_pieces_make_one_record():
    assert b"".join(framing.frame(b"ab", b"", b"c")) == b"".join(framing.frame(b"abc"))


@pytest.mark.parametrize("byte", range(12 + 5 + 4))
def test_every_flipped_bit_is_noticed(tmp_path, byte):
    path = tmp_path / "a"
    write(path, b"first", b"second")
    damaged = bytearray(path.read_bytes())
    damaged[byte] ^= 1 << byte % 8
    path.write_bytes(damaged)
    with pytest.raises(framing.DamagedRecord, match="a: record 0 at byte 0: .*CRC") as caught:
        list(framing.records(storage.open_file(path), "a"))
    assert caught.value.resume == (None if byte < 12 else 21)


@pytest.mark.parametrize("kept", [22, 32, 33, 38, 42])
def test_truncation_is_noticed(tmp_path, kept):
    path = tmp_path / "a"
    write(path, b"first", b"second")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(framing.DamagedRecord, match="a: record 1 at byte 21: truncated"):
        list(framing.records(storage.open_file(path), "a"))


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_compressed_records_are_refused(tmp_path, compression):
    path = str(tmp_path / "a")
    options = tf.io.TFRecordOptions(compression_type=compression)
    with tf.io.TFRecordWriter(path, options) as file:
        file.write(b"data" * 10)
    with pytest.raises(framing.DamagedRecord, match="compressed"):
        list(framing.records(storage.open_file(path), path))


@pytest.mark.parametrize("size", [0, 1, 100, 127, 128, 16_500, 3_000_000])
def test_tensorflow_parses_what_we_encode(size):
    value = np.random.default_rng(size).bytes(size)
    front = example.encode(
        {"id": b"\xc3\xa9", "labels": [0, 127, 128, 2**40], "none": []}, "x", size
    )
    parsed = tf.train.Example.FromString(front + value).features.feature
    assert parsed["id"].bytes_list.value[:] == [b"\xc3\xa9"]
    assert parsed["labels"].int64_list.value[:] == [0, 127, 128, 2**40]
    assert parsed["none"].int64_list.value[:] == []
    assert parsed["x"].bytes_list.value[:] == [value]
    ours = example.decode(front + value)
    assert ours["x"].spans == [(len(front), len(front) + size)]


def test_we_parse_what_tensorflow_encodes():
    floats = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    feature = {
        "bytes": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"one", b"", b"two"])),
        "floats": tf.train.Feature(float_list=tf.train.FloatList(value=floats)),
        "ints": tf.train.Feature(int64_list=tf.train.Int64List(value=[-1, 0, 2**62])),
        "empty": tf.train.Feature(),
    }
    message = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
    ours = example.decode(message)
    assert {name: found.kind for name, found in ours.items()} == {
        "bytes": "bytes_list",
        "floats": "float_list",
        "ints": "int64_list",
        "empty": "bytes_list",
    }
    assert [message[slice(*span)] for span in ours["bytes"].spans] == [b"one", b"", b"two"]
    assert message[slice(*ours["floats"].spans[0])] == floats.tobytes()
    assert ours["ints"].integers == [-1, 0, 2**62]


def test_integers_may_be_unpacked():
    # Feature {3: Int64List {1: 5, 1: 300}}, each with a tag of its own.
    unpacked = b"\x1a\x05\x08\x05\x08\xac\x02"
    entry = b"\x0a\x01i\x12" + bytes([len(unpacked)]) + unpacked
    message = b"\x0a" + bytes([len(entry) + 2]) + b"\x0a" + bytes([len(entry)]) + entry
    assert tf.train.Example.FromString(message).features.feature["i"].int64_list.value == [5, 300]
    assert example.decode(message)["i"].integers == [5, 300]


@pytest.mark.parametrize("data", [b"\x0a\x7f", b"\xff" * 20, b"\x0b", b"hello world"])
def test_what_is_no_example_is_refused(data):
    with pytest.raises(ValueError, match=r"not a tf\.train\.Example"):
        example.decode(data)
