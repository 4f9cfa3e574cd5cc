"""Configuration files: safe YAML with constants, and changes of it."""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from mar.errors import ConfigError, InputError, nearest, shown
from mar.util import overrides as changes
from mar.util.overrides import CONSTANTS
from mar.util.text import read_text
from mar.util.yaml_values import Given, loaded

_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
_SCOOCH_MACROS = ("inherit", "datetime")


def read(
    path: str | os.PathLike,
    overrides: Iterable[str] = (),
    classes: Mapping[str, type] | None = None,
) -> dict[str, Any]:
    """Reads `{Class: {parameter: value}}` from a YAML file.

    `${NAME}` is replaced, anywhere in a value, by `NAME` of the file's `Constants` section.

    Args:
        path: a YAML file with one top-level class (and, beside it, `Constants`).
        overrides: strings `Class.param.path=value`, see `mar.util.overrides.apply`.
            `Constants.NAME=value` sets a constant.
        classes: components by name.

    Raises:
        ConfigError: the file cannot be read, a key appears twice, there is not exactly one
            top-level class, a placeholder has no value or an override does not fit.
    """
    return assembled(document(path), overrides, str(path), classes)


def document(path: str | os.PathLike) -> dict[str, Any]:
    """What a YAML file has, as it stands there.

    Raises:
        ConfigError: it cannot be read, or a key appears twice.
    """
    try:
        content = loaded(read_text(path))
    except InputError as error:
        raise ConfigError(str(error)) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected `Class: {{parameters}}`, got {shown(content)}")
    return content


def assembled(
    document: dict,
    overrides: Iterable[str],
    source: str,
    classes: Mapping[str, type] | None = None,
) -> dict[str, Any]:
    """The configuration of a document: overrides applied, placeholders filled in.

    Args:
        document: `{Class: {…}, "Constants": {…}}`; is changed.
        overrides: see `read`.
        source: where the document comes from, for messages.
        classes: components by name.
    """
    for override in overrides:
        changes.apply(document, override, source, classes or {})
    constants = document.pop(CONSTANTS, None) or {}
    if not isinstance(constants, dict):
        raise ConfigError(
            f"{source}: expected {CONSTANTS}: {{NAME: value}}, got {shown(constants)}"
        )
    if len(document) != 1:
        raise ConfigError(
            f"{source}: expected one top-level class (beside {CONSTANTS}), got {sorted(document)}"
        )
    return _interpolated(document, constants, source)


def _interpolated(value, constants, source, active=()):
    """`value` with every `${NAME}` replaced; a lone `${NAME}` keeps the constant's type.

    What was given as text remains so, but for SCOOCH's macros, which SCOOCH looks for in `str`.
    """
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
        if text is None or (isinstance(text, Given) and text.value is None):
            raise ConfigError(
                f"{source}: {CONSTANTS}.{name} has no value; give it with "
                f"--set {CONSTANTS}.{name}=…"
            )
        return text

    placeholder = _PLACEHOLDER.fullmatch(value)
    if placeholder and placeholder[1] not in _SCOOCH_MACROS:
        return constant(placeholder[1])
    text = _PLACEHOLDER.sub(
        lambda match: match[0] if match[1] in _SCOOCH_MACROS else _text(constant(match[1])), value
    )
    return Given(text) if isinstance(value, Given) and "${" not in text else text


def _text(constant):
    return constant.text if isinstance(constant, Given) else str(constant)
