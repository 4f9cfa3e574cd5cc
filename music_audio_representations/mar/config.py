"""Components: classes that are built in Python or from SCOOCH configurations, and are the same.

    class Circle(Configurable):
        radius: Annotated[float, Gt(0)] = Param(doc="Radius, m.")

    Circle(radius=2) == Circle.from_config({"Circle": {"radius": 2}}) == Circle.load("circle.yaml")

SCOOCH instantiates. This module adds what it lets pass: values are checked against annotations,
components are immutable, and every message names the file, the key path, what was expected and what
was given.
"""

import collections.abc
import copy
import functools
import hashlib
import inspect
import itertools
import json
import os
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import yaml
from typing_extensions import Self, dataclass_transform

from mar.errors import ConfigError, nearest, shown
from mar.util import kinds, shipped, yaml_file
from mar.util.atomic import whole
from mar.util.kinds import scooch
from mar.util.yaml_values import Given

_REQUIRED = scooch.ParamDefaults.NO_DEFAULT
_definitions = itertools.count()


class _Parameter(scooch.Param):
    kind: Any = None  # the annotation, once the class is there


def Param(*, default: Any = _REQUIRED, doc: str) -> Any:
    """A parameter: `name: annotation = Param(default=…, doc="…")`, for `Configurable` classes.

    Type checkers take its type from the annotation.

    Args:
        default: the value where none is given; left out, one must be given.
        doc: what it means, and its unit.
    """
    return _Parameter(None, default, doc)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(Param,))
class Configurable(scooch.Configurable):
    """Base class of every component that a configuration can name.

    Parameters are annotated class attributes, see `Param`; `mar.util.kinds` lists the annotations.
    Another component may be given as an instance, which is kept, or as its configuration. What
    several parameters must fulfil together is checked in `__post_init__`.

    Args:
        config: as SCOOCH hands it over; people use `from_config`, which also takes subclasses.
        **parameters: the parameters.

    Raises:
        ConfigError: an unknown, missing or unfit parameter, anywhere in the configuration.
    """

    __PARAMS__: ClassVar[dict[str, str]]  # SCOOCH's: {parameter: doc}
    __signature__: ClassVar[inspect.Signature]
    _definition: ClassVar[int]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._definition = next(_definitions)
        annotations = typing.get_type_hints(cls, include_extras=True)
        for name, value in list(vars(cls).items()):
            if type(value) is scooch.Param:
                delattr(cls, name)  # SCOOCH's copy, without a type, of an inherited parameter
            elif isinstance(value, _Parameter):
                value.kind = annotations.get(name, value.kind)
                if value.kind is None or not value.doc:
                    raise TypeError(f"{cls.__name__}.{name} needs an annotation and a doc")
                if component := _component_type(value.kind):
                    cls.__CONFIGURABLES__[name] = component
        cls.__signature__ = _signature(cls)
        cls.__doc__ = _documented(cls)

    def __init__(self, config: dict | None = None, /, **parameters: Any) -> None:
        cls = type(self)
        name = cls.__name__
        if config is None:
            config = {name: parameters}
        elif parameters:
            raise TypeError(f"{name} takes a configuration or parameters, not both")
        elif not isinstance(config, dict) or list(config) != [name]:
            raise ConfigError(
                f"{name}: expected parameters by name, got {shown(config)}; a file is read by "
                f"{name}.load, a dictionary by {name}.from_config"
            )
        values = cls.checked(config)[name]
        components = {
            parameter: _built(kind, values[parameter])
            for parameter, kind in self.__CONFIGURABLES__.items()
            if values[parameter] is not None
        }
        super().__init__({name: {**values, **dict.fromkeys(components)}})
        self._config_instances.update(components)
        self._cfg = self.resolved()
        self.__post_init__()
        self._is_whole = True

    def __post_init__(self) -> None:
        """Checks what several parameters must fulfil together; raises ConfigError."""

    # ------------------------------------------------------------------------------------ reading

    @classmethod
    def load(cls, path: str | os.PathLike | None, overrides: Iterable[str] = ()) -> Self:
        """Builds the component that a YAML file describes, of this class or a subclass.

        Args:
            path: a YAML file with one top-level class (and, beside it, `Constants`); the name of a
                shipped one, such as "musicset_ularge"; None for the defaults.
            overrides: strings `Class.param.path=value`, see `mar.util.overrides.apply`.

        Raises:
            ConfigError: the file cannot be read, or what it describes cannot be built.
        """
        if path is None:
            source = "the default configuration"
            document: dict = {cls.__name__: {}}
            classes = Configurable.classes()
            return cls.from_config(yaml_file.assembled(document, overrides, source, classes))
        path = shipped.located(path)
        return cls.from_config(yaml_file.read(path, overrides, Configurable.classes()), str(path))

    @classmethod
    def from_config(cls, config: Mapping[str, Any], source: str | None = None) -> Self:
        """Builds the component that `{Class: {parameter: value}}` describes.

        Args:
            config: names this class or a subclass; nested components are written alike.
            source: where it comes from, for messages.

        Raises:
            ConfigError: it cannot be built.
        """
        if not isinstance(config, Mapping):
            said = f"expected {{Class: {{parameter: value}}}}, got {shown(config)}"
            raise ConfigError(f"{source}: {said}" if source else said)
        config = scooch.Config(copy.deepcopy(dict(config)))  # fills in SCOOCH's own macros
        try:
            return scooch.ConfigurableFactory().construct(cls, cls.checked(config))
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}" if source else str(error)) from None

    # ------------------------------------------------------------------------------------ writing

    def resolved(self) -> dict[str, dict[str, Any]]:
        """The configuration of this component, defaults filled in, as plain data."""
        values = {name: kinds.plain(getattr(self, name)) for name in self.__PARAMS__}
        return {type(self).__name__: values}

    def hash(self) -> str:
        """SHA-256 (hex) of the resolved configuration: equal for equal components."""
        text = json.dumps(self.resolved(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()

    def write(self, path: str | os.PathLike) -> None:
        """Writes the resolved configuration as YAML, with its hash in the first line."""
        text = yaml.safe_dump(self.resolved(), sort_keys=False, allow_unicode=True)
        with whole(path) as unfinished:
            unfinished.write_text(f"# sha256 {self.hash()}\n{text}", encoding="utf-8")

    def replace(self, **changes: Any) -> Self:
        """A copy with other values of some parameters."""
        return type(self)(**self._values() | changes)

    # ------------------------------------------------------------------------------------- values

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Configurable):
            return NotImplemented
        return self.resolved() == other.resolved()

    def __hash__(self) -> int:
        return hash(self.hash())

    def __repr__(self) -> str:
        changed = (
            f"{name}={value!r}"
            for name, value in self._values().items()
            if value != _default(type(self), name)
        )
        return f"{type(self).__name__}({', '.join(changed)})"

    def __setattr__(self, name: str, value: Any) -> None:
        cls = type(self).__name__
        if "_is_whole" not in vars(self):
            return super().__setattr__(name, value)
        if name in self.__PARAMS__:
            raise AttributeError(
                f"{cls}.{name}: a component does not change; "
                f".replace({name}={value!r}) makes a changed copy"
            )
        raise AttributeError(f"{cls} has no parameter {name!r}{nearest(name, self.__PARAMS__)}")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __reduce__(self) -> tuple:
        return functools.partial(type(self), **self._values()), ()

    def _values(self):
        """The parameters by name; dictionaries can be changed, pickled and pasted."""
        values = {name: getattr(self, name) for name in self.__PARAMS__}
        return {n: dict(v) if isinstance(v, Mapping) else v for n, v in values.items()}

    # ----------------------------------------------------------------------------- what kinds need

    @classmethod
    def classes(cls) -> dict[str, type["Configurable"]]:
        """This class and its subclasses by name; of classes of one name the latest."""
        defined = [cls, *super()._all_subclasses()]
        defined.sort(key=lambda each: getattr(each, "_definition", -1))
        return {each.__name__: each for each in defined}

    @classmethod
    def _all_subclasses(cls) -> list[type]:  # which SCOOCH looks names up in
        return [each for each in cls.classes().values() if each is not cls]

    @classmethod
    def checked(cls, value: Any) -> Any:
        """An instance as it is, or a configuration with its values normalised.

        Raises:
            Mismatch: it does not fit.
        """
        if isinstance(value, cls):
            return value
        classes = cls.classes()
        if not isinstance(value, Mapping) or len(value) != 1:
            raise kinds.Mismatch(kinds.named(cls), shown(value))
        ((name, parameters),) = value.items()
        if name not in classes:
            expected = f"one of {sorted(classes)}"
            raise kinds.Mismatch(expected, shown(name), nearest(name, classes))
        try:
            return {name: _checked_parameters(classes[name], parameters)}
        except kinds.Mismatch as mismatch:
            raise mismatch.below(name) from None


def _checked_parameters(cls, parameters):
    """The values of all parameters of a class, normalised, from those that are given."""
    names = cls.__PARAMS__
    if isinstance(parameters, Given):
        parameters = parameters.value
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, Mapping):
        raise kinds.Mismatch("parameters by name", shown(parameters))
    for name in parameters:
        if name not in names:
            raise kinds.Mismatch(f"one of {sorted(names)}", shown(name), nearest(name, names))
    values = {}
    for name in names:
        parameter = getattr(cls, name)
        if name not in parameters and parameter.default is _REQUIRED:
            raise kinds.Mismatch(f"a value ({parameter.doc})", "nothing", path=(name,))
        try:
            values[name] = kinds.normalised(parameter.kind, parameters.get(name, parameter.default))
        except kinds.Mismatch as mismatch:
            raise mismatch.below(name) from None
    return values


def _component_type(kind):
    """As SCOOCH has it: a component class, or a list or dictionary of one; None for others."""
    if kinds.is_component(kind):
        return kind
    arguments = [_component_type(argument) for argument in typing.get_args(kind)]
    component = next(filter(None, arguments), None)
    if component is None:
        return None
    if typing.get_origin(kind) is tuple:
        return scooch.ConfigList(component)
    if typing.get_origin(kind) is collections.abc.Mapping:
        return scooch.ConfigCollection(component)
    return component


def _built(kind, value):
    """The components that SCOOCH builds of configurations; instances stay what they are."""
    if isinstance(kind, scooch.ConfigList):
        return tuple(_built(kind.subtype, item) for item in value)
    if isinstance(kind, scooch.ConfigCollection):
        items = {key: _built(kind.subtype, item) for key, item in value.items()}
        return types.MappingProxyType(items)
    if isinstance(value, Configurable):
        return value
    return scooch.ConfigurableFactory().construct(kind, value)


def _default(cls, name):
    """The default as it is kept; the parameter, which nothing equals, where there is none."""
    parameter = getattr(cls, name)
    if parameter.default is _REQUIRED:
        return parameter
    return kinds.normalised(parameter.kind, parameter.default)


def _signature(cls):
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if p.default is _REQUIRED else p.default,
            annotation=p.kind,
        )
        for name in cls.__PARAMS__
        for p in [getattr(cls, name)]
    ]
    return inspect.Signature(parameters)


def _documented(cls):
    """The docstring as it was written, and the parameters."""
    text = inspect.cleandoc((cls.__doc__ or "").partition("**Scooch Parameters**")[0]).strip()
    lines = [f"    {name}: {doc}" for name, doc in cls.__PARAMS__.items()]
    return "\n".join([text, "", "Args:", *lines]) if lines else text
