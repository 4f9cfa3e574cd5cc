"""What more labels would bring."""

import numpy as np
import pandas as pd
import pytest

import mar
from helpers.processes import run_python
from helpers.small_embeddings import separable, write_store
from mar.probing import curve
from mar.probing.metrics import Score
from mar.probing.probe import Examples


def test_so_many_examples_of_each_class_are_drawn():
    targets = np.eye(3, dtype=np.uint8)[[0] * 20 + [1] * 8 + [2] * 2]
    for count in (1, 2, 5, 10):
        draws = [
            curve.few("multiclass", targets, count, np.random.default_rng(n)) for n in range(5)
        ]
        for chosen in draws:
            expected = np.minimum([20, 8, 2], count)
            np.testing.assert_array_equal(targets[chosen].sum(axis=0), expected)
        assert len({chosen.tobytes() for chosen in draws}) > 1


def test_items_without_a_label_are_drawn_too():
    targets = np.zeros((60, 2), np.uint8)
    targets[:20, 0] = targets[10:30, 1] = 1
    chosen = curve.few("multilabel", targets, 5, np.random.default_rng(0))
    assert (targets[chosen].sum(axis=0) >= 5).all()
    assert chosen[30:].sum() == 5
    values = np.linspace(0, 1, 60, dtype=np.float32)[:, None]
    assert curve.few("regression", values, 7, np.random.default_rng(0)).sum() == 7


def test_the_last_point_is_that_of_all_examples(caplog):
    targets = np.eye(2, dtype=np.uint8)[np.arange(40) % 2]
    training, seen = Examples(np.arange(40.0)[:, None], targets), []

    def score(fewer):
        seen.append(len(fewer.features))
        return {"accuracy": Score(len(fewer.features) / 40, None, np.full(4, 0.5))}

    of_all = {"accuracy": Score(0.9, None, np.array([0.8, 1.0]))}
    table = curve.points("multiclass", training, [10, 3, 3, 20, 50], score, of_all, seed=0)
    assert seen == [6] * 3 + [20] * 3
    assert table["examples"].tolist() == [3, 10, 20]
    assert table["items"].tolist() == [6, 20, 40]
    assert table["value"].tolist() == pytest.approx([0.15, 0.5, 0.9])
    assert table["low"][2] < 0.9 < table["high"][2]
    assert "left out [20, 50]: no label has more than 20" in caplog.text


def test_the_command_draws_a_curve(tmp_path):
    classes = np.arange(150) % 3
    rows = [f"{number}.wav,{'abc'[label]}" for number, label in enumerate(classes)]
    (tmp_path / "own.csv").write_text("\n".join(["path,genre", *rows]) + "\n")
    vectors = separable(np.eye(3)[classes])
    vectors += np.random.default_rng(0).normal(size=(150, 1, 8))
    write_store(tmp_path / "emb", {f"{n}.wav": vector for n, vector in enumerate(vectors)})
    command = ["-m", "mar.probe", "--task", tmp_path / "own.csv", "-e", tmp_path / "emb"]
    command += ["--label_column", "genre", "--output", tmp_path / "results", "--resamples", 50]
    refused = run_python(*command, "--curve", "5,0")
    assert refused.returncode == 1
    assert "--curve" in refused.stderr
    assert "['0']" in refused.stderr
    finished = run_python(*command, "--curve", "1,5,500")
    assert finished.returncode == 0, finished.stderr
    folder = tmp_path / "results" / "own.genre" / "emb" / "0"
    table = pd.read_csv(folder / "curve.csv")
    scores = table[table["metric"] == "accuracy"]
    assert scores["examples"].tolist() == [1, 5, 30]
    assert scores["items"].tolist() == [3, 15, 90]
    assert scores["value"].iloc[0] < scores["value"].iloc[2]
    (run,) = mar.Results(tmp_path / "results").runs
    assert scores["value"].iloc[2] == run.facts["test"]["accuracy"]["value"]
    assert (folder / "curve.png").stat().st_size > 5000
    assert f"by examples of a label: 1: {scores['value'].iloc[0]:.4f}" in finished.stdout
