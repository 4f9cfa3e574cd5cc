"""From a task's audio to its result by the two commands, with a small network."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

import mar
from helpers.distributions import nsynth
from helpers.networks import plain_network
from helpers.processes import run_python


@pytest.fixture
def collection(tmp_path):
    """NSynth's format, notes whose pitch can be heard; one of them is missing."""
    paths = nsynth(tmp_path / "nsynth")
    for path in paths[:-1]:
        file = tmp_path / "nsynth" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        pitch = int(path.split("-")[-2])
        time = np.arange(4 * 16000) / 16000
        tone = 0.3 * np.sin(2 * np.pi * 55 * 2 ** ((pitch - 40) / 1.5) * time)
        soundfile.write(file, tone, 16000)
    mar.save(plain_network(), tmp_path / "small.keras")
    return tmp_path, paths


def test_embed_takes_items_and_windows_from_the_task_and_probe_takes_those(collection):
    folder, paths = collection
    embed = ["-m", "mar.embed", "--model", folder / "small.keras", "--output", folder / "emb"]
    embed += ["--task", "NSYNTH_P", "--metadata", folder / "nsynth", "--audio", folder / "nsynth"]
    finished = run_python(*embed, "--store", "timeline", "--workers", 2)
    assert finished.returncode == 2, finished.stderr
    assert f"failed: {paths[-1]!r}: " in finished.stderr
    rows = pq.read_table(folder / "emb").to_pylist()
    assert {row["path"] for row in rows} == set(paths)
    for row in rows:
        if row["status"] == "ok":
            assert row["times"] == pytest.approx([0.5, 1.5, 2.5, 3.5])

    probe = ["-m", "mar.probe", "--task", "NSynth_P", "--metadata", folder / "nsynth"]
    probe += ["--embeddings", folder / "emb", "--output", folder / "results", "--resamples", 20]
    schedule = "MLP.optimizer.ScoochAdam.schedule.WarmupSchedule"
    rate = {"warm_learning_rate": 0.01, "schedule.ScoochCosineDecay.initial_learning_rate": 0.01}
    steps = {"warmup_steps": 10, "schedule.ScoochCosineDecay.decay_steps": 500}
    probe += ["--set", "MLP.standardize=true"]
    probe += [f"--set={schedule}.{name}={value}" for name, value in {**rate, **steps}.items()]
    stopped = run_python(*probe)
    assert stopped.returncode == 1
    assert "embeddings are missing for 1 of 48 items of NSynth_P" in stopped.stderr
    finished = run_python(*probe, "--allow_missing")
    assert finished.returncode == 0, finished.stderr
    result = json.loads((folder / "results/NSynth_P/emb/0/result.json").read_text())
    assert result["items"] == {"train": 24, "valid": 12, "test": 11}
    assert result["test"]["accuracy"]["value"] == 1.0  # of four pitches


def test_a_task_needs_its_audio_and_nothing_else(collection):
    folder, _ = collection
    for arguments in (
        ["--task", "MTT"],
        ["--audio", folder],
        ["--task", "MTT", "--audio", "a", "b"],
    ):
        finished = run_python("-m", "mar.embed", "--output", folder / "x", *arguments)
        assert finished.returncode == 1
        assert "error: expected" in finished.stderr
