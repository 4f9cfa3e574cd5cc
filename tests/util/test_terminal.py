"""Standard error has a command's own lines alone."""

import json
import re

import pytest
import soundfile

from helpers.processes import run_python
from helpers.signals import music
from helpers.terminals import environment, run_fresh, run_on_terminal
from mar.util import progress

LOUD = """
import os
os.write(2, b"I0000 words of C++\\n")
class config:
    def list_physical_devices():
        os.write(2, b"E0000 words about devices\\n")
"""

COMMAND = """
import logging, sys, warnings
from mar.util import cli
def main(argv):
    log = logging.getLogger("mar.any")
    log.info("%d files", 3)
    log.debug("detail")
    import tensorflow
    log.warning("this is odd: do that")
    logging.getLogger("other").warning("other words")
    warnings.warn("warned words")
    print("result")
    return 2
cli.run(main)
"""

OURS = ["3 files", "warning: this is odd: do that"]
THEIRS = ["words of C++", "other words", "warned words", "detail"]


@pytest.fixture
def loud(tmp_path):
    """A package `tensorflow` that writes past Python as it is imported, and then what is added."""

    def write(more=""):
        (tmp_path / "tensorflow.py").write_text(LOUD + more)
        return environment(tmp_path)

    return write


@pytest.mark.parametrize("run", [run_fresh, run_on_terminal])
def test_what_libraries_write_is_left_out_unless_asked_for(loud, run):
    quiet = run("-c", COMMAND, env=loud())
    assert (quiet.returncode, quiet.stdout) == (2, "result\n")
    assert quiet.stderr.splitlines() == OURS
    verbose = run("-c", COMMAND, "--verbose", env=loud())
    assert verbose.returncode == 2
    for words in [*OURS, *THEIRS]:
        assert words in verbose.stderr


def test_it_is_shown_where_the_import_fails(loud):
    failed = run_fresh("-c", COMMAND, env=loud("raise ImportError('no such instruction')"))
    assert failed.returncode == 1
    assert "words of C++" in failed.stderr
    assert "no such instruction" in failed.stderr
    crashed = run_fresh("-c", COMMAND, env=loud("os.abort()"))
    assert crashed.returncode < 0
    assert "tensorflow.py" in crashed.stderr  # where it crashed


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library")
    (folder / "music").mkdir()
    for number in range(3):
        path = folder / "music" / f"{number}.wav"
        soundfile.write(path, music(8.0, 16000, 1, number), 16000)
    (folder / "music" / "bad.mp3").write_text("no audio")
    rows = "".join(f"{n},music/{n}.wav,{'ab'[n % 2]}\n" for n in range(3))
    (folder / "tracks.csv").write_text(f"id,path,labels\n{rows}bad,music/bad.mp3,a\n")
    return folder


def test_commands_with_the_real_tensorflow(library):
    """One after the other, since each takes seconds to begin."""
    arguments = ["embed", "--model", "logmel_mean", "--workers", "1", "music"]
    shown = run_on_terminal("-m", "mar", *arguments, "-o", "on_terminal", cwd=library)
    assert shown.returncode == 2
    bar, failed, end = re.split(r"\n(?=failed: )|\n$", shown.stderr)
    assert "4/4" in bar
    assert all("file" in drawn for drawn in bar.split("\r") if drawn.strip())
    assert failed.startswith("failed: 'bad.mp3': not recognised")
    assert end == ""

    write = ["records", "write", "--table", "tracks.csv", "--output", "records", "--workers", "1"]
    written = run_fresh("-m", "mar", *write, "--json", cwd=library)
    assert written.returncode == 2
    summary = json.loads(written.stdout)
    assert (summary["tracks"], summary["audio_seconds"]) == (3, pytest.approx(24.0, abs=0.1))
    assert [(failure["id"], failure["new"]) for failure in summary["failed"]] == [("bad", True)]
    assert [re.sub(r"\d+", "N", line)[:30] for line in written.stderr.splitlines()] == [
        "tracks.csv: N rows read, N ref",
        "failed: bad: music/bad.mpN: no",
        "N could not be read, see faile",
        "         N not recognised as a",
    ]
    again = run_python("-m", "mar", *write, "--fail_on", "new", cwd=library)
    assert again.returncode == 0
    assert "1 could not be read (0 of them new)" in again.stderr

    settings = {
        "Constants.RECORDS": "records",
        "SfNfNetF0.width": 0.0625,
        "Trainer.steps": 2,
        "Trainer.dataset.PairDataset.batch_size": 2,
        "Trainer.dataset.PairDataset.held_out": "null",  # of three tracks it is told
        "Trainer.dataset.PairDataset.part": "null",
        "Trainer.validation": "null",
    }
    flags = [f"--set={name}={value}" for name, value in settings.items()]
    train = ["train", "--config", "small", "--output", "run", "--json", *flags]
    trained = run_fresh("-m", "mar", *train, cwd=library)
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["model_card"]["steps"] == 2
    assert trained.stderr == ""


def test_a_list_from_standard_input(library):
    names = "music/0.wav\nmusic/2.wav\n"
    checked = run_fresh("-m", "mar", "check", "-", input=names, cwd=library)
    assert checked.stdout.startswith("2 files, 0.0 h: 2 without fault")
    assert checked.stderr == "standard input: 2 rows read, 0 refused, 0 duplicates\n"
    none = run_fresh("-m", "mar", "check", "-", input="", cwd=library)
    assert (none.returncode, none.stdout) == (1, "")
    assert none.stderr.startswith("error: standard input: ")


@pytest.mark.parametrize(("seconds", "lines"), [(60.0, 0), (0.0, 3)])
def test_where_there_is_no_terminal_progress_is_a_line_a_minute(
    capsys, monkeypatch, seconds, lines
):
    monkeypatch.setattr(progress, "_LINE_SECONDS", seconds)
    with progress.Progress(40, "track", initial=10) as counter:
        for failed in range(3):
            counter.update(5, f"{failed} failed")
    told = capsys.readouterr().err.splitlines()
    assert len(told) == lines
    for number, line in enumerate(told):
        assert line.startswith(f"{15 + 5 * number} of 40 tracks in 0:00:0")
        assert line.endswith(f" left, {number} failed")
