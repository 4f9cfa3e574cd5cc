"""Reads the graph and the arrays of a functional model that Keras 2 saved.

A current Keras cannot deserialise such models when their layers are custom. Here nothing is
instantiated: the graph is JSON, the weights are arrays.
"""

import collections
import dataclasses
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from mar.errors import InputError
from mar.models.archive import Members, refuse_pointer
from mar.models.bundle import Bundle
from mar.util import plain_data, protobuf

# Where the object graph of a checkpoint has the variables of a layer, by the layer's class.
_CHECKPOINT_PARTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "WeightStandardization": (("v",), ("gain",), ("layer", "bias")),
    "ScalarMultiply": (("gain",),),
}
_OTHER_PARTS: tuple[tuple[str, ...], ...] = (("kernel",), ("bias",))
_Json = dict[str, Any]
_Arrays = dict[str, list[np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer with weights: its name, class and arrays, kernels before biases."""

    name: str
    kind: str
    arrays: tuple[np.ndarray, ...]

    def __str__(self) -> str:
        shapes = " ".join(str(array.shape) for array in self.arrays) or "no arrays"
        return f"{self.name} ({self.kind} with {shapes})"


def layers_of(path: pathlib.Path, members: Members) -> list[Layer]:
    """The layers with weights of a `.keras` file of Keras 2, in the order of `_walk`.

    Args:
        path: of the file, for messages.
        members: what is in it.

    Raises:
        InputError: it is no functional model, or weights are missing.
    """
    return _layers(path, members.config, lambda ls: _arrays_of_hdf5(path, ls, members.weights))


def read_saved_model(folder: pathlib.Path) -> list[Layer]:
    """The layers with weights of a SavedModel, in the order of `_walk`.

    Raises:
        InputError: the folder is no SavedModel of Keras 2, or a file in it is damaged.
    """
    files = sorted((folder / "variables").glob("variables.*"))
    if len(files) < 2:
        raise InputError(f"{folder}: missing weights: variables/ lacks its index or its data")
    if not (folder / "keras_metadata.pb").exists():
        raise InputError(
            f"{folder}: expected a SavedModel of Keras 2, but it has no keras_metadata.pb; a model "
            "that mar exported is loaded from its .keras file"
        )
    for path in (folder / "keras_metadata.pb", *files):
        refuse_pointer(path)
    graph, node_of = _read_metadata(folder / "keras_metadata.pb")
    bundle = Bundle(folder / "variables" / "variables")
    return _layers(folder, graph, lambda layers: _arrays_of_bundle(layers, node_of, bundle))


# ------------------------------------------------------------------------------------- the graph


def _layers(
    path: pathlib.Path, graph: _Json, read_arrays: Callable[[dict[str, _Json]], _Arrays]
) -> list[Layer]:
    try:
        layers = {layer["name"]: layer for layer in graph["config"]["layers"]}
        kinds = {name: layer["class_name"] for name, layer in layers.items()}
        order = list(_walk(graph["config"], layers))
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: not the graph of a Keras 2 model ({error!r})") from None
    arrays = read_arrays(layers)
    return [Layer(name, kinds[name], tuple(arrays[name])) for name in order if arrays.get(name)]


def _walk(config: _Json, layers: Mapping[str, _Json]) -> Iterator[str]:
    """Names of the layers, each after those that it takes its inputs from.

    It is a depth-first walk from the output, inputs in order: it depends neither on the layers'
    names nor on the order in which the file lists them. The output c(b(a), d(a)) gives a, b, d, c.
    """
    if "output_layers" not in config:  # a Sequential model
        yield from layers
        return
    done: set[str] = set()
    begun: set[str] = set()
    outputs = list(_producers(config["output_layers"], layers))
    stack = [(outputs[0], False)]
    while stack:
        name, inputs_done = stack.pop()
        if name in done:
            continue
        if inputs_done:
            done.add(name)
            yield name
        elif name in begun:
            raise ValueError(f"the layer {name} takes its own output")
        else:
            begun.add(name)
            inputs = list(_producers(layers[name]["inbound_nodes"], layers))
            stack += [(name, True), *((other, False) for other in reversed(inputs))]


def _producers(node: Any, layers: Mapping[str, _Json]) -> Iterator[str]:
    """Names of the layers in a description of inbound tensors, `[name, node, tensor, …]`."""
    if isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str) and node[0] in layers:
            yield node[0]
            node = node[3:]
        for part in node:
            yield from _producers(part, layers)
    elif isinstance(node, dict):
        for part in node.values():
            yield from _producers(part, layers)


# ----------------------------------------------------------------------------------- .keras files


def _arrays_of_hdf5(path: pathlib.Path, layers: Mapping[str, _Json], file: Any) -> _Arrays:
    """{layer name: arrays} from a `model.weights.h5`.

    Its groups are numbered within each class, in the order in which the graph lists the layers;
    they do not have the layers' names. If the graph lists the layers p (Dense), q (ReLU) and
    r (Dense), p's arrays are in the group `dense`, and r's in `dense_1`.
    """
    by_class = collections.defaultdict(list)
    for name, layer in layers.items():
        by_class[layer["class_name"]].append(name)
    arrays: _Arrays = {}
    try:
        groups = collections.defaultdict(list)
        stored = file.get("_layer_checkpoint_dependencies", {})
        for name in sorted(stored, key=_trailing_number):
            groups[re.sub(r"_\d+$", "", name)].append(stored[name])
        for kind, names in by_class.items():
            of_kind = groups[_snake_case(kind)]
            if len(of_kind) != len(names):
                raise InputError(
                    f"{path}: missing weights: expected {len(names)} groups for the layers of "
                    f"class {kind}, found {len(of_kind)}"
                )
            for name, group in zip(names, of_kind, strict=True):
                arrays[name] = _datasets(group)
    except InputError:
        raise
    except (OSError, KeyError, ValueError, RuntimeError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: the model.weights.h5 in it is damaged ({error})") from None
    return arrays


def _datasets(group: Any) -> list[np.ndarray]:
    """The arrays of a layer, then those of the layer that it wraps."""
    parts = [group[part] for part in ("vars", "layer/vars") if part in group]
    return [part[key][()] for part in parts for key in sorted(part, key=int)]


def _trailing_number(name: str) -> int:
    match = re.search(r"_(\d+)$", name)
    return int(match[1]) if match else -1


def _snake_case(name: str) -> str:
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


# ------------------------------------------------------------------------------------ SavedModels


def _read_metadata(path: pathlib.Path) -> tuple[_Json, dict[str, str]]:
    """The graph, and {layer name: its name in the checkpoint}, of a `keras_metadata.pb`.

    The file is a protocol buffer: field 1, repeated, is a node, whose field 3 is its path
    (`root.layer_with_weights-7`) and whose field 5 describes it in JSON.
    """
    try:
        data = path.read_bytes()
        described = {}
        for node in protobuf.spans(data, (0, len(data)), number=1):
            ((start, end),) = protobuf.spans(data, node, number=3)
            (description,) = protobuf.spans(data, node, number=5)
            described[data[start:end].decode()] = plain_data.parsed(data[slice(*description)])
        graph = described["root"]
        node_of = {
            value["name"]: node.removeprefix("root.")
            for node, value in described.items()
            if node.startswith("root.layer")
        }
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: damaged, or not written by Keras 2 ({error!r})") from None
    return graph, node_of


def _arrays_of_bundle(
    layers: Mapping[str, _Json], node_of: Mapping[str, str], bundle: Bundle
) -> _Arrays:
    """{layer name: arrays} from a checkpoint, by its graph of objects."""
    nodes = bundle.nodes()

    def array(path: Iterable[str | None]) -> np.ndarray | None:
        node = nodes[0]
        for name in path:
            if name not in node.children:
                return None
            node = nodes[node.children[name]]
        return bundle.array(node.keys[0]) if node.keys else None

    arrays: _Arrays = {}
    for name, layer in layers.items():
        parts = _CHECKPOINT_PARTS.get(layer["class_name"], _OTHER_PARTS)
        values = [array((node_of.get(name), *part)) for part in parts]
        arrays[name] = [value for value in values if value is not None]
    return arrays
