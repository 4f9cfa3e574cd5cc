"""Configuration files: safe YAML with constants, and `Class.parameter=value` overrides."""

import os
import re
from collections.abc import Iterable
from typing import Any

import yaml

from mar.errors import ConfigError, InputError, nearest, shown
from mar.util.text import read_text

CONSTANTS = "Constants"
_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
_SCOOCH_MACROS = ("inherit", "datetime")


def read(path: str | os.PathLike, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """Reads `{Class: {parameter: value}}` from a YAML file.

    `${NAME}` is replaced, anywhere in a value, by `NAME` of the file's `Constants` section.

    Args:
        path: a YAML file with one top-level class (and, beside it, `Constants`).
        overrides: strings `Class.param.path=value`. Each part of the path is a key, or an index
            into a list; the value is read as YAML. `Constants.NAME=value` sets a constant.

    Raises:
        ConfigError: the file cannot be read, a key appears twice, there is not exactly one
            top-level class, a placeholder has no value or an override does not fit.
    """
    try:
        document = yaml.load(read_text(path), Loader=_Loader)
    except InputError as error:
        raise ConfigError(str(error)) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected `Class: {{parameters}}`, got {shown(document)}")
    return assembled(document, overrides, str(path))


def assembled(document: dict, overrides: Iterable[str], source: str) -> dict[str, Any]:
    """The configuration of a document: overrides applied, placeholders filled in.

    Args:
        document: `{Class: {…}, "Constants": {…}}`; is changed.
        overrides: see `read`.
        source: where the document comes from, for messages.
    """
    for override in overrides:
        _override(document, override, source)
    constants = document.pop(CONSTANTS, None) or {}
    if len(document) != 1:
        raise ConfigError(
            f"{source}: expected one top-level class (beside {CONSTANTS}), got {sorted(document)}"
        )
    return _interpolated(document, constants, source)


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key may appear once and `2e-4` is a number."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} appears twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def _override(document, override, source):
    """Sets one `a.b.c=value` in place."""
    path, separator, text = override.partition("=")
    keys = path.strip().split(".")
    if not separator or not all(keys) or len(keys) < 2:
        raise ConfigError(f"--set {override!r}: expected Class.parameter=value")
    try:
        value = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r}: the value is not valid YAML: {error}") from None
    if keys[0] == CONSTANTS:
        document.setdefault(CONSTANTS, {})
    if keys[0] not in document:
        hint = nearest(keys[0], document)
        raise ConfigError(f"--set {override!r}: {source} configures no {keys[0]!r}{hint}")
    node = document
    for depth, key in enumerate(keys):
        where = ".".join(keys[:depth])
        last = depth == len(keys) - 1
        if isinstance(node, list):
            if not key.isdigit() or int(key) >= len(node):
                raise ConfigError(
                    f"--set {override!r}: {where} is a list; "
                    f"expected an index below {len(node)}, got {key!r}"
                )
            key = int(key)
        elif not isinstance(node, dict):
            raise ConfigError(f"--set {override!r}: {where} is {shown(node)}, which has no keys")
        if last:
            node[key] = value
            return
        if isinstance(node, dict) and node.get(key) is None:
            node[key] = {}
        node = node[key]


def _interpolated(value, constants, source, active=()):
    """`value` with every `${NAME}` replaced; a lone `${NAME}` keeps the constant's type."""
    if isinstance(value, dict):
        return {key: _interpolated(item, constants, source, active) for key, item in value.items()}
    if isinstance(value, list):
        return [_interpolated(item, constants, source, active) for item in value]
    if not isinstance(value, str):
        return value

    def constant(name):
        if name not in constants:
            hint = nearest(name, constants)
            raise ConfigError(
                f"{source}: {value!r} needs the constant {name!r}{hint}; "
                f"give it under {CONSTANTS} or with --set {CONSTANTS}.{name}=…"
            )
        if name in active:
            raise ConfigError(f"{source}: {CONSTANTS}.{name} refers to itself")
        text = _interpolated(constants[name], constants, source, (*active, name))
        if text is None:
            raise ConfigError(
                f"{source}: {CONSTANTS}.{name} has no value; give it with "
                f"--set {CONSTANTS}.{name}=…"
            )
        return text

    placeholder = _PLACEHOLDER.fullmatch(value)
    if placeholder and placeholder[1] not in _SCOOCH_MACROS:
        return constant(placeholder[1])
    return _PLACEHOLDER.sub(
        lambda match: match[0] if match[1] in _SCOOCH_MACROS else str(constant(match[1])), value
    )
