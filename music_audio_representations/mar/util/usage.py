"""What `--help` prints: a command's docstring, its flags, and what it has to add."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

GONE = "Gone: "  # begins the help of a flag that is refused
_EXIT_CODES = "The exit code is 0, or 1 where something is wrong, and said."
_COLUMNS, _NAMES = 100, 26
_REPEATED = ";\n    repeat this option"  # begins what absl adds to a help


def own_flags() -> list[flags.Flag]:
    """The flags that commands have defined, sorted by name: all but those of absl."""
    by_module = flags.FLAGS.flags_by_module_dict().items()
    others = {
        flag.name for module, those in by_module if module.startswith("absl.") for flag in those
    }
    defined = {flags.FLAGS[name].name for name in flags.FLAGS}
    return [flags.FLAGS[name] for name in sorted(defined - others)]


def of(namespace: Mapping[str, Any], own: Sequence[flags.Flag]) -> str:
    """The help of a command: its text and its flags.

    Args:
        namespace: of its module.
        own: its flags.
    """
    return f"{text(namespace)}\n\n" + "\n".join(map(_described, present(own)))


def text(namespace: Mapping[str, Any]) -> str:
    """What a command is: its docstring, what its function `more_help` adds, its exit codes.

    Args:
        namespace: of its module.
    """
    said = (namespace.get("__doc__") or "").strip()
    more = namespace["more_help"]() if "more_help" in namespace else ""
    codes = "" if "xit code" in " ".join(said.split()) else _EXIT_CODES
    return "\n\n".join(filter(None, [said, textwrap.fill(more, _COLUMNS), codes]))


def present(own: Sequence[flags.Flag]) -> list[flags.Flag]:
    """Those of a command's flags that are not gone."""
    return [flag for flag in own if not (flag.help or "").startswith(GONE)]


def description(flag: flags.Flag) -> str:
    """What a flag is, without what absl adds."""
    said = (flag.help or "").partition(_REPEATED)[0]
    return said.partition(">: ")[2] if choices(flag) else said


def choices(flag: flags.Flag) -> list[str]:
    """The values that a flag may have, where there are few."""
    return list(flag.parser.enum_values) if isinstance(flag.parser, flags.EnumParser) else []


def _described(flag: flags.Flag) -> str:
    """As `  -k, --count=…         How many there are. Default: 10.`"""
    name, text = f"--{flag.name}", description(flag)
    if not flag.boolean:
        name += f"={'|'.join(choices(flag)) or '…'}"
    if flag.short_name:
        name = f"-{flag.short_name}, {name}"
    if flag.default not in (None, False, [], ""):
        values = flag.default if isinstance(flag.default, list) else [flag.default]
        text += f" Default: {', '.join(map(str, values))}."
    filled = textwrap.fill(
        text, _COLUMNS, initial_indent=" " * _NAMES, subsequent_indent=" " * _NAMES
    )
    name = f"  {name}"
    return name.ljust(_NAMES) + filled[_NAMES:] if len(name) < _NAMES else f"{name}\n{filled}"
