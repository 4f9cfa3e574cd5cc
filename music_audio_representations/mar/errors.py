"""What a user can mend, and how it is told.

Commands show these as one sentence; any other exception is a defect and keeps its traceback.
"""

import difflib
from collections.abc import Iterable
from typing import Any

_SHOWN_CHARACTERS = 120


class ConfigError(ValueError):
    """A configuration that cannot be used: names the key, what was expected and what was given."""


class InputError(ValueError):
    """A file or array that cannot be used: names it, what was expected and what was found."""


def shown(value: Any) -> str:
    """A value as messages show it: shortened, with its type."""
    text = repr(value)
    if len(text) > _SHOWN_CHARACTERS:
        text = text[: _SHOWN_CHARACTERS - 3] + "…"
    return text if value is None else f"{text} ({type(value).__name__})"


def nearest(name: Any, names: Iterable) -> str:
    """`; did you mean 'x'?` of the name that is most like this one, or nothing."""
    names = difflib.get_close_matches(str(name), [str(other) for other in names], n=1, cutoff=0.5)
    return f"; did you mean {names[0]!r}?" if names else ""
