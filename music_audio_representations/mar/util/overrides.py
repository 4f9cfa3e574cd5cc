"""Changes of a configuration, `Class.parameter=value`."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from mar.errors import ConfigError, nearest, shown
from mar.util import kinds, yaml_values

CONSTANTS = "Constants"


def apply(document: dict, override: str, source: str, classes: Mapping[str, type]) -> None:
    """Sets one value in place.

    Each part of the path is a key, or an index into a list. It begins with the configuration's
    class, with `Constants`, or with a component's class that appears once:

        Analysis.feature_transforms.1.EmbeddingFeature.model_location=model.keras
        EmbeddingFeature.model_location=model.keras

    A component that the document leaves to a default is put into it, with the default's values.

    Args:
        document: `{Class: {…}, "Constants": {…}}`.
        override: `path=value`; lists and dictionaries as in YAML, all else as its parameter has it.
        source: where the document comes from, for messages.
        classes: components by name.

    Raises:
        ConfigError: it does not fit, or the class appears more than once.
    """
    keys, value = parse(override)
    if keys[0] == CONSTANTS:
        document.setdefault(CONSTANTS, {})
    elif keys[0] not in document:
        try:
            keys = [*_place(document, keys[0], classes), *keys[1:]]
        except LookupError as error:
            raise ConfigError(f"--set {override!r}: {source} configures {error.args[0]}") from None
    _set(document, keys, value, override, classes)


def parse(override: str) -> tuple[list[str], Any]:
    """The path and the value of `Class.parameter=value`.

    Raises:
        ConfigError: it is not of that form.
    """
    path, separator, text = override.partition("=")
    keys = path.strip().split(".")
    if not separator or not all(keys) or len(keys) < 2:
        raise ConfigError(f"--set {override!r}: expected Class.parameter=value")
    try:
        return keys, yaml_values.read(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r}: the value is not valid YAML: {error}") from None


def _set(document, keys, value, override, classes):
    node = document
    for depth, key in enumerate(keys):
        where = ".".join(keys[:depth])
        if isinstance(node, list):
            if not key.isdigit() or int(key) >= len(node):
                raise ConfigError(
                    f"--set {override!r}: {where} is a list; "
                    f"expected an index below {len(node)}, got {key!r}"
                )
            key = int(key)
        elif not isinstance(node, dict):
            raise ConfigError(f"--set {override!r}: {where} is {shown(node)}, which has no keys")
        if depth == len(keys) - 1:
            node[key] = value
            return
        if isinstance(node, dict) and node.get(key) is None:
            default = _defaults(classes.get(keys[depth - 1])).get(key) if depth else None
            is_meant = isinstance(default, dict) and keys[depth + 1] in default
            node[key] = default if is_meant or isinstance(default, list) else {}
        node = node[key]


def _place(document, name, classes):
    """The keys that lead to the one component of a class."""
    paths = [path for path in _components(document, classes) if path[-1] == name]
    if len(paths) > 1:
        places = " and ".join(".".join(path) for path in paths)
        raise LookupError(f"more than one {name!r}: begin with {places}")
    if not paths:
        names = {path[-1] for path in _components(document, classes)}
        raise LookupError(f"no {name!r}{nearest(name, names | {*document})}")
    return paths[0]


def _components(value, classes, path=()) -> Iterator[tuple[str, ...]]:
    """The paths of all components in a value, also of those that are defaults."""
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        here = (*path, str(key))
        if key in classes:
            yield here
            item = {**_defaults(classes[key]), **(item if isinstance(item, dict) else {})}
        yield from _components(item, classes, here)


def _defaults(cls: Any) -> dict[str, Any]:
    """The defaults of a component's parameters as plain data; of what is none, nothing."""
    return {n: kinds.plain(getattr(cls, n).default) for n in getattr(cls, "__PARAMS__", ())}
