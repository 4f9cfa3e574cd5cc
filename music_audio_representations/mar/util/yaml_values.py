"""YAML as configurations have it, and values that are given as text."""

import re
from typing import Any

import yaml

from mar.errors import shown

_MOST_CHARACTERS, _MOST_VALUES = 10_000_000, 200_000  # of a configuration


class Loader(yaml.SafeLoader):
    """Safe YAML in which keys are text, appear once, and `2e-4` is a number."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """Raises ConstructorError where a key is no text, or appears twice."""
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    f"expected a name as key, got {shown(key)}; a number is a name in quotes",
                    key_node.start_mark,
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} appears twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def loaded(text: str) -> Any:
    """What a text of YAML says.

    Raises:
        yaml.YAMLError: it is none; or it says too much for a configuration, which a few lines can
            by references to references.
    """
    if len(text) > _MOST_CHARACTERS:
        raise yaml.YAMLError(f"expected at most {_MOST_CHARACTERS} characters, got {len(text)}")
    try:
        content = yaml.load(text, Loader)
    except RecursionError:
        raise yaml.YAMLError("nested too deeply") from None
    except (ValueError, TypeError, AttributeError, LookupError) as error:  # !!int abc
        raise yaml.YAMLError(f"a value is not of the kind that its tag says: {error}") from None
    pending, count = [content], 0
    while pending:
        value = pending.pop()
        count += 1
        if count > _MOST_VALUES:
            raise yaml.YAMLError(f"more than {_MOST_VALUES} values, or one that contains itself")
        if isinstance(value, dict):
            pending += [*value, *value.values()]
        elif isinstance(value, (list, tuple, set)):
            pending += value
    return content


class Given(str):
    """What was given as text: its parameter's annotation decides what it is.

    1.0             of a text "1.0", of a number 1.0
    My Music #1     the same text, which YAML would cut at its comment
    null            of a text or null None, of a text "null"
    "null"          of either the text "null": quotes around all of it are taken off
    """

    @property
    def text(self) -> str:
        """As a text."""
        value = self.value if self[:1] in ("'", '"') and self[-1:] == self[:1] else self
        return value if type(value) is str else str(self)

    @property
    def value(self) -> Any:
        """As YAML reads it; what it does not is text."""
        try:
            return loaded(self)
        except yaml.YAMLError:  # ValueError: 2024-13-45, which looks like a date
            return str(self)


def read(text: str) -> Any:
    """Lists and dictionaries (`[…]`, `{…}`) as YAML, all else as `Given`.

    Raises:
        yaml.YAMLError: a list or dictionary that is none.
    """
    text = text.strip()
    return loaded(text) if text[:1] in ("[", "{") else Given(text)
