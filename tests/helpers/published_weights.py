"""Variants of the published model files: other layer numbers, other listings, damage."""

import json
import random
import re
import shutil
import zipfile

import h5py
import numpy as np

from mar.models import keras2
from mar.util import protobuf
from mar.util.protobuf import field


def shifted(name, by):
    """`dense_4` → `dense_104`, `dense` → `dense_100`."""
    found = re.fullmatch(r"(.*?)(?:_(\d+))?", name)
    return f"{found[1]}_{int(found[2] or 0) + by}"


def renamed(node, names):
    """A JSON document with every layer name replaced."""
    if isinstance(node, dict):
        return {key: renamed(value, names) for key, value in node.items()}
    if isinstance(node, list):
        return [renamed(item, names) for item in node]
    return names.get(node, node) if isinstance(node, str) else node


def relisted(layers, seed):
    """The layers in another, random, topological order."""
    rng = random.Random(seed)
    names = {layer["name"]: layer for layer in layers}
    waiting = {
        name: set(keras2._producers(layer["inbound_nodes"], names)) for name, layer in names.items()
    }
    order = []
    while waiting:
        ready = sorted(name for name, inputs in waiting.items() if not inputs)
        chosen = rng.choice(ready)
        order.append(names[chosen])
        del waiting[chosen]
        for inputs in waiting.values():
            inputs.discard(chosen)
    return order


def rewrite_keras_file(source, target, shift=0, seed=None):
    """Copies a Keras 2 `.keras` file with its layers renumbered, or listed in another order."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    graph = json.loads(members["config.json"])
    layers = graph["config"]["layers"]
    listing = layers if seed is None else relisted(layers, seed)
    rank_before = _ranks(layers)
    rank_after = _ranks(listing)
    graph["config"]["layers"] = listing
    graph = renamed(graph, {layer["name"]: shifted(layer["name"], shift) for layer in layers})
    weights = target.with_suffix(".h5")
    weights.write_bytes(members["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        groups = file["_layer_checkpoint_dependencies"]
        stored = {}
        for name in sorted(groups, key=keras2._trailing_number):
            stored.setdefault(re.sub(r"_\d+$", "", name), []).append(name)
        moves = {}
        for name, (kind, rank) in rank_before.items():
            of_kind = stored[keras2._snake_case(kind)]
            moves[of_kind[rank]] = shifted(of_kind[rank_after[name][1]], shift)
        for before in moves:
            groups.move(before, f"moving_{before}")
        for before, after in moves.items():
            groups.move(f"moving_{before}", after)
    members |= {"config.json": json.dumps(graph), "model.weights.h5": weights.read_bytes()}
    write_keras_file(target, members)


def write_keras_file(target, members):
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _ranks(layers):
    """{layer name: (class, place among the layers of its class)}."""
    count, ranks = {}, {}
    for layer in layers:
        kind = layer["class_name"]
        ranks[layer["name"]] = (kind, count.get(kind, 0))
        count[kind] = count.get(kind, 0) + 1
    return ranks


def rewrite_saved_model(source, target, shift=0, seed=None):
    """Copies a Keras 2 SavedModel with its layers renumbered, or listed in another order."""
    import tensorflow as tf
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    (target / "variables").mkdir(parents=True)
    metadata = (source / "keras_metadata.pb").read_bytes()
    described = {}
    for node in protobuf.spans(metadata, (0, len(metadata)), number=1):
        ((start, end),) = protobuf.spans(metadata, node, number=3)
        (description,) = protobuf.spans(metadata, node, number=5)
        described[metadata[start:end].decode()] = json.loads(metadata[slice(*description)])
    layers = described["root"]["config"]["layers"]
    listing = layers if seed is None else relisted(layers, seed)
    # Keras numbers the layers that have weights in the order in which it lists them.
    before = {value["name"]: path for path, value in described.items() if "with_weights" in path}
    with_weights = [layer["name"] for layer in listing if layer["name"] in before]
    moves = {before[name]: f"root.layer_with_weights-{k}" for k, name in enumerate(with_weights)}

    described["root"]["config"]["layers"] = listing
    names = {layer["name"]: shifted(layer["name"], shift) for layer in layers}
    described = {moves.get(path, path): renamed(value, names) for path, value in described.items()}
    (target / "keras_metadata.pb").write_bytes(
        b"".join(
            field(1, field(3, path.encode()) + field(5, json.dumps(value).encode()))
            for path, value in described.items()
        )
    )

    reader = tf.train.load_checkpoint(str(source / "variables" / "variables"))
    key = "_CHECKPOINTABLE_OBJECT_GRAPH"
    graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(reader.get_tensor(key))
    short = {a.removeprefix("root."): b.removeprefix("root.") for a, b in moves.items()}
    for child in graph.nodes[0].children:
        child.local_name = short.get(child.local_name, child.local_name)
    tensors = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    tensors[key] = graph.SerializeToString()
    tf.raw_ops.SaveV2(
        prefix=str(target / "variables" / "variables"),
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        tensors=[np.asarray(v) if name != key else v for name, v in tensors.items()],
    )


def copy_saved_model(source, target):
    shutil.copytree(source, target)
    return target
