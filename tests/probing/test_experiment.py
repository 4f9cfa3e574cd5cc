"""Every task from its official files to its tables."""

import csv
import dataclasses
import itertools
import json
import logging
import shutil
import threading

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_recall_fscore_support

import mar
from helpers.distributions import ITEMS, WRITERS
from helpers.processes import run_python
from helpers.resources import DATA, ROOT
from helpers.small_embeddings import separable, write_store
from mar.embedding.store import Embeddings
from mar.errors import ConfigError, InputError
from mar.probing import differences, joining, published, results
from mar.probing.experiment import Probe
from mar.probing.fitting import Aim
from mar.probing.mlp import MLP
from mar.tasks import TASKS, Task, msd
from mar.util.lock import FolderLock

SCHEDULE = "MLP.optimizer.ScoochAdam.schedule.WarmupSchedule"


def short(name, *overrides, steps=30, rate=0.01):
    """Our configuration of a task, with few steps and narrow layers."""
    path = ROOT / "configs" / "probe" / f"{name}.yaml"
    widths = [16 for _ in MLP.load(path).layer_widths]
    settings = [
        f"{SCHEDULE}.warmup_steps=10",
        f"{SCHEDULE}.schedule.ScoochCosineDecay.decay_steps={steps - 10}",
        f"{SCHEDULE}.warm_learning_rate={rate}",
        f"{SCHEDULE}.schedule.ScoochCosineDecay.initial_learning_rate={rate}",
        f"MLP.layer_widths={widths}",
        "MLP.batch_size=32",
    ]
    return MLP.load(path, [*settings, *overrides])


def embed(loaded, paths, folder, **provenance):
    """A data set in which the items' targets can be read from the embeddings."""
    rows = {path: row for row, path in enumerate(loaded.locate(paths)) if path}
    order = [path for path in paths if path in rows]
    timelines = separable(loaded.targets[[rows[path] for path in order]])
    made = dict(zip(order, timelines, strict=True))
    return write_store(folder, made, **{**loaded.windows, **provenance})


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """Writes a tiny distribution and its embeddings; returns the task and the open data set."""

    def prepare(name, **provenance):
        monkeypatch.setattr(msd, "TRAIN_ITEMS", ITEMS["train"])  # of its 201,680 tracks
        paths = WRITERS[name](tmp_path / "metadata")
        loaded = Task(name, tmp_path / "metadata")
        return loaded, Embeddings(embed(loaded, paths, tmp_path / "emb", **provenance))

    return prepare


def run(loaded, embeddings, mlp, output, model, **options):
    """Runs a probe and saves what it found; returns the `Result`."""
    result = Probe(mlp, loaded).run(embeddings, model=model, **options)
    result.save(output)
    return result


@pytest.mark.parametrize("name", TASKS)
def test_every_task_runs_from_its_official_files_to_its_tables(name, prepared, tmp_path):
    loaded, embeddings = prepared(name)
    mlp = short("MTT" if name == "MTT_filtered" else name)
    result = run(loaded, embeddings, mlp, tmp_path / "results", "toy", resamples=20)
    assert result.facts["items"]["train"] >= 20
    assert result.facts["protocol"] == ("filtered" if name == "MTT_filtered" else "paper")
    for metric in loaded.metrics:
        score = result.facts["test"][metric]
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
        assert table.aggregates == pytest.approx(result.facts["test"][key]["value"])


def test_what_was_found_is_what_was_saved(prepared, tmp_path):
    loaded, embeddings = prepared("MTT")
    result = run(loaded, embeddings, short("MTT"), tmp_path / "results", "toy", seed=3)
    (saved,) = mar.Results(tmp_path / "results").runs
    assert saved.facts == result.facts
    assert (saved.task, saved.model, saved.seed) == ("MTT", "toy", 3)
    pd.testing.assert_frame_equal(saved.per_label, result.per_label, check_dtype=False)
    pd.testing.assert_frame_equal(saved.scores, result.scores)
    for mine, theirs in zip(saved.predictions(), result.predictions, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert sorted(path.name for path in saved.folder.iterdir()) == [
        *("config.yaml", "head.safetensors", "per_label.csv", "predictions.npz"),
        *("reliability.png", "result.json"),
    ]
    assert MLP.load(saved.folder / "config.yaml").hash() == result.facts["config_sha256"]
    head, vectors = mar.Head(saved.folder), np.random.default_rng(0).normal(size=(9, 8))
    np.testing.assert_array_equal(head.probabilities(vectors), result.head.probabilities(vectors))
    np.testing.assert_allclose(head.logits(vectors), result.network(vectors), atol=1e-5)


def test_no_seed_is_lost_or_counted_twice(prepared, tmp_path):
    """In version 0.1 the first seed of a call was written where that of any other call was."""
    loaded, embeddings = prepared("GTZAN")
    for seeds in ((0, 1), (1, 2)):
        for seed in seeds:
            run(loaded, embeddings, short("GTZAN"), tmp_path, "toy", seed=seed, resamples=0)
    runs = mar.Results(tmp_path).runs
    assert [(run.seed, run.folder.name) for run in runs] == [(0, "0"), (1, "1"), (2, "2")]


@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_task_comes_with_the_probe_of_table_2(name, prepared):
    loaded, _ = prepared(name)
    shipped = ROOT / "configs" / "probe" / f"{name.removesuffix('_filtered')}.yaml"
    probe = mar.Probe.for_task(loaded, ["MLP.activation=tanh"])
    assert probe.task is loaded
    assert probe.mlp.hash() == MLP.load(shipped, ["MLP.activation=tanh"]).hash()
    assert probe.mlp.hash() != mar.Probe.for_task(loaded).mlp.hash()
    assert mar.Probe(probe.mlp.resolved(), loaded).mlp == probe.mlp
    # The published configurations have no batch size: it is that of Table 2.
    unsized = mar.Probe(MLP.load(shipped, ["MLP.batch_size=null"]), loaded)
    assert unsized._batch_size(unsized.mlp) == MLP.load(shipped).batch_size


@pytest.mark.parametrize(
    ("column", "values", "metric"),
    [
        ("label", ("dub", "ska"), "accuracy"),
        ("labels", ("dub|ska", "ska"), "map"),
        ("key", ("C major", "A minor"), "weighted"),
        ("target", ("90", "180"), "r2"),
    ],
)
def test_a_table_of_ones_own_comes_with_a_probe_that_learns(column, values, metric, tmp_path):
    rows = [f"{number}.wav,{values[number % 2]},g{number // 2 % 10}" for number in range(80)]
    (tmp_path / "own.csv").write_text("\n".join([f"path,{column},artist", *rows]) + "\n")
    timelines = separable(np.eye(2)[np.arange(80) % 2])
    write_store(tmp_path / "emb", {f"{n}.wav": line for n, line in enumerate(timelines)})
    task = mar.Task(tmp_path / "own.csv")
    result = mar.Probe.for_task(task).run(Embeddings(tmp_path / "emb"), resamples=10)
    scores = result.scores[result.scores["label"].isna()].set_index(["part", "metric"])["value"]
    assert scores["test", metric] > 0.95
    assert set(result.scores["protocol"]) == {"own"}
    assert set(result.scores["model"]) == {"emb"}


def test_a_probe_learns_what_the_embeddings_say(prepared, tmp_path):
    loaded, embeddings = prepared("MTT", store="timeline")
    for windows, name in (("mean", "MTT"), ("single", "MTT_windows")):
        mlp = short(name, "MLP.dropout=0.0", steps=400)
        facts = run(loaded, embeddings, mlp, tmp_path / "results", windows).facts
        assert facts["test"]["map"]["value"] > 0.98
        assert facts["training_rows"] == facts["items"]["train"] * (1 if windows == "mean" else 3)
        assert facts["pooling"] == ("mean" if windows == "mean" else "windows")


def test_windows_that_do_not_fit_into_memory_are_mapped(prepared, tmp_path, monkeypatch, caplog):
    loaded, embeddings = prepared("MTT", store="timeline")
    probe = Probe(short("MTT", "MLP.windows=single"), loaded)
    resident = probe.run(embeddings)
    monkeypatch.setattr(joining, "_MEMORY_SHARE", 0)
    kept = []

    class Watcher(logging.Handler):
        def emit(self, record):
            kept.append(list((tmp_path / "scratch").iterdir()))

    caplog.set_level(logging.INFO, "mar.probing.experiment")
    logger, watcher = logging.getLogger("mar.probing.experiment"), Watcher()
    logger.addHandler(watcher)
    mapped = probe.run(embeddings, scratch=tmp_path / "scratch")
    logger.removeHandler(watcher)
    assert kept[0] == [], "a file that a kill would leave"
    pd.testing.assert_frame_equal(mapped.scores, resident.scores)


def test_the_test_set_is_read_once_and_a_search_does_not_see_it(prepared, tmp_path, monkeypatch):
    loaded, embeddings = prepared("GTZAN")
    read = []
    original = joining.EmbeddedTask.examples

    def watched(self, split, *rest):
        read.append(split)
        return original(self, split, *rest)

    monkeypatch.setattr(joining.EmbeddedTask, "examples", watched)
    probe = Probe(short("GTZAN"), loaded)
    result = probe.run(embeddings, trials=3, resamples=5, scratch=tmp_path / "scratch")
    assert read == ["train", "valid", "test"]
    assert result.facts["trials"] == 3
    assert [path.name for path in (tmp_path / "scratch").iterdir()] == ["search.sqlite3"]


def test_a_search_is_saved_as_a_table_and_a_picture(prepared, tmp_path):
    loaded, embeddings = prepared("GTZAN")
    result = run(loaded, embeddings, short("GTZAN"), tmp_path, "toy", trials=3, resamples=0)
    folder = tmp_path / "GTZAN" / "toy" / "0"
    table = pd.read_csv(folder / "trials.csv")
    assert table.columns.tolist() == ["trial", "value", "learning_rate", "l2", "steps"]
    pd.testing.assert_frame_equal(table, result.trials)
    assert table["value"].max() >= table["value"][0]
    assert (folder / "trials.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("MTT", "ScoochCategoricalCrossentropy"),
        ("GTZAN", "ScoochMeanSquaredError"),
        ("Emo", "ScoochBinaryCrossentropy"),
    ],
)
def test_a_loss_that_does_not_fit_the_task_is_refused(name, loss, tmp_path):
    WRITERS[name](tmp_path)
    mlp = MLP.load(ROOT / "configs" / "probe" / f"{name}.yaml").resolved()
    mlp["MLP"]["loss"] = {loss: {}}
    with pytest.raises(ConfigError, match=rf"MLP\.loss: expected .* for {name}, .* got {loss}"):
        Probe(mlp, Task(name, tmp_path))


def test_decisions_are_judged_on_the_test_items(prepared, tmp_path):
    loaded, embeddings = prepared("MTT")
    result = run(loaded, embeddings, short("MTT", steps=300), tmp_path, "toy", resamples=0)
    _, targets, _ = result.predictions
    test = joining.join(loaded, embeddings).examples("test", "mean", tmp_path)
    probabilities = result.head.probabilities(test.features)
    given = result.head.decide(probabilities)
    decided = result.facts["decisions"]
    assert decided["coverage"] == given.any(axis=1).mean()
    assert decided["precision"] == targets[given].mean()
    expected = precision_recall_fscore_support(targets, given, average=None, zero_division=0)
    for name, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose(result.per_label[name], values)
    assert {"map", "roc-auc"} < set(result.per_label.columns)


def test_runs_of_two_models_are_compared_item_by_item(prepared, tmp_path):
    loaded, embeddings = prepared("MTT")
    for model, steps in (("good", 400), ("poor", 20)):
        mlp = short("MTT", "MLP.dropout=0.0", steps=steps)
        run(loaded, embeddings, mlp, tmp_path, model, resamples=5)
    good, poor = map(differences.score_again, mar.Results(tmp_path).runs)
    difference, low, high = differences.compare(good, poor)["map"]
    assert 0 < low < difference < high
    assert differences.compare(good, good)["map"] == (0, 0, 0)
    table = published.read_table(tmp_path / "MTT" / "map.csv")
    assert table.models == ["good", "poor"]
    assert table.labels == loaded.labels


# ------------------------------------------------------------------------------------- bad input


def test_missing_embeddings_stop_the_run_unless_allowed(tmp_path, caplog):
    paths = WRITERS["GTZAN"](tmp_path / "metadata")
    loaded = Task("GTZAN", tmp_path / "metadata")
    embed(loaded, paths[:-7], tmp_path / "emb")
    write_store(tmp_path / "emb", {"x.wav": np.ones((1, 8))}, paths[-2:-1], name="1")
    embeddings = Embeddings(tmp_path / "emb")
    with pytest.raises(InputError, match=r"missing for 7 of 48 items .*--allow_missing") as error:
        joining.join(loaded, embeddings)
    assert str(error.value).count(".wav") == 5
    assert joining.join(loaded, embeddings, allow_missing=True).missing == 7
    assert "missing for 7 of 48" in caplog.text
    (tmp_path / "emb" / "part-0.parquet").unlink()
    with pytest.raises(InputError, match="no item of GTZAN's train split"):
        joining.join(loaded, Embeddings(tmp_path / "emb"), allow_missing=True)


def test_the_reason_why_an_embedding_is_missing_is_told(tmp_path):
    paths = WRITERS["GTZAN"](tmp_path / "metadata")
    loaded = Task("GTZAN", tmp_path / "metadata")
    embed(loaded, paths[:-1], tmp_path / "emb")
    write_store(tmp_path / "emb", {"x.wav": np.ones((1, 8))}, paths[-1:], name="1")
    with pytest.raises(InputError, match=r"missing for 1 of 48 items.*\.wav \(truncated\)"):
        joining.join(loaded, Embeddings(tmp_path / "emb"))


def test_an_embedding_that_is_not_finite_is_a_missing_one(tmp_path, caplog):
    paths = WRITERS["GTZAN"](tmp_path / "metadata")
    loaded = Task("GTZAN", tmp_path / "metadata")
    embed(loaded, paths[:-2], tmp_path / "emb")
    timelines = {path: np.full((2, 8), np.inf) for path in paths[-2:]}
    write_store(tmp_path / "emb", timelines, name="1")
    embeddings = Embeddings(tmp_path / "emb")
    with pytest.raises(InputError, match=r"missing for 2 of 48 .*\.wav \(NaN or infinite values"):
        joining.join(loaded, embeddings)
    joined = joining.join(loaded, embeddings, allow_missing=True)
    assert joined.missing == 2
    for split in ("train", "valid", "test"):
        assert np.isfinite(joined.examples(split, "mean", tmp_path).features).all()
    assert "missing for 2 of 48" in caplog.text


def test_a_clip_that_is_known_to_be_broken_may_be_missing(tmp_path, caplog):
    paths = WRITERS["GTZAN"](tmp_path / "metadata")
    file = tmp_path / "metadata" / "train_filtered.txt"
    file.write_text(file.read_text() + "jazz/jazz.00054.wav\n")
    loaded = Task("GTZAN", tmp_path / "metadata")
    embed(loaded, paths, tmp_path / "emb")
    assert joining.join(loaded, Embeddings(tmp_path / "emb")).missing == 1
    assert "jazz.00054.wav: left out" in caplog.text


def test_nsynth_needs_its_own_windows_and_others_are_warned(prepared, tmp_path, caplog):
    loaded, embeddings = prepared("NSynth_P", first_centre_seconds=None)
    message = (
        "expects windows of 1 s every 1 s, the first around 0.5 s, found 1 s every 1 s, the first "
        "around 1 s; embed with --task NSynth_P"
    )
    with pytest.raises(InputError, match=message):
        joining.join(loaded, embeddings)
    loaded, embeddings = prepared("MTT", hop_seconds=1.0)
    joining.join(loaded, embeddings)
    assert "found 3 s every 1 s, the first around 1 s" in caplog.text
    caplog.clear()
    for same in ({"first_centre_seconds": 2.0}, {"window_seconds": None}):
        loaded, embeddings = prepared("MTT", **same)
        joining.join(loaded, embeddings)
    assert "expects windows" not in caplog.text


def test_a_result_is_saved_whole_or_not_at_all(prepared, tmp_path):
    loaded, embeddings = prepared("GTZAN")
    result = Probe(short("GTZAN"), loaded).run(embeddings, model="toy", resamples=5)
    unwritable = dataclasses.replace(result, facts={**result.facts, "embeddings": {"x": object()}})
    with pytest.raises(TypeError):
        unwritable.save(tmp_path / "results")
    assert list((tmp_path / "results").rglob("*.*")) == []
    result.save(tmp_path / "results")
    before = {path: path.read_bytes() for path in (tmp_path / "results").rglob("*.*")}
    assert len(before) == 8  # with the table of the task
    with pytest.raises(TypeError):
        unwritable.save(tmp_path / "results")
    after = {path: path.read_bytes() for path in (tmp_path / "results").rglob("*.*")}
    assert after == before
    other = Probe(short("GTZAN", steps=50), loaded).run(embeddings, model="toy", resamples=5)
    assert other.save(tmp_path / "results").facts == other.facts
    assert {path.name for path in (tmp_path / "results" / "GTZAN" / "toy").iterdir()} == {"0"}


def test_results_that_are_saved_at_once_are_all_in_the_tables(prepared, tmp_path, monkeypatch):
    """The second begins when the first has read which runs there are, and waits for it."""
    loaded, embeddings = prepared("GTZAN")
    first = Probe(short("GTZAN"), loaded).run(embeddings, model="first", resamples=0)
    second = dataclasses.replace(first, facts={**first.facts, "model": "second"})
    rival = threading.Thread(target=second.save, args=[tmp_path / "results"])
    write_tables = published.write_tables

    def overtaken(runs, folder):
        if threading.current_thread() is not rival:
            rival.start()
            rival.join(timeout=2)  # without a lock it is done by then
        return write_tables(runs, folder)

    monkeypatch.setattr(published, "write_tables", overtaken)
    first.save(tmp_path / "results")
    rival.join()
    assert [run.model for run in mar.Results(tmp_path / "results").runs] == ["first", "second"]
    table = published.read_table(tmp_path / "results" / "GTZAN" / "precision.csv")
    assert table.models == ["first", "second"]
    assert not list((tmp_path / "results").rglob(".*"))


def test_a_study_has_one_searcher(prepared, tmp_path):
    loaded, embeddings = prepared("GTZAN")
    probe = Probe(short("GTZAN"), loaded)
    with FolderLock(tmp_path), pytest.raises(InputError, match="writes into it since"):
        probe.run(embeddings, trials=1, scratch=tmp_path)
    assert not (tmp_path / "search.sqlite3").exists()


@pytest.mark.parametrize("model", ["../../x", "", "..", "/x", "a/b"])
def test_a_model_that_is_no_name_is_refused(model, prepared, tmp_path):
    loaded, embeddings = prepared("GTZAN")
    with pytest.raises(InputError, match=f"expected a name.*got {model!r}"):
        Probe(short("GTZAN"), loaded).run(embeddings, model=model)
    assert not (tmp_path / "results").exists()


def test_an_output_that_cannot_be_written_is_told_before_training(prepared, tmp_path):
    loaded, _ = prepared("GTZAN")
    (tmp_path / "results").write_text("a file")
    with pytest.raises(InputError, match=r"results/GTZAN/toy: cannot be made: Not a directory"):
        results.prepare(tmp_path / "results", loaded.name, "toy", loaded.hash())


def test_two_collections_of_one_name_do_not_share_a_folder(tmp_path):
    audio = [f"{label}/{number}.wav" for label in "ab" for number in range(10)]
    for path in audio:
        (tmp_path / "own" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / path).touch()
    rows = [f"{path},{number % 2}" for number, path in enumerate(audio)]
    (tmp_path / "own.csv").write_text("\n".join(["path,label", *rows]))
    timelines = separable(np.eye(2)[["ab".index(path[0]) for path in audio]])
    write_store(tmp_path / "emb", dict(zip(audio, timelines, strict=True)))
    embeddings = Embeddings(tmp_path / "emb")
    settings = embeddings, short("GTZAN"), tmp_path / "results", "toy"
    folder, table = Task(tmp_path / "own"), Task(tmp_path / "own.csv")
    first = run(folder, *settings, resamples=0)
    with pytest.raises(InputError, match=r"results/own: holds results of another collection"):
        results.prepare(tmp_path / "results", table.name, "toy", table.hash())
    with pytest.raises(InputError, match=r"results/own: holds results of another collection"):
        run(table, *settings, resamples=0)
    assert [run.facts for run in mar.Results(tmp_path / "results").runs] == [first.facts]
    run(folder, *settings, resamples=0)


def test_new_results_are_not_put_among_those_of_the_earlier_layout(tmp_path):
    shutil.copytree(DATA / "earlier" / "results", tmp_path / "results")
    with pytest.raises(InputError, match=r"is a result of version 0\.1"):
        results.prepare(tmp_path / "results", "tempo", "random", "1" * 64)


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
    folder = tmp_path / "results" / "songs" / "emb" / "0"
    result = json.loads((folder / "result.json").read_text())
    assert result["test"]["accuracy"]["value"] == 1.0
    assert result["embeddings"]["model"] == "a" * 64
    with open(folder / "per_label.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["dub", "ska"]
    assert sorted(path.name for path in folder.iterdir()) == [
        *("config.yaml", "confusion.png", "head.safetensors", "per_label.csv"),
        *("predictions.npz", "reliability.png", "result.json"),
    ]
    assert f"head: {folder}/head.safetensors" in finished.stdout
    labelled = mar.Head(folder)(timelines["ska/3.wav"].mean(axis=0))
    assert labelled["ska"] > 0.9
    without = run_python(*command, "--resamples", 0, "--model", "quick")
    assert "accuracy               1.0000\n" in without.stdout
    quick = json.loads((folder.parents[1] / "quick" / "0" / "result.json").read_text())
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
    assert [(run.task, run.model, run.seed) for run in mar.Results(tmp_path / "results").runs] == [
        *itertools.product(("one", "two"), ("emb", "other"), (3, 4))
    ]
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


def test_one_label_is_a_task(tmp_path):
    """Files have it or not."""
    has_it = np.arange(80) % 2 == 1
    rows = [f"{n}.wav,{'vocal' if has_it[n] else ''}" for n in range(80)]
    (tmp_path / "own.csv").write_text("\n".join(["path,labels", *rows]) + "\n")
    timelines = separable(has_it[:, None].astype(float))
    write_store(tmp_path / "emb", {f"{n}.wav": values for n, values in enumerate(timelines)})
    task = Task(tmp_path / "own.csv")
    result = Probe.for_task(task).run(Embeddings(tmp_path / "emb"), resamples=10)
    (of_label,) = result.per_label.to_dict("records")
    assert of_label["label"] == "vocal"
    assert of_label["support"] == task.targets[task.rows("test")].sum()
    result.save(tmp_path / "results")
    (run,) = mar.Results(tmp_path / "results").runs
    assert run.facts["labels"] == ["vocal"]


def test_a_recall_of_classes_is_refused_before_anything_is_trained(prepared, tmp_path):
    task, _ = prepared("GTZAN")
    with pytest.raises(ConfigError, match="recall: expected a precision for classes"):
        Probe.for_task(task).run(None, aim=Aim("recall", 0.9))
