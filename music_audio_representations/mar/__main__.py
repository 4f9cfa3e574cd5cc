"""The command `mar`: `mar embed …` is `python -m mar.embed …`, for every command."""

import ast
import importlib.util
import pathlib
import runpy
import sys

import mar
from mar.errors import nearest

COMMANDS = {
    "embed": "mar.embed",
    "similar": "mar.similar",
    "index": "mar.index",
    "duplicates": "mar.duplicates",
    "tag": "mar.tag",
    "check": "mar.check",
    "analyze": "mar.analyze",
    "probe": "mar.probe",
    "tables": "mar.tables",
    "report": "mar.report",
    "fetch": "mar.fetch",
    "train": "mar.train",
    "configs": "mar.configurations",
    "records write": "tfrecord_tools.write",
    "records merge": "tfrecord_tools.merge",
    "records excerpt": "tfrecord_tools.excerpt",
    "records index": "tfrecord_tools.index",
    "records inspect": "tfrecord_tools.inspect",
    "records verify": "tfrecord_tools.verify",
}


def main() -> int | None:
    """Runs a command, or lists them; returns the exit code."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_listing())
        return 0
    if arguments[0] == "--version":
        print(f"mar {mar.__version__}")
        return 0
    words = 2 if arguments[0] == "records" else 1
    name = " ".join(arguments[:words])
    if name not in COMMANDS:
        print(
            f"error: mar {name}: expected one of {', '.join(COMMANDS)}{nearest(name, COMMANDS)}",
            file=sys.stderr,
        )
        return 1
    sys.argv = [f"mar {name}", *arguments[words:]]
    runpy.run_module(COMMANDS[name], run_name="__main__", alter_sys=True)
    return None


def _listing() -> str:
    """The commands in a line each: the first sentences of their modules, which are not imported."""
    lines = [f"  {name:<16} {_summary(module)}" for name, module in COMMANDS.items()]
    usage = "usage: mar COMMAND …; mar COMMAND --help tells more, mar --version which it is"
    return "\n".join([usage, "", *lines])


def _summary(module: str) -> str:
    spec = importlib.util.find_spec(module)
    source = pathlib.Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
