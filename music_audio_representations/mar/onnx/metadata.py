"""What an exported file says of itself, as plain data, without the package `onnx`."""

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from mar.errors import InputError
from mar.util import files, plain_data
from mar.util.checksums import crc32c
from mar.util.kinds import PositiveInt
from mar.util.protobuf import Span, field, spans

SCHEMA = 1
# Numbers of fields in onnx/onnx.proto.
_GRAPH, _PROPERTIES = 7, 14  # of a model, whose properties have a key, 1, and a value, 2
_NODES, _ARRAYS = 1, 5  # of a graph
_ATTRIBUTES = 5  # of a node
_OF_ARRAYS, _OF_GRAPHS = (5, 10), (6, 11)  # of an attribute
_ELSEWHERE = 13  # of an array: where it lies, keys and values
_FORM = {
    **{"front_end": dict, "windows": dict, "provenance": dict, "origin": dict, "licence": str},
    **{"frames": PositiveInt, "dimensions": PositiveInt, "heads": tuple[dict, ...]},
    "precision": Literal["float32", "float16", "int8"],
}


def sealed(content: bytes) -> bytes:
    """A file's bytes with their checksum behind them, as one more entry of its metadata.

    The format has none; messages of protocol buffers may be appended to each other.
    """
    return content + _seal(crc32c(content))


def _seal(checksum: int) -> bytes:
    return field(_PROPERTIES, field(1, b"crc32c") + field(2, f"{checksum:08x}".encode()))


def check(path: str | os.PathLike[str]) -> None:
    """That a file is as `mar export` wrote it, and its data are in it or beside it.

    One that another program made of it, with data beside it perhaps, has no checksum at its end.

    Raises:
        InputError: it is damaged, or has data elsewhere.
    """
    data = files.read(path)
    end = max(0, len(data) - len(_seal(0)))
    is_sealed = data[end:-8] == _seal(0)[:-8]
    if is_sealed and data[end:] != _seal(crc32c(data[:end])):
        raise InputError(
            f"{path}: damaged: its checksum differs; export it again. (A program that changes it "
            "has to remove crc32c from its metadata)"
        )
    try:
        graphs = spans(data, (0, len(data)), _GRAPH)
        places = [place for graph in graphs for place in _outside(data, graph)]
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected a whole file of mar export: {error}") from None
    if odd := [place for place in places if os.path.isabs(place) or ".." in place.split("/")]:
        raise InputError(f"{path}: expected its data beside it, found them at {odd[0]!r}")


def origin(path: str | os.PathLike[str]) -> dict[str, str]:
    """`About.origin` of a file, which is not loaded; empty of one that others exported.

    Raises:
        InputError: it cannot be read, or is not a whole file.
    """
    return _entry(path, "origin")


def windows(path: str | os.PathLike[str]) -> dict[str, Any]:
    """`About.windows` of a file, see `origin`."""
    return _entry(path, "windows")


def _entry(path, name):
    """The dictionary that is one entry of a file's metadata."""
    data = files.read(path)
    try:
        for entry in spans(data, (0, len(data)), _PROPERTIES):
            key, value = (
                b"".join(data[slice(*span)] for span in spans(data, entry, number))
                for number in (1, 2)
            )
            if key == name.encode():
                return plain_data.checked(plain_data.parsed(value), {}, name)
    except ValueError as error:
        raise InputError(f"{path}: expected a whole ONNX file: {error}") from None
    return {}


def _outside(data: bytes, graph: Span) -> Iterator[str]:
    """Where a graph, and those within it, say that arrays lie which are not in the file."""
    arrays = spans(data, graph, _ARRAYS)
    for node in spans(data, graph, _NODES):
        for attribute in spans(data, node, _ATTRIBUTES):
            arrays += [span for number in _OF_ARRAYS for span in spans(data, attribute, number)]
            for inner in (span for number in _OF_GRAPHS for span in spans(data, attribute, number)):
                yield from _outside(data, inner)
    for array in arrays:
        for entry in spans(data, array, _ELSEWHERE):
            (key,), (value,) = spans(data, entry, 1), spans(data, entry, 2)
            if data[slice(*key)] == b"location":
                yield data[slice(*value)].decode()


@dataclasses.dataclass(frozen=True)
class About:
    """What a file holds beside its graph; each attribute is one entry of its metadata, in JSON.

    Attributes:
        front_end: resolved configuration of the `mar.LogMel` that its waveform goes through.
        windows: resolved configuration of the `mar.Windows` that its waveform is cut into.
        frames: of a snippet.
        dimensions: of an embedding.
        precision: "float32", "float16" or "int8", of the network's computation.
        heads: of each the output's name, task, kind, labels, thresholds and unit.
        licence: of the weights.
        provenance: `model`, the fingerprint of the weights, and whatever else changes embeddings.
        origin: where the weights came from, `model` and, of a file, `model_file`: its SHA-256; and
            which version of mar exported them.
        schema: version of these entries.
    """

    front_end: dict[str, Any]
    windows: dict[str, Any]
    frames: int
    dimensions: int
    precision: str
    heads: list[dict[str, Any]]
    licence: str
    provenance: dict[str, Any]
    origin: dict[str, str]
    schema: int = SCHEMA

    def entries(self) -> dict[str, str]:
        """As a file has them."""
        values = dataclasses.asdict(self).items()
        return {name: json.dumps(value, ensure_ascii=False) for name, value in values}

    @classmethod
    def of(cls, entries: Mapping[str, str], path: str) -> "About":
        """Reads the entries of a file.

        Raises:
            InputError: they are not there, or of a newer version of mar.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        try:
            values = {name: plain_data.parsed(entries[name]) for name in names}
            plain_data.checked(values, {"schema": int})
            if values["schema"] <= SCHEMA:
                plain_data.checked(values, _FORM)
        except (KeyError, ValueError) as error:
            there = ", ".join(sorted(entries)) or "none"
            raise InputError(
                f"{path}: expected an ONNX file that mar export wrote, whose metadata have "
                f"{', '.join(sorted(names))}; got {there} ({error!r}). "
                f"Where others exported it: --model '{path}?sample_rate=16000'"
            ) from None
        if values["schema"] > SCHEMA:
            raise InputError(
                f"{path}: expected metadata of schema {SCHEMA} or earlier, got {values['schema']}; "
                f"a newer version of mar wrote it"
            )
        return cls(**values)
