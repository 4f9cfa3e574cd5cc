"""Reads the checkpoints of TensorFlow (tensor bundles) without TensorFlow.

A bundle is an index, `PREFIX.index`, and shards of data, `PREFIX.data-00000-of-00001`. The index is
a table of LevelDB: blocks of sorted keys and values, where a key says only how it goes on after the
key before it; then a block whose values are the places of those blocks, and at the end the place of
this one. A value is a protocol buffer that says in which shard, where and as what a tensor lies.

    keys "gain", "gates"       0 4 "gain", 2 3 "tes": the second begins as the first does, for 2

Sources: tensorflow/core/protobuf/tensor_bundle.proto and trackable_object_graph.proto, and
doc/table_format.md of LevelDB.
"""

import dataclasses
import math
import os
import pathlib
import struct
from collections.abc import Iterator

import numpy as np

from mar.errors import InputError, nearest
from mar.util import protobuf
from mar.util.checksums import crc32c, masked
from mar.util.protobuf import read_varint

_FOOTER_BYTES, _MAGIC = 48, bytes.fromhex("57fb808b247547db")
_BLOCK_TRAILER_BYTES = 5  # the kind of compression, and a CRC
_STRING = 7
_TYPES = {  # numbers of DataType in tensorflow/core/framework/types.proto
    **{1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?", 17: "<u2"},
    **{19: "<f2", 22: "<u4", 23: "<u8"},
}


@dataclasses.dataclass(frozen=True)
class _Entry:
    """What the index says of a tensor; a field that a message lacks is 0."""

    dtype: int = 0
    shape: tuple[int, ...] = ()
    shard: int = 0
    offset: int = 0
    size: int = 0
    checksum: bytes = b""
    is_sliced: bool = False


@dataclasses.dataclass(frozen=True)
class Node:
    """An object of those that were saved together.

    Attributes:
        children: `{name: number of the object}`.
        keys: under which its tensors are.
    """

    children: dict[str, int]
    keys: tuple[str, ...]


class Bundle:
    """The tensors of one checkpoint, which are read when they are asked for.

    Args:
        prefix: path of the checkpoint, without the endings of its files.

    Attributes:
        names: of the tensors.

    Raises:
        InputError: the index cannot be read, is damaged, or is of a kind that is not understood.
    """

    def __init__(self, prefix: str | os.PathLike[str]) -> None:
        self._prefix = os.fspath(prefix)
        try:
            table = dict(_table(pathlib.Path(f"{self._prefix}.index").read_bytes()))
            self._shards = _shards(table.pop(b""))
            # A key that begins with 0 is that of a slice, which the entry of its tensor tells of.
            named = {key.decode(): table[key] for key in table if not key.startswith(b"\0")}
            self._entries = {name: _entry(value) for name, value in named.items()}
        except OSError as error:
            raise InputError(f"{self._prefix}.index: cannot be read: {error.strerror}") from None
        except KeyError:
            raise self._damaged("the index says nothing of its shards") from None
        except (ValueError, IndexError, struct.error) as error:
            raise self._damaged(str(error)) from None
        self.names = tuple(self._entries)

    def array(self, name: str) -> np.ndarray:
        """The tensor of this name.

        Raises:
            InputError: there is none, or it is damaged, in slices, or not of numbers.
        """
        entry = self._found(name)
        if entry.dtype not in _TYPES:
            raise InputError(
                f"{self._prefix}: expected numbers in {name}, found TensorFlow's type {entry.dtype}"
            )
        data, dtype = self._read(name, entry), np.dtype(_TYPES[entry.dtype])
        if masked(crc32c(data)) != entry.checksum:
            raise self._damaged(f"the CRC of {name} differs")
        if len(data) != math.prod(entry.shape) * dtype.itemsize:
            raise self._damaged(f"{name} of shape {entry.shape} has {len(data)} bytes")
        return np.frombuffer(data, dtype).reshape(entry.shape).copy()

    def nodes(self) -> list[Node]:
        """The objects that were saved, the first of which holds all others.

        Raises:
            InputError: the checkpoint says nothing of objects, or is damaged.
        """
        graph = self._string("_CHECKPOINTABLE_OBJECT_GRAPH")
        try:
            places = protobuf.spans(graph, (0, len(graph)), number=1)
            nodes = [_node(graph, place) for place in places]
        except ValueError as error:
            raise self._damaged(f"the graph of objects: {error}") from None
        if not nodes or any(k >= len(nodes) for node in nodes for k in node.children.values()):
            raise self._damaged("the graph of objects lacks one that it names")
        return nodes

    def _string(self, name: str) -> bytes:
        """A tensor that is one string: its length as a varint, the length's CRC, then itself."""
        entry = self._found(name)
        data = self._read(name, entry)
        try:
            length, start = read_varint(data, 0)
            lengths = struct.pack("<I", length)
        except (ValueError, struct.error) as error:
            raise self._damaged(f"{name}: {error}") from None
        checksum, text = data[start : start + 4], data[start + 4 :]
        wrong = masked(crc32c(lengths)) != checksum or len(text) != length
        if wrong or masked(crc32c(lengths + checksum + text)) != entry.checksum:
            raise self._damaged(f"the CRC of {name} differs")
        return text

    def _found(self, name: str) -> _Entry:
        if name not in self._entries:
            hint = nearest(name, self._entries)
            raise InputError(f"{self._prefix}: the checkpoint has no tensor {name!r}{hint}")
        return self._entries[name]

    def _read(self, name: str, entry: _Entry) -> bytes:
        if entry.is_sliced:
            raise InputError(
                f"{self._prefix}: expected whole tensors, but {name} was saved in slices, as "
                "distributed runs of TensorFlow do"
            )
        path = f"{self._prefix}.data-{entry.shard:05d}-of-{self._shards:05d}"
        try:
            with open(path, "rb") as file:
                file.seek(entry.offset)
                data = file.read(entry.size)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        if len(data) < entry.size:
            raise self._damaged(f"its data end within {name}")
        return data

    def _damaged(self, reason: str) -> InputError:
        return InputError(f"{self._prefix}: a damaged checkpoint: {reason}")


def _table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a table of LevelDB."""
    if len(content) < _FOOTER_BYTES or content[-8:] != _MAGIC:
        raise ValueError("its index is not whole, or no index")
    footer, position = content[-_FOOTER_BYTES:], 0
    for _ in range(2):  # the place of a block that nobody needs
        _, position = read_varint(footer, position)
    for _, place in _block(content, footer[position:]):
        yield from _block(content, place)


def _block(content: bytes, place: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of the block at a place: its offset and size, both varints."""
    offset, position = read_varint(place, 0)
    size, _ = read_varint(place, position)
    stored = content[offset : offset + size + _BLOCK_TRAILER_BYTES]
    if len(stored) != size + _BLOCK_TRAILER_BYTES or masked(crc32c(stored[:-4])) != stored[-4:]:
        raise ValueError("the CRC of its index differs")
    if stored[size]:
        raise ValueError("its index is compressed, which TensorFlow does not do")
    (restarts,) = struct.unpack_from("<I", stored, size - 4)  # for binary search
    end = size - 4 - 4 * restarts
    position, key = 0, b""
    while position < end:
        shared, position = read_varint(stored, position)
        added, position = read_varint(stored, position)
        length, position = read_varint(stored, position)
        key = key[:shared] + stored[position : position + added]
        position += added + length
        yield key, stored[position - length : position]


def _shards(header: bytes) -> int:
    """The number of shards."""
    shards = 0
    for field in protobuf.fields(header):
        if field.number == 1:
            shards, _ = read_varint(header, field.start)
        elif field.number == 2 and header[field.start]:
            raise ValueError("it was written on a big-endian machine, which is not understood")
    return shards


def _entry(message: bytes) -> _Entry:
    numbers = {1: 0, 3: 0, 4: 0, 5: 0}
    shape: tuple[int, ...] = ()
    checksum, is_sliced = b"", False
    for field in protobuf.fields(message):
        if field.number in numbers:
            numbers[field.number], _ = read_varint(message, field.start)
        elif field.number == 2:
            dimensions = protobuf.spans(message, (field.start, field.end), number=2)
            shape = tuple(_number(message, span) for span in dimensions)
        elif field.number == 6:
            checksum = message[field.start : field.end]
        elif field.number == 7:
            is_sliced = True
    dtype, shard, offset, size = numbers.values()
    return _Entry(dtype, shape, shard, offset, size, checksum, is_sliced)


def _node(graph: bytes, span: protobuf.Span) -> Node:
    children = {}
    for child in protobuf.spans(graph, span, number=1):
        ((start, end),) = protobuf.spans(graph, child, number=2)
        children[graph[start:end].decode()] = _number(graph, child)
    attributes = protobuf.spans(graph, span, number=2)
    keys = [key for place in attributes for key in protobuf.spans(graph, place, number=3)]
    return Node(children, tuple(graph[start:end].decode() for start, end in keys))


def _number(message: bytes, span: protobuf.Span) -> int:
    """The integer in field 1 of a message, which is left out where it is 0."""
    found = [field.start for field in protobuf.fields(message, *span) if field.number == 1]
    return read_varint(message, found[0])[0] if found else 0
