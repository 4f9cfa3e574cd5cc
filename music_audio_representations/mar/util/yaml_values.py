"""YAML as configurations have it, and values that are given as text."""

import re
from typing import Any

import yaml


class Loader(yaml.SafeLoader):
    """Safe YAML in which a key may appear once and `2e-4` is a number."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """Raises ConstructorError where a key appears twice."""
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
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
            return yaml.load(self, Loader)
        except (yaml.YAMLError, ValueError):  # ValueError: 2024-13-45, which looks like a date
            return str(self)


def read(text: str) -> Any:
    """Lists and dictionaries (`[…]`, `{…}`) as YAML, all else as `Given`.

    Raises:
        yaml.YAMLError: a list or dictionary that is none.
    """
    text = text.strip()
    return yaml.load(text, Loader) if text[:1] in ("[", "{") else Given(text)
