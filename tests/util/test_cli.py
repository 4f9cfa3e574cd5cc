"""What all commands share: output that no name and no terminal can break."""

import signal

import numpy as np
import pytest

from helpers.processes import run_python, start_python
from helpers.small_embeddings import write_store
from mar.util.names import printable

NAMES = ["Beyoncé.wav", "Сплин 😀.wav", r"\xff.wav", "m$_$.wav"]


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", [r"Beyonc\xe9.wav", r"\u0421\u043f\u043b\u0438\u043d \U0001f600.wav", NAMES[2]]),
        ("cp1252", [NAMES[0], r"\u0421\u043f\u043b\u0438\u043d \U0001f600.wav", NAMES[2]]),
        ("koi8-r", [r"Beyonc\xe9.wav", r"Сплин \U0001f600.wav", NAMES[2]]),
        ("utf-8", NAMES[:3]),
    ],
)
def test_names_are_printed_whatever_the_terminal_can_show(tmp_path, encoding, shown):
    write_store(tmp_path / "e", {name: np.ones((1, 4)) for name in NAMES})
    command = ["-m", "mar.similar", "--embeddings", tmp_path / "e"]
    environment = {"encoding": encoding, "PYTHONIOENCODING": encoding}
    found = run_python(*command, NAMES[3], **environment)
    assert (found.returncode, found.stderr) == (0, "")
    assert {line.split("  ")[1] for line in found.stdout.splitlines()} == set(shown)
    missing = run_python(*command, "Übér\udcff.wav", **environment)
    assert missing.returncode == 1
    assert missing.stderr.startswith("error: ")
    assert len(missing.stderr.splitlines()) == 1


@pytest.mark.parametrize("tracks", [2, 2000])  # fewer, and more, than a pipe's buffer takes
def test_an_output_that_nobody_reads_ends_a_command_quietly(tmp_path, tracks):
    """As `| head` does, whether it is noticed at once or at the end."""
    write_store(tmp_path / "e", {f"{n:060}.wav": np.ones((1, 4)) for n in range(tracks)})
    command = ["-m", "mar.similar", "--embeddings", tmp_path / "e", "--k", tracks]
    with start_python(*command, f"{1:060}.wav") as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 128 + signal.SIGPIPE


def test_what_the_system_says_of_a_file_is_a_sentence():
    """Of one that somebody removes under way. What has no file to name is a defect."""
    script = "from mar.util import cli\ncli.run(lambda argv: {})"
    gone = run_python("-c", script.format("open('no\\udcff/such\\nthing')"))
    assert (gone.returncode, gone.stderr) == (
        1,
        "error: no\\xff/such\\x0athing: No such file or directory\n",
    )
    defect = run_python("-c", script.format("__import__('os').close(999)"))
    assert defect.returncode == 1
    assert "Traceback" in defect.stderr


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Björk 😀 m$_$", "Björk 😀 m$_$"),
        ("a\udcffb", r"a\xffb"),
        ("one\ntwo\x1b", r"one\x0atwo\x1b"),
    ],
)
def test_printable_names(name, text):
    assert printable(name) == text
