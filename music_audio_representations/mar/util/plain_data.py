"""Plain data that files hold as JSON, read with limits and checked against a form.

A form names the entries that there must be, and their kinds, as `mar.util.kinds` has them; there
may be others:

    {"path": str, "size": int, "shards": tuple[object, ...]}
"""

import json
import os
from collections.abc import Mapping
from typing import Any

from mar.errors import InputError, shown
from mar.util import files, kinds

Form = Mapping[str, Any]
_ANY: Form = {}


def parsed(content: str | bytes) -> Any:
    """What a text of JSON says.

    Raises:
        ValueError: it is none, is not UTF-8, or nests more deeply than Python reads.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def checked(value: Any, form: Form, name: str = "it") -> dict[str, Any]:
    """The value, which is a dictionary of a form.

    Args:
        value: plain data.
        form: see above.
        name: of the value, for the message.

    Raises:
        ValueError: it is not; names the entry.
    """
    if not isinstance(value, dict):
        raise ValueError(f"expected {name} to be a dictionary, got {shown(value)}")
    for key, kind in form.items():
        if key not in value:
            raise ValueError(f"{name} lacks {key}")
        try:
            kinds.normalised(kind, value[key])
        except kinds.Mismatch as mismatch:
            raise mismatch.below(key) from None
    return value


def read(path: str | os.PathLike[str], form: Form = _ANY) -> dict[str, Any]:
    """What a file of JSON says, which is a dictionary of a form.

    Raises:
        FileNotFoundError: there is none.
        InputError: it cannot be read, or says something else.
    """
    content = files.read(path)
    try:
        return checked(parsed(content), form)
    except ValueError as error:
        raise InputError(f"{path}: damaged, or not what it is called: {error}") from None
