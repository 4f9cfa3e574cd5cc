"""The command `mar`, and what all commands answer."""

import importlib.util
import pathlib
import re

import numpy as np
import pytest

import mar
import tfrecord_tools
from helpers.processes import run_python
from helpers.resources import ROOT
from helpers.small_embeddings import write_store
from mar.commands import COMMANDS, described
from mar.tasks import TASKS


def commands_of(package):
    """The modules of a package that are commands."""
    folder = pathlib.Path(package.__file__).parent
    sources = {path.stem: path.read_text("utf-8") for path in folder.glob("*.py")}
    return {
        f"{package.__name__}.{name}"
        for name, source in sources.items()
        if "cli.run(main)" in source and not source.startswith('"""What was')
    }


def test_every_command_is_listed_with_what_it_does():
    assert set(COMMANDS.values()) == commands_of(mar) | commands_of(tfrecord_tools)
    for arguments in ([], ["--help"], ["-h"]):
        listed = run_python("-m", "mar", *arguments)
        assert listed.returncode == 0
        lines = listed.stdout.splitlines()[2:]
        assert len(lines) == len(COMMANDS)
        for line, (name, module) in zip(lines, COMMANDS.items(), strict=True):
            path = importlib.util.find_spec(module).origin
            assert pathlib.Path(path).read_text("utf-8").startswith(f'"""{line[19:]}')
            assert line.split("  ")[1] == name
            assert len(line) > 30


def test_a_command_is_the_module(tmp_path):
    write_store(tmp_path / "e", {f"{n}.wav": np.ones((1, 4)) for n in range(3)})
    arguments = ["--embeddings", tmp_path / "e", "1.wav"]
    ours, module = (
        run_python("-m", "mar", "similar", *arguments),
        run_python("-m", "mar.similar", *arguments),
    )
    assert (ours.returncode, ours.stdout) == (0, module.stdout)
    failed = run_python("-m", "mar", "similar", "--embeddings", tmp_path / "e", "absent.wav")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith("error: ")
    assert run_python("-m", "mar", "--version").stdout == f"mar {mar.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "meant"), [(["emebd"], "embed"), (["records", "verfy", "x"], "records verify")]
)
def test_a_misspelt_command_gets_the_nearest_name(arguments, meant):
    refused = run_python("-m", "mar", *arguments)
    assert refused.returncode == 1
    assert refused.stderr.endswith(f"did you mean {meant!r}?\n")


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_ends_well_and_shows_our_own_flags(flag):
    shown = run_python("-m", "mar", "records", "verify", flag)
    assert shown.returncode == 0
    assert "mar records verify records/" in shown.stdout
    assert "--logtostderr" not in shown.stdout
    assert run_python("-m", "mar.similar", "--", "-h").returncode == 1  # a track of that name


@pytest.mark.parametrize("command", list(described()), ids=lambda command: command.name)
def test_every_help_is_short_and_has_what_one_needs(command):
    lines = command.help.splitlines()
    assert 8 <= len(lines) <= 41
    assert max(map(len, lines)) <= 100
    assert re.search(rf"^    mar {command.name}\b", command.help, re.M)
    assert "exit code" in " ".join(command.help.lower().split())
    assert all(re.search(rf"^  .*--{flag.name}\b", command.help, re.M) for flag in command.flags)
    assert [flag.name for flag in command.flags] == sorted(flag.name for flag in command.flags)


def test_commands_that_take_tasks_list_them():
    shown = run_python("-m", "mar", "fetch", "--help").stdout
    assert all(task in shown for task in TASKS)


def test_configurations_are_listed_shown_and_found_by_name(tmp_path, monkeypatch):
    listed = run_python("-m", "mar", "configs").stdout.splitlines()
    files = sorted((ROOT / "configs").rglob("*.yaml"))
    assert [line.split()[0] for line in listed] == [
        path.relative_to(ROOT / "configs").with_suffix("").as_posix() for path in files
    ]
    for line, path in zip(listed, files, strict=True):
        assert path.read_text("utf-8").startswith(f"# {line[40:].strip()}")
    shown = run_python("-m", "mar", "configs", "show", "small", cwd=tmp_path)
    assert shown.stdout == (ROOT / "configs" / "pretrain" / "small.yaml").read_text("utf-8")
    unknown = run_python("-m", "mar", "configs", "show", "smal", cwd=tmp_path)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "`mar configs` lists; did you mean 'small'?" in unknown.stderr
    by_name = mar.Catalogue.load("timeline")
    assert by_name == mar.Catalogue.load("embed/timeline")
    assert by_name == mar.Catalogue.load(ROOT / "configs" / "embed" / "timeline.yaml")
    (tmp_path / "timeline").write_text("Catalogue: {batch_size: 3}")
    monkeypatch.chdir(tmp_path)
    assert mar.Catalogue.load("timeline").batch_size == 3, "a file of that name comes first"
    with pytest.raises(mar.ConfigError, match="absent.yaml: cannot be read"):
        mar.Catalogue.load("absent.yaml")
