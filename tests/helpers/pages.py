"""Runs what a page of the README or the documentation says to type.

A page is run from its top to its bottom in one folder. Comments, which readers do not see, say what
the text need not:

    <!-- test: music song -->        the folder has these at first, see `helpers.homes`
    <!-- skip: why -->               the next block is shown, not run
    <!-- skip-page: why -->          no block of the page is run
    <!-- needs: duckdb -->           the next block is run where this is installed
    <!-- exit: 2 of embed, why -->   the exit code of that command in the next block
    <!-- file: mine.yaml -->         the next block is written into this file

Blocks of `sh` are commands of this package, those of `python` share their names; others are shown.
"""

import importlib.util
import re
import shlex
from typing import NamedTuple

from helpers.processes import run_python
from mar.commands import COMMANDS

_PART = re.compile(
    r"^<!-- (?P<word>[\w-]+): (?P<value>.*?) -->$"
    r"|^(?P<fence>`{3,})(?P<language>[\w-]*)\n(?P<text>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)

# The command `mar`, for which files of few rows may pass for official ones.
MAR = """
import sys
from helpers.homes import know_official_files
from mar.__main__ import main
know_official_files()
sys.exit(main())
"""
MODEL = ["--set=Trainer.model.SfNfNetF0.width=0.1"]
MODEL += ["--set=Trainer.model.SfNfNetF0.depths=[1,1,1,1]"]
OBJECTIVE = "--set=Trainer.objective.ContrastiveObjective.projector.Projector.hidden_units=[16]"
SCHEDULE = "--set=MLP.optimizer.ScoochAdam.schedule.WarmupSchedule"
SHRUNK = {
    "train": [
        *(*MODEL, OBJECTIVE, "--set=Trainer.dataset.PairDataset.batch_size=4"),
        *("--set=Trainer.steps=2", "--set=Trainer.device=cpu"),
    ],
    "probe": [
        *(f"{SCHEDULE}.warmup_steps=2", "--allow_missing", "--resamples=5"),
        f"{SCHEDULE}.schedule.ScoochCosineDecay.decay_steps=5",
    ],
    "reproduce": ["--probes=small", "--allow_missing"],
}
# The published weights are 250 MB; those of any model stand for them.
RENAMED = {
    "--model mule": "--model small.keras",
    "reproduction/results/table2/": "reproduction/results/small/",
    '"mule"': '"small.keras"',
    "model_location=mule": "model_location=small.keras",
    "initial_weights=mule": "initial_weights=small.keras",
    "microbatch=128": "microbatch=2",
    "width=0.125": "width=0.1, depths=[1, 1, 1, 1]",
    "batch_size=64,": "batch_size=4,",
    "steps=1500": "steps=2",
}


class Block(NamedTuple):
    """A fenced block of a page.

    Attributes:
        language: behind the fence.
        text: between the fences.
        said: what comments before it say, `{word: value}`.
    """

    language: str
    text: str
    said: dict[str, str]


def parts_of(page):
    """What comments say of a page as a whole, `{word: value}`, and its blocks."""
    whole, blocks, said = {}, [], {}
    for part in _PART.finditer(page.read_text(encoding="utf-8")):
        if part["word"] in ("test", "skip-page"):
            whole[part["word"]] = part["value"]
        elif part["word"]:
            said[part["word"]] = part["value"]
        else:
            blocks.append(Block(part["language"], part["text"], said))
            said = {}
    return whole, blocks


def run(blocks, folder):
    """Runs the blocks of a page in a folder, which is the current one, and the user's home."""
    names = {}
    for block in blocks:
        if "file" in block.said:
            (folder / block.said["file"]).write_text(block.text, encoding="utf-8")
        elif "skip" in block.said or not _is_installed(block.said.get("needs")):
            continue
        elif block.language == "sh":
            _run_commands(block, folder)
        elif block.language == "python":
            exec(compile(_renamed(block.text), "<block>", "exec"), names)


def _run_commands(block, folder):
    """Each line of a block, which may go on in the next, with what makes it small."""
    code, _, of = block.said.get("exit", "0 of ").partition(" of ")
    failing = of.partition(",")[0]
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(_renamed(line), comments=True)
        if not words:
            continue
        program, *arguments = (re.sub(r"^~", str(folder), word) for word in words)
        assert program == "mar", f"expected a command of mar, or a comment that skips it: {line}"
        name = arguments[0]
        assert name == "records" or name in COMMANDS, line
        finished = run_python(
            *("-c", MAR, *arguments, *SHRUNK.get(name, [])), cwd=folder, HOME=str(folder)
        )
        expected = int(code) if name == failing else 0
        assert finished.returncode == expected, f"{line}\n{finished.stdout}\n{finished.stderr}"


def _renamed(text):
    for name, other in RENAMED.items():
        text = text.replace(name, other)
    return text


def _is_installed(package):
    return package is None or importlib.util.find_spec(package) is not None
