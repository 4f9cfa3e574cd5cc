"""Encoders of others by their address, a model's name that every `--model` takes.

    package.module:name?layer=6       a Python class or function
    hear:package.module?weights=FILE  a module with the API of HEAR 2021
    FILE.onnx?sample_rate=16000       an ONNX file that `mar export` did not write
    command:PROGRAM?sample_rate=16000 a program that writes an .npz file for a WAV file
    FOLDER?made_by=NAME               embeddings that others made, see `imported`

What stands behind the question mark are options, `a=1&b=2`. All but the last have `pooling`. Those
of a Python class that are not `pooling` are its own.
"""

import dataclasses
import hashlib
import importlib.util
import os
import pathlib
import re
import shlex
import shutil
import sys
import urllib.parse
from collections.abc import Collection
from typing import Any

from mar.errors import ConfigError, InputError, nearest
from mar.util.yaml_values import Given

_PYTHON = re.compile(r"(?!random:)[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")  # a baseline
OPTIONS = {  # that each kind takes; None: any
    "python": None,
    "hear": ("weights", "pooling"),
    "onnx": ("sample_rate", "output", "pooling"),
    "command": ("sample_rate", "pooling"),
    "folder": ("made_by",),
}


@dataclasses.dataclass(frozen=True)
class Address:
    """An address, taken apart.

    Attributes:
        kind: "python", "hear", "onnx", "command" or "folder".
        place: `module:name`, a module, a path, or a command line.
        options: by name; numbers are numbers.
    """

    kind: str
    place: str
    options: dict[str, Any]

    def __str__(self) -> str:
        prefix = f"{self.kind}:" if self.kind in ("hear", "command") else ""
        options = urllib.parse.urlencode(self.options, safe="/:,", quote_via=urllib.parse.quote)
        return f"{prefix}{self.place}{'?' if options else ''}{options}"

    @property
    def module(self) -> str:
        """The Python module of the kinds "python" and "hear"."""
        return self.place.partition(":")[0]

    @property
    def files(self) -> list[pathlib.Path]:
        """Those that decide how it embeds, as far as it names them: code, weights, programs."""
        if self.kind in ("python", "hear"):
            names = [_code(self.module), *map(str, self.options.values())]
        elif self.kind == "command":
            first, *words = shlex.split(self.place)
            names = [shutil.which(first), *words]
        else:
            names = [self.place]
        return [pathlib.Path(name).absolute() for name in names if name and os.path.isfile(name)]

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the contents of `files`."""
        digest = hashlib.sha256()
        for path in self.files:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()

    def located(self) -> "Address":
        """The same with absolute paths."""
        options = {
            name: os.path.abspath(value) if os.path.isfile(str(value)) else value
            for name, value in self.options.items()
        }
        place = self.place
        if self.kind in ("onnx", "folder"):
            place = os.path.abspath(place)
        elif self.kind == "command":
            words = shlex.split(place)
            place = shlex.join(os.path.abspath(w) if os.path.isfile(w) else w for w in words)
        return dataclasses.replace(self, place=place, options=options)

    def check(self) -> None:
        """That it is there, before anything of it is imported.

        Raises:
            InputError: it is not.
        """
        if self.kind in ("python", "hear"):
            if _code(self.module) is None:
                raise InputError(
                    f"{self}: expected a Python module {self.module}, got none in the working "
                    f"folder, in PYTHONPATH or installed"
                )
        elif self.kind == "command":
            program = shlex.split(self.place)[0]
            if shutil.which(program) is None:
                raise InputError(f"{self}: expected a program, got {program}, which is not there")
        elif not os.path.exists(self.place):
            raise InputError(f"{self.place}: no such file or folder")
        weights = self.options.get("weights") if self.kind == "hear" else None
        if weights is not None and not os.path.exists(weights):
            raise InputError(f"{self}: expected weights, got {weights}, which is no file")


def parse(model: str) -> Address | None:
    """What a model's name is as an address of another's encoder; None where it is none.

    Raises:
        ConfigError: it is one, with options that are not its.
    """
    name, mark, query = model.partition("?")
    if name.startswith(("hear:", "command:")):
        kind, _, place = name.partition(":")
    elif _PYTHON.fullmatch(name):
        kind, place = "python", name
    elif mark and name.endswith(".onnx"):
        kind, place = "onnx", name
    elif mark and os.path.isdir(name):
        kind, place = "folder", name
    else:
        return None
    pairs = urllib.parse.parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    options = {option: _value(text) for option, text in pairs}
    known = OPTIONS[kind]
    for option in options:
        if known is not None and option not in known:
            raise ConfigError(
                f"{model}: expected options of {', '.join(known)}, got {option}"
                f"{nearest(option, known)}"
            )
    if not place.strip():
        raise ConfigError(f"{model}: expected something behind {kind}:, got nothing")
    return Address(kind, place, options)


def of_embeddings(model: str) -> Address | None:
    """The address of a folder of embeddings, which a model's name may be; None of a model.

    Raises:
        ConfigError: see `parse`.
    """
    address = parse(model)
    return address if address is not None and address.kind == "folder" else None


def required(address: Address, option: str, example: Any) -> Any:
    """The value of an option that must be given.

    Raises:
        ConfigError: it is not.
    """
    if option not in address.options:
        whole = dataclasses.replace(address, options={**address.options, option: example})
        raise ConfigError(f"{address}: expected the option {option}, such as {whole}")
    return address.options[option]


def one_of(address: Address, option: str, values: Collection[str]) -> str:
    """The value of an option of a few, the first of which is the default.

    Raises:
        ConfigError: it has another one.
    """
    value = address.options.get(option, next(iter(values)))
    if value not in values:
        raise ConfigError(f"{address}: expected {option} of {', '.join(values)}, got {value}")
    return value


def _value(text: str) -> Any:
    """A number where it is one, true or false; or the text."""
    value = Given(text).value
    return value if isinstance(value, (int, float, bool)) else text


def _code(module: str) -> str | None:
    """The file of a module, which is not imported; None where there is none.

    The working folder is searched too, as `python -m` does.
    """
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return None if spec is None else spec.origin
