"""The command `mar`: `mar embed …` is `python -m mar.embed …`, for every command."""

import runpy
import sys

import mar
from mar.commands import COMMANDS, summary
from mar.errors import nearest


def main() -> int | None:
    """Runs a command, or lists them; returns the exit code."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_listing())
        return 0
    if arguments[0] == "--version":
        print(f"mar {mar.__version__}")
        return 0
    words = 2 if any(name.startswith(f"{arguments[0]} ") for name in COMMANDS) else 1
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
    """The commands in a line each."""
    lines = [f"  {name:<16} {summary(module)}" for name, module in COMMANDS.items()]
    usage = "usage: mar COMMAND …; mar COMMAND --help tells more, mar --version which it is"
    return "\n".join([usage, "", *lines])


if __name__ == "__main__":
    sys.exit(main())
