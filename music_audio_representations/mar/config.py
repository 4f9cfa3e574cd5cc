"""SCOOCH configurations, checked before any work starts.

A YAML file names a class and its parameters; `load` reads it and the class builds itself from it:

    config = load("configs/pretrain/musicset_ularge.yaml", ["Trainer.steps=1000"])
    trainer = Trainer(config)

SCOOCH instantiates; this module adds what it lets pass: types are checked, the caller's dictionary
and the classes' defaults are never shared or changed, and every message names the file, the key
path, what was expected and what was given.
"""

import copy
import difflib
import hashlib
import json
import pathlib
import re
import types
import typing

import scooch
import yaml
from scooch import ConfigCollection, ConfigList, Param
from scooch.param import ParamDefaults

from mar.errors import ConfigError
from mar.util.atomic import whole

__all__ = ["Config", "ConfigCollection", "ConfigList", "Configurable", "Param", "load"]

CONSTANTS = "Constants"
_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
_SCOOCH_MACROS = ("inherit", "datetime")


class Config(scooch.Config):
    """A configuration of one component: `{ClassName: {parameter: value}}`.

    Attributes:
        source: where it came from, for messages: a file name, or None.
    """

    source = None


def load(path, overrides=()):
    """Reads a configuration file.

    `${NAME}` is replaced, anywhere in a value, by `NAME` of the file's `Constants` section.

    Args:
        path: a YAML file with one top-level class (and, beside it, `Constants`).
        overrides: strings `Class.param.path=value`. Each part of the path is a key, or an index
            into a list; the value is read as YAML. `Constants.NAME=value` sets a constant.

    Returns:
        A `Config`, to be handed to the class that it names.

    Raises:
        ConfigError: the file cannot be read, a key appears twice, there is not exactly one
            top-level class, a placeholder has no value or an override does not fit.
    """
    path = pathlib.Path(path)
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: expected a YAML text file in UTF-8, got binary data") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected `Class: {{parameters}}`, got {_shown(document)}")
    return _assembled(document, overrides, str(path))


def default(cls, overrides=()):
    """The configuration of a `Configurable` class with its defaults, but for the overrides."""
    return _assembled({cls.__name__: {}}, overrides, None)


def _assembled(document, overrides, source):
    """A `Config` from a document: overrides applied, placeholders filled in."""
    path = source or "the default configuration"
    for override in overrides:
        _override(document, override, path)
    constants = document.pop(CONSTANTS, None) or {}
    if len(document) != 1:
        raise ConfigError(
            f"{path}: expected one top-level class (beside {CONSTANTS}), got {sorted(document)}"
        )
    config = Config(_interpolate(document, constants, path))
    config.source = source
    return config


class Configurable(scooch.Configurable):
    """Base class of every component that a configuration can name.

    Parameters are class attributes: `width = Param(float, default=1.0, doc="…")`. The type may be
    a class, `list[int]`, `dict[str, float]`, `Literal[…]`, a union, another Configurable, or a
    `ConfigList` or `ConfigCollection` of one. An int is a valid float, and null is valid where
    the default is null.

    Args:
        config: `{ClassName: {parameter: value}}`, as `load` returns it.
        **parameters: in place of `config`, the parameters themselves.

    Raises:
        ConfigError: an unknown, missing or ill-typed parameter, anywhere in the configuration.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for name in cls.__PARAMS__:
            _drop_typeless_copy(cls, name)
            parameter = _parameter(cls, name)
            if parameter.type is None or not parameter.doc:
                raise TypeError(f"{cls.__name__}.{name} needs a type and a doc")

    def __init__(self, config=None, **parameters):
        name = type(self).__name__
        if config is not None and parameters:
            raise TypeError(f"{name} takes a configuration or parameters, not both")
        if config is None:
            config = {name: parameters}
        source = getattr(config, "source", None)
        _check_component(type(self), config, [], source)
        super().__init__({name: copy.deepcopy(dict(config[name] or {}))})

    @classmethod
    def _populate_defaults_recurse(cls, cfg, defaults):
        # SCOOCH shares defaults and merges a default component into the one that was chosen.
        for name, value in copy.deepcopy(defaults).items():
            cfg.setdefault(name, value)
        cls._update_aliases(cfg)

    def resolved(self):
        """The configuration that this component runs with, defaults filled in, as plain data."""
        values = {
            name: _plain(getattr(self, _attribute(type(self), name))) for name in self.__PARAMS__
        }
        return {type(self).__name__: values}

    def hash(self):
        """SHA-256 (hex) of the resolved configuration: equal for equal settings."""
        text = json.dumps(self.resolved(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def write(self, path):
        """Writes the resolved configuration as YAML, with its hash in the first line."""
        text = yaml.safe_dump(self.resolved(), sort_keys=False, allow_unicode=True)
        with whole(path) as unfinished:
            unfinished.write_text(f"# sha256 {self.hash()}\n{text}", encoding="utf-8")


# ---------------------------------------------------------------------------------------- reading


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
        nearest = _nearest(keys[0], document)
        raise ConfigError(f"--set {override!r}: {source} configures no {keys[0]!r}{nearest}")
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
            raise ConfigError(f"--set {override!r}: {where} is {_shown(node)}, which has no keys")
        if last:
            node[key] = value
            return
        if isinstance(node, dict) and node.get(key) is None:
            node[key] = {}
        node = node[key]


def _interpolate(value, constants, source, active=()):
    """`value` with every `${NAME}` replaced; a lone `${NAME}` keeps the constant's type."""
    if isinstance(value, dict):
        return {key: _interpolate(item, constants, source, active) for key, item in value.items()}
    if isinstance(value, list):
        return [_interpolate(item, constants, source, active) for item in value]
    if not isinstance(value, str):
        return value

    def constant(name):
        if name not in constants:
            nearest = _nearest(name, constants)
            raise ConfigError(
                f"{source}: {value!r} needs the constant {name!r}{nearest}; "
                f"give it under {CONSTANTS} or with --set {CONSTANTS}.{name}=…"
            )
        if name in active:
            raise ConfigError(f"{source}: {CONSTANTS}.{name} refers to itself")
        found = _interpolate(constants[name], constants, source, (*active, name))
        if found is None:
            raise ConfigError(
                f"{source}: {CONSTANTS}.{name} has no value; give it with "
                f"--set {CONSTANTS}.{name}=…"
            )
        return found

    whole = _PLACEHOLDER.fullmatch(value)
    if whole and whole[1] not in _SCOOCH_MACROS:
        return constant(whole[1])
    return _PLACEHOLDER.sub(
        lambda match: match[0] if match[1] in _SCOOCH_MACROS else str(constant(match[1])), value
    )


# --------------------------------------------------------------------------------------- checking


def _check_component(base, config, path, source):
    """Checks `{ClassName: {parameter: value}}` against `base` or a subclass of it, recursively."""
    classes = {found.__name__: found for found in (base, *base._all_subclasses())}
    if not isinstance(config, dict) or len(config) != 1:
        _refuse(source, path, f"one of {sorted(classes)} with its parameters", config)
    (name,) = config
    if name not in classes:
        _refuse(source, path, f"one of {sorted(classes)}", name, _nearest(name, classes))
    cls, parameters, path = classes[name], config[name], [*path, name]
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, dict):
        _refuse(source, path, "parameters by name", parameters)
    for key in parameters:
        if key not in cls.__PARAMS__:
            expected = f"one of {sorted(cls.__PARAMS__)}"
            _refuse(source, path, expected, key, _nearest(key, cls.__PARAMS__))
    for key in cls.__PARAMS__:
        parameter = _parameter(cls, key)
        required = parameter.default == ParamDefaults.NO_DEFAULT
        if key in parameters:
            if parameters[key] is not None or parameter.default is not None:
                _check_value(parameter.type, parameters[key], [*path, key], source)
        elif required:
            _refuse(source, [*path, key], f"a value ({parameter.doc})", "nothing")


def _check_value(kind, value, path, source):
    """Checks one value against a parameter's type."""
    if isinstance(kind, ConfigList):
        _check_value(list, value, path, source)
        for index, item in enumerate(value):
            _check_value(kind.subtype, item, [*path, index], source)
    elif isinstance(kind, ConfigCollection):
        _check_value(dict, value, path, source)
        for key, item in value.items():
            _check_value(kind.subtype, item, [*path, key], source)
    elif _is_class(kind) and issubclass(kind, scooch.Configurable):
        _check_component(kind, value, path, source)
    elif not _fits(kind, value):
        hint = ""
        if isinstance(value, str) and kind in (int, float) and _number(value):
            hint = f"; write it without quotes: {value}"
        _refuse(source, path, _named(kind), value, hint)


def _fits(kind, value):
    """Whether `value` is of `kind`: a class or a typing expression."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return any(value == choice and type(value) is type(choice) for choice in arguments)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(argument, value) for argument in arguments)
    if origin is list:
        return isinstance(value, list) and all(_fits(arguments[0], item) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            _fits(arguments[0], key) and _fits(arguments[1], item) for key, item in value.items()
        )
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def _is_class(kind):
    return isinstance(kind, type) and typing.get_origin(kind) is None  # list[int] has an origin


def _refuse(source, path, expected, given, hint=""):
    where = ".".join(map(str, path)) or "configuration"
    prefix = f"{source}: " if source else ""
    raise ConfigError(f"{prefix}{where}: expected {expected}, got {_shown(given)}{hint}")


def _nearest(name, names):
    found = difflib.get_close_matches(str(name), [str(other) for other in names], n=1, cutoff=0.5)
    return f"; did you mean {found[0]!r}?" if found else ""


def _named(kind):
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(repr, arguments))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_named(argument) for argument in arguments)
    if _is_class(kind):
        return {"NoneType": "null"}.get(kind.__name__, kind.__name__)
    return str(kind)


def _shown(value):
    text = repr(value) if not isinstance(value, str) or value != "nothing" else value
    text = text if len(text) <= 120 else text[:117] + "…"
    return text if value is None or value == "nothing" else f"{text} ({type(value).__name__})"


def _number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


# -------------------------------------------------------------------------------------- structure


def _attribute(cls, name):
    """SCOOCH lets `_name` and `name` declare the parameter `name`."""
    return name if isinstance(getattr(cls, name, None), Param) else f"_{name}"


def _parameter(cls, name):
    return getattr(cls, _attribute(cls, name))


def _drop_typeless_copy(cls, name):
    """SCOOCH redeclares inherited parameters without their type: let the original show through."""
    redeclared = vars(cls).get(f"_{name}")
    inherited = any(name in vars(base).get("__PARAMS__", {}) for base in cls.__mro__[1:])
    if isinstance(redeclared, Param) and redeclared.type is None and inherited:
        delattr(cls, f"_{name}")


def _plain(value):
    """Components, and lists and dictionaries of them, as plain data."""
    if isinstance(value, Configurable):
        return value.resolved()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
