"""`make quickstart`, with its own commands on a few tracks and a few steps."""

import itertools
import json
import os
import pathlib
import subprocess
import sys

import pytest

from helpers import quick
from helpers.resources import ROOT

SHRUNK = {
    "VENV": sys.prefix,
    "SEEDS": "0 1",
    "DATA_FLAGS": "--tracks 40 --notes 55",
    "PROBE_FLAGS": "--resamples 5 --set MLP.optimizer.ScoochAdam.schedule.WarmupSchedule"
    ".schedule.ScoochCosineDecay.decay_steps=5",
    "TRAIN_FLAGS": "--set Trainer.model.SfNfNetF0.width=0.05 --set Trainer.steps=2",
}
TASKS = {"key", "instrument", "genre", "meter", "tempo", "pitch"}


def make(folder, *options):
    """Runs it; returns what it printed."""
    outer = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")  # of `make test`
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    variables = [f"{name}={value}" for name, value in SHRUNK.items()]
    kept = ["--old-file", f"{sys.prefix}/installed", "--no-print-directory"]
    finished = subprocess.run(
        ["make", "quickstart", *variables, *kept, *options],
        cwd=folder,
        env={**environment, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture
def clone(tmp_path):
    """What make sees of the project, without products."""
    quick.refuse("make")
    pytest.importorskip("music21", reason="needs the extra quickstart")
    if not (pathlib.Path(sys.prefix) / "installed").exists():
        pytest.skip("needs an environment that make has made")
    for name in (
        "Makefile",
        "setup.py",
        "benchmarks",
        "configs",
        "docs",
        "examples",
        "release",
        "tests",
    ):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.mark.slow
def test_make_quickstart(clone):
    """It ends with a report, and does nothing twice."""
    printed = make(clone)
    assert [f"== {number} of 7" in printed for number in range(1, 8)] == [True] * 7
    folder = clone / "quickstart"
    models = {"supervised", "contrastive", "random", "logmel_mean"}
    runs = {path.parts[-4:-1] for path in folder.glob("results/*/*/*/result.json")}
    assert runs == set(itertools.product(TASKS, models, SHRUNK["SEEDS"].split()))
    result = json.loads((folder / "results/tempo/random/0/result.json").read_text())
    assert result["items"] == {"train": 24, "valid": 8, "test": 8}
    assert "<h1" in (folder / "report.html").read_text(encoding="utf-8")

    assert make(clone) == "== quickstart/report.html is the page to look at\n"
    (folder / "report.html").unlink()
    again = make(clone, "--dry-run")
    assert "== 7 of 7" in again
    assert "== 6 of 7" not in again
