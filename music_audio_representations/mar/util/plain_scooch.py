"""What components use of SCOOCH, for installations that apply exported models and lack it.

SCOOCH brings Sphinx along, and more. Components are the same without it, down to their hashes; but
its own macros in YAML (`$inherit`, `$datetime`) are not filled in.
"""

import enum
from typing import Any, ClassVar


class ParamDefaults(enum.Enum):
    """As `scooch.param.ParamDefaults`."""

    NO_DEFAULT = 0


class Param:
    """As `scooch.Param`: on the class itself, on an instance its value."""

    def __init__(self, kind: Any, default: Any = ParamDefaults.NO_DEFAULT, doc: str = "") -> None:
        self.type, self.default, self.doc = kind, default, doc

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else instance._config_instances[self._name]

    def __set__(self, instance: Any, value: Any) -> None:
        instance._config_instances[self._name] = value


class Configurable:
    """As `scooch.Configurable`: `__PARAMS__` are the docs of a class' parameters, by name."""

    __PARAMS__: ClassVar[dict[str, str]] = {}
    __CONFIGURABLES__: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        params: dict[str, str] = {}
        components: dict[str, Any] = {}
        for base in reversed(cls.__mro__[1:]):
            params |= vars(base).get("__PARAMS__", {})
            components |= vars(base).get("__CONFIGURABLES__", {})
        own = {name: value.doc for name, value in vars(cls).items() if isinstance(value, Param)}
        inherited = {name: doc for name, doc in params.items() if name not in own}
        cls.__PARAMS__, cls.__CONFIGURABLES__ = {**inherited, **own}, components

    def __init__(self, config: dict[str, Any]) -> None:
        self._cfg = config
        self._config_instances = dict(config[type(self).__name__])

    @classmethod
    def _all_subclasses(cls) -> list[type]:
        below = cls.__subclasses__()
        return list({*below, *(each for one in below for each in one._all_subclasses())})


class ConfigurableFactory:
    """As `scooch.ConfigurableFactory`."""

    def construct(self, kind: type[Configurable], config: dict[str, Any]) -> Any:
        """The component of a configuration that names `kind` or a class below it."""
        (name,) = config
        return {each.__name__: each for each in (*kind._all_subclasses(), kind)}[name](config)


class _Of:
    def __init__(self, subtype: Any) -> None:
        self.subtype = subtype


class ConfigList(_Of):
    """As `scooch.ConfigList`."""


class ConfigCollection(_Of):
    """As `scooch.ConfigCollection`."""


Config = dict
