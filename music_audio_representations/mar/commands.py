"""The commands: the table from which `mar`, its completion and the reference are made."""

import ast
import contextlib
import dataclasses
import importlib.util
import pathlib
import runpy
from collections.abc import Iterator, Sequence

from absl import flags

from mar.util import cli, usage

COMMANDS = {
    "embed": "mar.embed",
    "similar": "mar.similar",
    "duplicates": "mar.duplicates",
    "index": "mar.index",
    "explore": "mar.explore",
    "tag": "mar.tag",
    "check": "mar.check",
    "analyze": "mar.analyze",
    "probe": "mar.probe",
    "reproduce": "mar.reproduce",
    "tables": "mar.tables",
    "report": "mar.report",
    "robust": "mar.robust",
    "fetch": "mar.fetch",
    "train": "mar.train",
    "runs": "mar.runs",
    "export": "mar.export",
    "configs": "mar.configurations",
    "doctor": "mar.doctor",
    "completion": "mar.completion",
    "records write": "tfrecord_tools.write",
    "records merge": "tfrecord_tools.merge",
    "records excerpt": "tfrecord_tools.excerpt",
    "records index": "tfrecord_tools.index",
    "records inspect": "tfrecord_tools.inspect",
    "records verify": "tfrecord_tools.verify",
}


@dataclasses.dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        name: what stands behind `mar`, as "records write".
        module: what `python -m` runs.
        flags: its own, by name.
        text: what it is, in plain text with indented examples.
        help: what `mar NAME --help` prints.
    """

    name: str
    module: str
    flags: Sequence[flags.Flag]
    text: str
    help: str


def described() -> Iterator[Command]:
    """All commands, with their flags and help; nothing is imported that takes seconds."""
    for name, module in COMMANDS.items():
        with _no_flags():
            namespace = runpy.run_module(module, run_name=module)
            cli.define_common_flags()
            own = usage.present(usage.own_flags())
            yield Command(name, module, own, usage.text(namespace), usage.of(namespace, own))


def summary(module: str) -> str:
    """What a command does, in a line: the first of its module, which is not imported."""
    spec = importlib.util.find_spec(module)
    source = pathlib.Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


@contextlib.contextmanager
def _no_flags() -> Iterator[None]:
    """Takes the flags away that commands have defined: several have some of one name."""
    before = usage.own_flags()
    _remove(before)
    try:
        yield
    finally:
        _remove(usage.own_flags())
        for flag in before:
            flags.FLAGS[flag.name] = flag


def _remove(defined: Sequence[flags.Flag]) -> None:
    for flag in defined:
        for name in filter(None, (flag.name, flag.short_name)):
            delattr(flags.FLAGS, name)
