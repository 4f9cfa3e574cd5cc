"""Prints what completes `mar` in a shell: its commands, their flags, and values that have names.

    mar completion bash > ~/.local/share/bash-completion/completions/mar
    mar completion zsh > ~/.zfunc/_mar    # a folder of $fpath, before compinit

The script has all words in it, so that completing one takes no time; print it anew after an
update. Where neither folder is looked into, let ~/.bashrc or ~/.zshrc say

    eval "$(mar completion bash)"
"""

import itertools
import shlex
from collections.abc import Iterable, Sequence

from absl import flags

from mar.commands import Command, described, summary
from mar.errors import ConfigError
from mar.util import cli, shipped, usage

_BASH = """\
_mar() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} words=
    local name=${{COMP_WORDS[1]}} first=2
    case $name in {groups}) name="$name ${{COMP_WORDS[2]}}" first=3 ;; esac
    if [[ $word == = ]]; then word=
    elif [[ $before == = ]]; then before=${{COMP_WORDS[COMP_CWORD - 2]}}; fi
    if (( COMP_CWORD < first )); then
        case $COMP_CWORD$name in
            1*) words={commands} ;;
{members}
        esac
    else
        case "$name $before" in
{values}
        esac
        case $words$name in
{arguments}
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}}
complete -o default -F _mar mar"""

_ZSH = """\
#compdef mar
_mar() {{
    local name=$words[2]
    local -a described
    if (( CURRENT == 2 )); then
        described=({commands})
        _describe command described
        return
    fi
    shift words
    (( CURRENT-- ))
    case $name in
        {groups})
            if (( CURRENT == 2 )); then
                case $name in
{members}
                esac
                _describe command described
                return
            fi
            name="$name $words[2]"
            shift words
            (( CURRENT-- ))
            ;;
    esac
    case $name in
{arguments}
    esac
}}
if [[ $funcstack[1] == _mar ]]; then _mar "$@"; else compdef _mar mar; fi"""


def main(argv: list[str]) -> int:
    scripts = {"bash": _bash, "zsh": _zsh}
    if len(argv) != 2 or argv[1] not in scripts:
        raise ConfigError(f"expected bash or zsh, got {' '.join(argv[1:]) or 'nothing'}")
    print(scripts[argv[1]](list(described())))
    return 0


def _bash(commands: Sequence[Command]) -> str:
    groups = _groups(commands)
    values, arguments = [], []
    for command in commands:
        for flag in command.flags:
            if words := _values(flag):
                names = [f"--{flag.name}", *([f"-{flag.short_name}"] if flag.short_name else [])]
                patterns = "|".join(shlex.quote(f"{command.name} {name}") for name in names)
                values.append(f"            {patterns}) words={_words(words)} ;;")
        words = [*(f"--{flag.name}" for flag in command.flags), *_positional(command.name)]
        arguments.append(f"            {shlex.quote(command.name)}) words={_words(words)} ;;")
    return _BASH.format(
        groups="|".join(groups),
        commands=_words(_first_words(commands)),
        members="\n".join(
            f"            2{shlex.quote(group)}*) words={_words(names)} ;;"
            for group, names in groups.items()
        ),
        values="\n".join(values),
        arguments="\n".join(arguments),
    )


def _zsh(commands: Sequence[Command]) -> str:
    groups = _groups(commands)
    summaries = {command.name: summary(command.module) for command in commands}
    firsts = {name: summaries.get(name, "TFRecords") for name in _first_words(commands)}
    arguments = []
    for command in commands:
        positional = " ".join(_positional(command.name))
        specs = [f"*:argument:({positional})" if positional else "*:file:_files"]
        specs += itertools.chain.from_iterable(map(_zsh_flag, command.flags))
        arguments.append(f"        {shlex.quote(command.name)}) _arguments -S {_quoted(specs)} ;;")
    return _ZSH.format(
        groups="|".join(groups),
        commands=_quoted(f"{name}:{text}" for name, text in firsts.items()),
        members="\n".join(
            f"                    {group}) described=("
            + _quoted(f"{name}:{summaries[f'{group} {name}']}" for name in names)
            + ") ;;"
            for group, names in groups.items()
        ),
        arguments="\n".join(arguments),
    )


def _zsh_flag(flag: flags.Flag) -> list[str]:
    """As _arguments describes a flag: `--store=[What is kept.]:store:(mean timeline)`."""
    text = usage.description(flag)
    for special in "\\[]:":
        text = text.replace(special, f"\\{special}")
    if flag.boolean:
        return [f"--{flag.name}[{text}]"]
    values = " ".join(_values(flag))
    action = f"({values})" if values else "_files"
    repeated = "*" if isinstance(flag, flags.MultiFlag) else ""
    names = [f"--{flag.name}=", *([f"-{flag.short_name}+"] if flag.short_name else [])]
    return [f"{repeated}{name}[{text}]:{flag.name}:{action}" for name in names]


def _groups(commands: Sequence[Command]) -> dict[str, list[str]]:
    """The second words of commands by their first, where there are two."""
    groups: dict[str, list[str]] = {}
    for command in commands:
        first, space, second = command.name.partition(" ")
        if space:
            groups.setdefault(first, []).append(second)
    return groups


def _first_words(commands: Sequence[Command]) -> list[str]:
    return list(dict.fromkeys(command.name.partition(" ")[0] for command in commands))


def _values(flag: flags.Flag) -> list[str]:
    """What a flag may be set to, as far as that has names."""
    if flag.name == "config":
        return list(shipped.configurations())
    if flag.name == "task":
        return _tasks()
    return usage.choices(flag)


def _positional(name: str) -> list[str]:
    """What the arguments of a command may be, where they are not files."""
    if name == "fetch":
        from mar.tasks.fetching import PROBES

        return [*_tasks(), PROBES]
    if name == "configs":
        return ["show", *shipped.configurations()]
    return ["bash", "zsh"] if name == "completion" else []


def _tasks() -> list[str]:
    from mar.tasks import NAMED

    return list(NAMED)


def _words(words: Iterable[str]) -> str:
    return shlex.quote(" ".join(words))


def _quoted(specs: Iterable[str]) -> str:
    return " ".join(map(shlex.quote, specs))


if __name__ == "__main__":
    cli.run(main)
