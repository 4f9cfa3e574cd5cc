"""Values by their type annotations: what fits, in which form it is kept, and how it is named.

float                       a finite number, kept as float: 1 and NumPy's 1.0 are one value
int, bool                   Python's or NumPy's
str                         text, or a path
Literal["a", "b"]           one of these
tuple[int, ...]             a list, kept as a tuple; tuple[float, float] has two values
Mapping[str, float]         a dictionary, kept read-only
A | None                    either; null in YAML is None
Annotated[float, Gt(0)]     with bounds, see `annotated_types`
a component                 an instance, or `{Class: {parameter: value}}`
"""

import collections.abc
import math
import numbers
import os
import types
import typing
from typing import Annotated, Any, Literal

import annotated_types

from mar.errors import ConfigError, shown
from mar.util.yaml_values import Given

try:
    import scooch
except ImportError:
    from mar.util import plain_scooch as scooch  # type: ignore[no-redef]

PositiveInt = Annotated[int, annotated_types.Ge(1)]
PositiveFloat = Annotated[float, annotated_types.Gt(0)]
NonNegativeInt = Annotated[int, annotated_types.Ge(0)]
NonNegativeFloat = Annotated[float, annotated_types.Ge(0)]
Seed = Annotated[int, annotated_types.Interval(ge=0, lt=2**32)]  # as Keras takes it
Share = Annotated[float, annotated_types.Interval(ge=0, le=1)]
ProperShare = Annotated[float, annotated_types.Interval(gt=0, lt=1)]
Rate = Annotated[float, annotated_types.Interval(ge=0, lt=1)]  # of dropout, of decay


class Mismatch(ConfigError):
    """A value that does not fit.

    Args:
        expected: in words.
        given: in words, see `mar.errors.shown`.
        hint: what may be meant, with what joins it to the rest.
        path: keys and indices from what was checked to the value that does not fit.
    """

    def __init__(self, expected: str, given: str, hint: str = "", path: tuple = ()) -> None:
        where = ".".join(map(str, path)) + ": " if path else ""
        super().__init__(f"{where}expected {expected}, got {given}{hint}")
        self.expected, self.given, self.hint, self.path = expected, given, hint, path

    def below(self, key: Any) -> "Mismatch":
        """The same, seen from one level above."""
        return Mismatch(self.expected, self.given, self.hint, (key, *self.path))


def normalised(kind: Any, value: Any) -> Any:
    """A value in the form in which it is kept.

    Args:
        kind: an annotation as listed above.
        value: what was given; a `Given` text is what it can be.

    Raises:
        Mismatch: the value does not fit.
    """
    if isinstance(value, Given):
        value = _of_text(kind, value)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        value = normalised(arguments[0], value)
        _check_bounds(arguments[1:], value)
        return value
    if not is_of(kind, value):
        raise Mismatch(named(kind), shown(value), _unquoted(kind, value))
    if origin in (typing.Union, types.UnionType):
        return normalised(next(other for other in arguments if is_of(other, value)), value)
    if origin is tuple:
        return _sequence(kind, arguments, list(value))
    if origin is collections.abc.Mapping:
        items = {key: _below(key, arguments[1], item) for key, item in value.items()}
        return types.MappingProxyType(items)
    if is_component(kind):
        return kind.checked(value)
    if kind is float and not math.isfinite(value):
        raise Mismatch("a finite number", shown(value))
    if kind is str:
        return os.fspath(value)
    return kind(value) if kind in (bool, int, float) else value


def is_of(kind: Any, value: Any) -> bool:
    """Whether a value is of a kind, whatever its bounds and its parts are."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return is_of(arguments[0], value)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in arguments)
    if origin in (typing.Union, types.UnionType):
        return any(is_of(argument, value) for argument in arguments)
    if origin is tuple:
        return isinstance(value, (list, tuple)) or getattr(value, "ndim", 0) == 1
    if origin is collections.abc.Mapping:
        return isinstance(value, collections.abc.Mapping)
    if is_component(kind):
        return isinstance(value, (kind, dict))
    if kind is bool:
        return isinstance(value, bool) or type(value).__name__ in ("bool_", "bool")
    if kind is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, numbers.Real) and not isinstance(value, bool)
    if kind is str:
        return isinstance(value, (str, os.PathLike))
    return isinstance(value, kind)


def named(kind: Any) -> str:
    """A kind in words."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return named(arguments[0])
    if origin is Literal:
        return "one of " + ", ".join(map(repr, arguments))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(named(argument) for argument in arguments)
    if origin is tuple:
        count = "" if arguments[-1] is Ellipsis else f"{len(arguments)} "
        return f"a list of {count}{named(arguments[0])}"
    if origin is collections.abc.Mapping:
        return f"a dictionary of {named(arguments[1])}"
    if is_component(kind):
        return f"one of {sorted(kind.classes())} with its parameters"
    return "null" if kind is type(None) else kind.__name__


def is_component(kind: Any) -> bool:
    """Whether a kind is a component class."""
    return isinstance(kind, type) and issubclass(kind, scooch.Configurable)


def plain(value: Any) -> Any:
    """Components, and lists and dictionaries of them, as plain data."""
    if is_component(type(value)):
        return value.resolved()
    if isinstance(value, collections.abc.Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def _of_text(kind, given):
    """What a text stands for: a text where it can be one, unless it can be something else."""
    value = given.value
    if isinstance(value, str) or (not is_of(kind, value) and is_of(kind, given.text)):
        return given.text
    return value


def _sequence(kind, arguments, values):
    if arguments[-1] is Ellipsis:
        kinds = [arguments[0]] * len(values)
    elif len(arguments) == len(values):
        kinds = list(arguments)
    else:
        raise Mismatch(named(kind), shown(values))
    return tuple(
        _below(index, k, v) for index, (k, v) in enumerate(zip(kinds, values, strict=True))
    )


def _below(key, kind, value):
    try:
        return normalised(kind, value)
    except Mismatch as mismatch:
        raise mismatch.below(key) from None


def bounds(kind: Any) -> list[str]:
    """The bounds of a kind in words, those of its parts too."""
    if typing.get_origin(kind) is Annotated:
        inner, *limits = typing.get_args(kind)
        return bounds(inner) + [_bound(limit)[0] for limit in limits]
    return [text for part in typing.get_args(kind) for text in bounds(part)]


def _check_bounds(limits, value):
    checks = [_bound(limit) for limit in limits]
    if not all(holds(value) for _, holds in checks):
        raise Mismatch(" and ".join(text for text, _ in checks), shown(value))


def _bound(bound):
    """A bound in words, and a function that tells whether a value keeps it."""
    match bound:
        case annotated_types.Gt(limit):
            return f"more than {_number(limit)}", lambda value: value > limit
        case annotated_types.Ge(limit):
            return f"at least {_number(limit)}", lambda value: value >= limit
        case annotated_types.Lt(limit):
            return f"less than {_number(limit)}", lambda value: value < limit
        case annotated_types.Le(limit):
            return f"at most {_number(limit)}", lambda value: value <= limit
        case annotated_types.Interval():
            texts, checks = zip(*map(_bound, bound), strict=True)
            return " and ".join(texts), lambda value: all(holds(value) for holds in checks)
        case annotated_types.Len(low, high):
            count = f"{low}" if low == high else f"{low} to {high or 'any number of'}"
            return f"{count} values", lambda value: low <= len(value) <= (high or len(value))
    raise TypeError(f"expected a bound of annotated_types, got {bound!r}")


def _number(limit):
    return str(limit) if isinstance(limit, int) else f"{limit:g}"


def _unquoted(kind, value):
    """A hint for a number that was written as text."""
    if not isinstance(value, str) or not (is_of(kind, 0.5) or is_of(kind, 1)):
        return ""
    try:
        float(value)
    except ValueError:
        return ""
    return f"; write it without quotes: {value}"
