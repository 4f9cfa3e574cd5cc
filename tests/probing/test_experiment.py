"""Every task from its official files to its tables."""

import csv
import json
import logging
import shutil

import numpy as np
import pytest

from helpers.distributions import WRITERS
from helpers.shared import ROOT, run_python
from helpers.small_embeddings import separable, write_store
from mar.config import load
from mar.embedding.embeddings import open_embeddings
from mar.errors import InputError
from mar.probing import experiment, published, results
from mar.probing.probe import MLP
from mar.tasks import TASKS, Task

SCHEDULE = "MLP.optimizer.ScoochAdam.schedule.WarmupSchedule"


def short(name, *overrides, steps=30, rate=0.01):
    """Our configuration of a task, with few steps and narrow layers."""
    path = ROOT / "configs" / "probe" / f"{name}.yaml"
    widths = [16 for _ in load(path)["MLP"]["layer_widths"]]
    settings = [
        f"{SCHEDULE}.warmup_steps=10",
        f"{SCHEDULE}.schedule.ScoochCosineDecay.decay_steps={steps - 10}",
        f"{SCHEDULE}.warm_learning_rate={rate}",
        f"{SCHEDULE}.schedule.ScoochCosineDecay.initial_learning_rate={rate}",
        f"MLP.layer_widths={widths}",
        "MLP.batch_size=32",
    ]
    return MLP(load(path, [*settings, *overrides]))


def embed(loaded, paths, folder, **provenance):
    """A data set in which the items' targets can be read from the embeddings."""
    rows = {path: row for row, path in enumerate(loaded.locate(paths)) if path}
    order = [path for path in paths if path in rows]
    timelines = separable(loaded.targets[[rows[path] for path in order]])
    made = dict(zip(order, timelines, strict=True))
    return write_store(folder, made, **{**loaded.windows, **provenance})


@pytest.fixture
def prepared(tmp_path):
    """Writes a tiny distribution and its embeddings; returns the task and the open data set."""

    def prepare(name, **provenance):
        paths = WRITERS[name](tmp_path / "metadata")
        loaded = Task(name, tmp_path / "metadata")
        return loaded, open_embeddings(embed(loaded, paths, tmp_path / "emb", **provenance))

    return prepare


@pytest.mark.parametrize("name", TASKS)
def test_every_task_runs_from_its_official_files_to_its_tables(name, prepared, tmp_path):
    loaded, embeddings = prepared(name)
    mlp = short("MTT" if name == "MTT_filtered" else name)
    missing = name == "MSDS"  # of its 201,680 tracks for training few are embedded
    result = experiment.run(
        loaded, embeddings, mlp, tmp_path / "results", "toy", allow_missing=missing, resamples=20
    )
    assert result["items"]["train"] >= 20
    for metric in loaded.metrics:
        score = result["test"][metric]
        assert score["low"] <= score["high"]
        assert np.isfinite(score["value"])
    folder = tmp_path / "results" / name
    written = {path.stem: published.read_table(path) for path in folder.glob("*.csv")}
    expected = {
        "multilabel": {"map", "roc-auc"},
        "multiclass": {"precision"},
        "key": {"precision", "weighted"},
        "regression": {"r2", "r2_a", "r2_v"},
    }
    assert set(written) == expected[loaded.kind]
    for metric, table in written.items():
        key = {"precision": "accuracy"}.get(metric, metric)
        assert table.models == ["toy"]
        assert table.aggregates == pytest.approx(result["test"][key]["value"])


def test_a_probe_learns_what_the_embeddings_say(prepared, tmp_path):
    loaded, embeddings = prepared("MTT", store="timeline")
    for windows in ("mean", "single"):
        mlp = short("MTT", f"MLP.windows={windows}", "MLP.dropout=0.0", steps=400)
        result = experiment.run(loaded, embeddings, mlp, tmp_path / "results", windows)
        assert result["test"]["map"]["value"] > 0.98
        assert result["training_rows"] == result["items"]["train"] * (1 if windows == "mean" else 3)


def test_windows_that_do_not_fit_into_memory_are_mapped(prepared, tmp_path, monkeypatch):
    loaded, embeddings = prepared("MTT", store="timeline")
    mlp = short("MTT", "MLP.windows=single")
    resident = experiment.run(loaded, embeddings, mlp, tmp_path / "results", "resident")
    monkeypatch.setattr(experiment, "available_bytes", lambda: 0)
    folder, seen = tmp_path / "results" / "MTT" / "mapped", []
    mapped = experiment.run(
        loaded,
        *(embeddings, mlp, tmp_path / "results", "mapped"),
        progress=lambda *_: seen.append(list(folder.iterdir())),
    )
    assert seen[0] == [], "a file that a kill would leave"
    assert mapped["test"] == resident["test"]
    assert mapped["valid"] == resident["valid"]


def test_the_test_set_is_read_once_and_a_search_does_not_see_it(prepared, tmp_path, monkeypatch):
    loaded, embeddings = prepared("GTZAN")
    read = []
    original = experiment.examples

    def watched(task, embeddings, paths, split, *rest):
        read.append(split)
        return original(task, embeddings, paths, split, *rest)

    monkeypatch.setattr(experiment, "examples", watched)
    result = experiment.run(
        loaded, embeddings, short("GTZAN"), tmp_path / "results", "toy", trials=3, resamples=5
    )
    assert read == ["train", "valid", "test"]
    assert result["trials"] == 3


def test_runs_of_two_models_are_compared_item_by_item(prepared, tmp_path):
    loaded, embeddings = prepared("MTT")
    for model, steps in (("good", 400), ("poor", 20)):
        mlp = short("MTT", "MLP.dropout=0.0", steps=steps)
        experiment.run(loaded, embeddings, mlp, tmp_path, model, resamples=5)
    good, poor = (results.score_again(tmp_path / "MTT" / model) for model in ("good", "poor"))
    difference, low, high = results.compare(good, poor)["map"]
    assert 0 < low < difference < high
    assert results.compare(good, good)["map"] == (0, 0, 0)
    table = published.read_table(tmp_path / "MTT" / "map.csv")
    assert table.models == ["good", "poor"]
    assert table.labels == loaded.labels


# ------------------------------------------------------------------------------------- bad input


def test_missing_embeddings_stop_the_run_unless_allowed(tmp_path, caplog):
    paths = WRITERS["GTZAN"](tmp_path / "metadata")
    loaded = Task("GTZAN", tmp_path / "metadata")
    embed(loaded, paths[:-7], tmp_path / "emb")
    write_store(tmp_path / "emb", {"x.wav": np.ones((1, 8))}, paths[-2:-1], name="1")
    embeddings = open_embeddings(tmp_path / "emb")
    with pytest.raises(InputError, match=r"missing for 7 of 48 items .*--allow_missing") as error:
        experiment.find_audio(loaded, embeddings)
    assert str(error.value).count(".wav") == 5
    found, missing = experiment.find_audio(loaded, embeddings, allow_missing=True)
    assert missing == 7
    assert found.count(None) == 7
    assert "missing for 7 of 48" in caplog.text
    (tmp_path / "emb" / "part-0.parquet").unlink()
    with pytest.raises(InputError, match="no item of GTZAN's train split"):
        experiment.find_audio(loaded, open_embeddings(tmp_path / "emb"), allow_missing=True)


def test_the_reason_why_an_embedding_is_missing_is_told(tmp_path):
    paths = WRITERS["GTZAN"](tmp_path / "metadata")
    loaded = Task("GTZAN", tmp_path / "metadata")
    embed(loaded, paths[:-1], tmp_path / "emb")
    write_store(tmp_path / "emb", {"x.wav": np.ones((1, 8))}, paths[-1:], name="1")
    with pytest.raises(InputError, match=r"missing for 1 of 48 items.*\.wav \(truncated\)"):
        experiment.find_audio(loaded, open_embeddings(tmp_path / "emb"))


def test_a_clip_that_is_known_to_be_broken_may_be_missing(tmp_path, caplog):
    paths = WRITERS["GTZAN"](tmp_path / "metadata")
    file = tmp_path / "metadata" / "train_filtered.txt"
    file.write_text(file.read_text() + "jazz/jazz.00054.wav\n")
    loaded = Task("GTZAN", tmp_path / "metadata")
    embed(loaded, paths, tmp_path / "emb")
    _, missing = experiment.find_audio(loaded, open_embeddings(tmp_path / "emb"))
    assert missing == 1
    assert "jazz.00054.wav: left out" in caplog.text


def test_nsynth_needs_its_own_windows_and_others_are_warned(prepared, tmp_path, caplog):
    loaded, embeddings = prepared("NSynth_P", first_centre_seconds=None)
    message = (
        "expects windows of 1 s every 1 s, the first around 0.5 s, found 1 s every 1 s, the first "
        "around 1 s; embed with --task NSynth_P"
    )
    with pytest.raises(InputError, match=message):
        experiment.check_windows(loaded, embeddings)
    loaded, embeddings = prepared("MTT", hop_seconds=1.0)
    experiment.check_windows(loaded, embeddings)
    assert "found 3 s every 1 s, the first around 1 s" in caplog.text
    caplog.clear()
    for same in ({"first_centre_seconds": 2.0}, {"window_seconds": None}):
        loaded, embeddings = prepared("MTT", **same)
        experiment.check_windows(loaded, embeddings)
    assert "expects windows" not in caplog.text


def test_a_run_that_ends_early_leaves_no_result_of_another_probe(prepared, tmp_path):
    loaded, embeddings = prepared("GTZAN")
    run = loaded, embeddings, short("GTZAN"), tmp_path / "results", "toy"
    experiment.run(*run, resamples=5)
    folder = tmp_path / "results" / "GTZAN" / "toy"
    (folder / "config.yaml").unlink()
    (folder / "config.yaml").mkdir()  # cannot be replaced by a file
    with pytest.raises((InputError, OSError)):
        experiment.run(*run, resamples=5)
    assert not (folder / "result.json").exists()
    (folder / "config.yaml").rmdir()
    experiment.run(*run, resamples=5)
    assert (folder / "result.json").exists()


@pytest.mark.parametrize("model", ["../../x", "", "..", "/x", "a/b"])
def test_a_model_that_is_no_name_is_refused(model, prepared, tmp_path):
    loaded, embeddings = prepared("GTZAN")
    with pytest.raises(InputError, match=f"expected a name.*got {model!r}"):
        experiment.run(loaded, embeddings, short("GTZAN"), tmp_path / "results", model)
    assert not (tmp_path / "results").exists()


def test_an_output_that_cannot_be_written_is_told_before_training(prepared, tmp_path):
    loaded, embeddings = prepared("GTZAN")
    (tmp_path / "results").write_text("a file")
    with pytest.raises(InputError, match=r"results/GTZAN/toy: cannot be made: Not a directory"):
        experiment.run(loaded, embeddings, short("GTZAN"), tmp_path / "results", "toy")


def test_two_collections_of_one_name_do_not_share_a_folder(tmp_path):
    audio = [f"{label}/{number}.wav" for label in "ab" for number in range(10)]
    for path in audio:
        (tmp_path / "own" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / path).touch()
    rows = [f"{path},{number % 2}" for number, path in enumerate(audio)]
    (tmp_path / "own.csv").write_text("\n".join(["path,label", *rows]))
    timelines = separable(np.eye(2)[["ab".index(path[0]) for path in audio]])
    write_store(tmp_path / "emb", dict(zip(audio, timelines, strict=True)))
    embeddings = open_embeddings(tmp_path / "emb")
    settings = embeddings, short("GTZAN"), tmp_path / "results", "toy"
    folder, table = Task(tmp_path / "own"), Task(tmp_path / "own.csv")
    first = experiment.run(folder, *settings, resamples=0)
    with pytest.raises(InputError, match=r"results/own: holds results of another collection"):
        experiment.run(table, *settings, resamples=0)
    assert results.read_run(tmp_path / "results" / "own" / "toy") == first
    experiment.run(folder, *settings, resamples=0)


# --------------------------------------------------------------------------------------- command


def test_the_command_prints_and_writes_what_it_found(tmp_path):
    audio = [f"{label}/{n}.wav" for label in ("dub", "ska") for n in range(30)]
    for path in audio:
        (tmp_path / "songs" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "songs" / path).write_bytes(b"")
    targets = np.array([[path[0] == "d", path[0] == "s"] for path in audio], float)
    timelines = dict(zip(audio, separable(targets), strict=True))
    write_store(tmp_path / "emb", timelines)
    short("GTZAN", steps=200).write(tmp_path / "probe.yaml")
    command = ["-m", "mar.probe", "--task", tmp_path / "songs", "--embeddings", tmp_path / "emb"]
    command += ["--config", tmp_path / "probe.yaml", "--output", tmp_path / "results"]
    finished = run_python(*command, "--resamples", 50)
    assert finished.returncode == 0, finished.stderr
    assert "accuracy" in finished.stdout
    folder = tmp_path / "results" / "songs" / "emb"
    result = json.loads((folder / "result.json").read_text())
    assert result["test"]["accuracy"]["value"] == 1.0
    assert result["embeddings"]["model"] == "a" * 64
    with open(folder / "per_label.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["dub", "ska"]
    assert sorted(path.name for path in folder.iterdir()) == [
        *("config.yaml", "per_label.csv", "predictions.npz", "probe.keras", "result.json")
    ]
    without = run_python(*command, "--resamples", 0, "--model", "quick")
    assert "accuracy               1.0000\n" in without.stdout
    quick = json.loads((folder.parent / "quick" / "result.json").read_text())
    assert quick["test"]["accuracy"] == {"value": 1.0, "low": None, "high": None}
    wrong = run_python(*command, "--set", "MLP.layer_width=3")
    assert wrong.returncode == 1
    assert "did you mean 'layer_widths'" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_several_tasks_embeddings_and_seeds_are_as_many_runs(tmp_path):
    audio = [f"{number}.wav" for number in range(40)]
    for name in ("one", "two"):
        classes = [f"{path},{(number + len(name)) % 2}" for number, path in enumerate(audio)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["path,label", *classes]) + "\n")
    targets = np.eye(2)[np.arange(40) % 2]
    for seed, name in enumerate(("emb", "other")):
        timelines = separable(targets + 2.0 * seed)
        write_store(tmp_path / name, dict(zip(audio, timelines, strict=True)))
    short("GTZAN").write(tmp_path / "probe.yaml")
    command = ["-m", "mar.probe", "--config", tmp_path / "probe.yaml", "--resamples", 5]
    command += ["--output", tmp_path / "results"]
    command += [part for name in ("one", "two") for part in ("--task", tmp_path / f"{name}.csv")]
    command += [part for name in ("emb", "other") for part in ("-e", tmp_path / name)]
    finished = run_python(*command, "--seed", 3, "--seed", 4)
    assert finished.returncode == 0, finished.stderr
    found = {
        path.parent.relative_to(tmp_path / "results").as_posix(): json.loads(path.read_text())
        for path in (tmp_path / "results").glob("**/result.json")
    }
    runs = [f"{task}/{model}" for task in ("one", "two") for model in ("emb", "other")]
    assert found.keys() == {*runs, *(f"seeds/4/{run}" for run in runs)}
    for where, result in found.items():
        assert where.endswith(f"{result['task']}/{result['model']}")
        assert result["seed"] == (4 if where.startswith("seeds") else 3)
    single = run_python(*command[:2], *command[2:8], *command[10:], "--seed", 4, "--model", "x")
    assert single.returncode == 1
    assert "--model" in single.stderr
    (tmp_path / "one").mkdir()
    shutil.copy(tmp_path / "one.csv", tmp_path / "one" / "one.csv")
    alike = run_python(*command, "--task", tmp_path / "one" / "one.csv")
    assert alike.returncode == 1
    assert f"{tmp_path}/one.csv and {tmp_path}/one/one.csv are both called one" in alike.stderr


def test_counts_that_differ_are_a_warning(tmp_path, caplog):
    WRITERS["GTZAN"](tmp_path)
    with caplog.at_level(logging.WARNING):
        Task("gtzan", tmp_path)
    assert "expected 443 items (train), found 24" in caplog.text
    assert "expected 10 labels, found 3" in caplog.text
