"""Completion, by real shells."""

import os
import pty
import select
import shutil
import subprocess

import pytest

from helpers.terminals import run_fresh
from mar.commands import described

COMMANDS = list(described())


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scripts")
    for shell, name in (("bash", "mar.bash"), ("zsh", "_mar")):
        printed = run_fresh("-m", "mar", "completion", shell)
        assert (printed.returncode, printed.stderr) == (0, "")
        (folder / name).write_text(printed.stdout)
    return folder


def completed_by_bash(script, *lines):
    """What bash offers for the last word of each line, a list of words."""
    tries = "\n".join(f"try {' '.join(repr(word) for word in line)}" for line in lines)
    program = f"""
        source {script}
        try() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mar; echo "${{COMPREPLY[*]}}"; }}
        {tries}
    """
    ran = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    return [line.split() for line in ran.stdout.splitlines()]


def test_bash_offers_every_command_and_flag(scripts):
    lines, expected = [["mar", ""]], [{command.name.split()[0] for command in COMMANDS}]
    for command in COMMANDS:
        lines.append(["mar", *command.name.split()])
        expected.append({command.name.split()[-1]})
        lines.append(["mar", *command.name.split(), "--"])
        expected.append({f"--{flag.name}" for flag in command.flags})
    offered = completed_by_bash(scripts / "mar.bash", *lines)
    assert all(words <= set(found) for words, found in zip(expected, offered, strict=True))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mar embed --store=", ["mean", "timeline"]),
        ("mar embed --store ti", ["timeline"]),
        ("mar probe -t Jam-M", ["Jam-MT"]),
        ("mar fetch NS", ["NSynth_P", "NSynth_I"]),
        ("mar fetch pr", ["probes"]),
        ("mar train --config pretrain/sm", ["pretrain/small"]),
        ("mar records write --dtype=float3", ["float32"]),
        ("mar completion z", ["zsh"]),
        ("mar embed song", []),  # names of files, by bash itself
    ],
)
def test_values_that_have_names_are_offered(scripts, line, words):
    split = line.replace("=", " = ").split(" ")  # as bash divides it
    assert completed_by_bash(scripts / "mar.bash", split) == ([words] if words else [[]])


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs zsh")
@pytest.mark.parametrize("how", ["fpath=({folder} $fpath)", "eval"])
def test_zsh_completes(scripts, how):
    lines = {
        "mar emb": "mar embed ",
        "mar records wr": "mar records write ",
        "mar embed --store=me": "mar embed --store=mean ",
        "mar probe --task Jam-M": "mar probe --task Jam-MT ",
        "mar records write --vocab": "mar records write --vocabulary=",
        "mar fetch AM": "mar fetch AMM ",
    }
    begin = "autoload -U compinit; compinit -D -u"
    if how == "eval":
        begin = f'{begin}; eval "$(cat {scripts}/_mar)"'
    else:
        begin = f"{how.format(folder=scripts)}; {begin}"
    shell = Zsh()
    shell.say(f"{begin}; bindkey -e; show() {{ print -r -- $'\\n'\"<$BUFFER>\" }}; zle -N show\n")
    shell.say("bindkey '^T' show\n")
    for line, expected in lines.items():
        shell.say(f"{line}\t\x14")
        assert shell.read_until(">\r\n").rpartition("<")[2].startswith(expected + ">")
        shell.say("\x15")
    shell.end()


class Zsh:
    """An interactive zsh without anyone's settings."""

    def __init__(self):
        self._terminal, end = pty.openpty()
        streams = {"stdin": end, "stdout": end, "stderr": end}
        environment = {**os.environ, "TERM": "dumb"}
        # Started by another program: a copy of this one may not fit into memory.
        command = ["setsid", "--ctty", "zsh", "-f", "-i"]
        self._process = subprocess.Popen(command, env=environment, **streams)
        os.close(end)

    def say(self, text):
        os.write(self._terminal, text.encode())

    def read_until(self, end):
        shown = ""
        while end not in shown and select.select([self._terminal], [], [], 60)[0]:
            shown += os.read(self._terminal, 65536).decode(errors="replace")
        return shown

    def end(self):
        os.close(self._terminal)
        self._process.wait()
