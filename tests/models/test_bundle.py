"""Against TensorFlow's own reader and writer."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from helpers.resources import DATA
from mar.errors import InputError
from mar.models.bundle import Bundle
from mar.util.protobuf import read_varint

EARLIER = DATA / "earlier" / "run" / "checkpoints" / "ckpt-2"
TYPES = [
    *("float32", "float64", "float16", "bool"),
    *("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
]


def save(prefix, tensors, slices=None):
    """Writes tensors as TensorFlow does."""
    slices = slices or [""] * len(tensors)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(tensors),
        shape_and_slices=slices,
        tensors=list(tensors.values()),
    )
    return prefix


def various(count):
    """Tensors of all types and of 0 to 3 dimensions, whose names share beginnings."""
    rng = np.random.default_rng(count)
    shapes = [(), (1,), (0,), (3,), (2, 5), (4, 0, 2), (2, 3, 4)]
    tensors = {}
    for number in range(count):
        values = rng.uniform(0, 2, shapes[number % len(shapes)])
        name = f"layer_{number}/{'w' * (number % 5)}"
        tensors[name] = np.asarray(values).astype(TYPES[number % len(TYPES)])
    return tensors


@pytest.mark.parametrize("count", [1, 20, 3000])  # within a block of the index, and of many
def test_what_tensorflow_writes(tmp_path, count):
    tensors = various(count)
    bundle = Bundle(save(tmp_path / "model", tensors))
    assert set(bundle.names) == set(tensors)
    for name, expected in tensors.items():
        found = bundle.array(name)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(found, expected)


def test_shards(tmp_path):
    """Two halves, merged into one index of two files of data."""
    parts = [{"a": np.arange(5.0), "c": np.float32(3)}, {"b": np.arange(6).reshape(2, 3)}]
    paths = [str(save(tmp_path / f"part{k}", part)) for k, part in enumerate(parts)]
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=paths, destination_prefix=f"{tmp_path}/all")
    assert len(list(tmp_path.glob("all.data-*-of-00002"))) == 2
    bundle = Bundle(tmp_path / "all")
    for name, expected in {**parts[0], **parts[1]}.items():
        np.testing.assert_array_equal(bundle.array(name), expected)


def test_objects(tmp_path):
    """Every variable is found by its path through the objects."""
    module = tf.Module()
    module.inner = tf.Module()
    module.inner.gain = tf.Variable([1.0, 2.0])
    module.list = [tf.Variable(3), tf.Module()]
    prefix = tf.train.Checkpoint(model=module).write(str(tmp_path / "objects"))
    nodes = (bundle := Bundle(prefix)).nodes()

    def value(*path):
        node = nodes[0]
        for name in path:
            node = nodes[node.children[name]]
        return bundle.array(*node.keys)

    np.testing.assert_array_equal(value("model", "inner", "gain"), [1, 2])
    assert value("model", "list", "0") == 3


# ------------------------------------------------------------------------------------- bad input


@pytest.fixture
def small(tmp_path):
    return save(tmp_path / "model", {"first": np.arange(3.0), "second": np.arange(4)})


def test_every_flipped_byte_is_noticed(small):
    """But for those that say nothing: the place of a block that holds nothing, and padding."""
    index, data = (small.with_name(f"model.{end}") for end in ("index", "data-00000-of-00001"))
    names = Bundle(small).names
    silent, messages = [], []
    for path in (index, data):
        whole = path.read_bytes()
        for place in range(len(whole)):
            damaged = bytearray(whole)
            damaged[place] ^= 0x55
            path.write_bytes(damaged)
            try:
                bundle = Bundle(small)
                for name in names:
                    bundle.array(name)
                silent.append((path, place))
            except InputError as error:
                messages.append(str(error))
        path.write_bytes(whole)
    assert all(str(small) in message for message in messages)
    content = index.read_bytes()
    footer = len(content) - 48
    offset, position = read_varint(content, footer)
    size, _ = read_varint(content, position)
    unread = [*range(offset, offset + size + 5), *range(footer, len(content) - 8)]
    assert {path for path, _ in silent} == {index}
    assert {place for _, place in silent} < set(unread)


@pytest.mark.parametrize("end", ["index", "data-00000-of-00001"])
def test_truncated_and_missing_files(small, end):
    path = small.with_name(f"model.{end}")
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match="model: a damaged checkpoint"):
            [Bundle(small).array(name) for name in ("first", "second")]
    path.unlink()
    with pytest.raises(InputError, match=rf"model.{end}: cannot be read: No such file"):
        Bundle(small).array("second")


def test_what_is_not_understood_is_named(tmp_path):
    sliced = {"whole": np.zeros(2), "part": np.zeros((2, 3), np.float32)}
    bundle = Bundle(save(tmp_path / "sliced", sliced, ["", "4 3 0,2:-"]))
    with pytest.raises(InputError, match=r"sliced: expected whole tensors, but part .* slices"):
        bundle.array("part")
    bundle = Bundle(save(tmp_path / "model", {"text": tf.constant("x"), "number": np.zeros(2)}))
    with pytest.raises(InputError, match=r"model: expected numbers in text, found .* type 7"):
        bundle.array("text")
    with pytest.raises(InputError, match=r"no tensor 'numbers'; did you mean 'number'\?"):
        bundle.array("numbers")
    with pytest.raises(InputError, match="no tensor '_CHECKPOINTABLE_OBJECT_GRAPH'"):
        bundle.nodes()


def test_a_checkpoint_of_an_earlier_version(tmp_path):
    for path in EARLIER.parent.glob("ckpt-2.*"):
        shutil.copy(path, tmp_path)
    reader = tf.train.load_checkpoint(str(EARLIER))
    bundle = Bundle(tmp_path / "ckpt-2")
    assert set(bundle.names) == set(reader.get_variable_to_shape_map())
    for name in set(bundle.names) - {"_CHECKPOINTABLE_OBJECT_GRAPH"}:
        if reader.get_tensor(name).dtype != object:
            np.testing.assert_array_equal(bundle.array(name), reader.get_tensor(name))
