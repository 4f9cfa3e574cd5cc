"""Runs on the disk, and the one table of them all."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import mar
from helpers.probe_runs import classes, noisy, tags, write_run
from helpers.resources import DATA
from mar.errors import InputError
from mar.probing import differences, published, results

ODD_LABELS = ["None", "NA", 'rock, "hard"', "drum & bass"]


@pytest.fixture
def folder(tmp_path):
    """Two models, one of them with two seeds; tags, and classes."""
    targets = tags(40, 4)
    for model, seed in (("a", 0), ("a", 7), ("b", 0)):
        predictions = noisy(targets, 0.5, seed)
        given = {"seed": seed, "valid": {"loss": 0.5, "map": 0.25}, "pooling": "windows"}
        write_run(tmp_path, "tag", model, "multilabel", targets, predictions, ODD_LABELS, **given)
    targets = classes([12, 8])
    write_run(tmp_path, "genre", "a", "multiclass", targets, noisy(targets, 1), ["x", "y"])
    return tmp_path


def test_all_scores_are_one_tidy_table(folder):
    scores = results.Results(folder).scores
    assert tuple(scores.columns) == (
        *("task", "protocol", "model", "pooling", "seed", "part"),
        *("metric", "label", "value", "low", "high", "items"),
    )
    tagging = scores[scores["task"] == "tag"]
    assert set(tagging["pooling"]) == {"windows"}
    aggregates = tagging[(tagging["part"] == "test") & tagging["label"].isna()]
    assert aggregates[["model", "seed", "metric"]].to_numpy().tolist() == [
        [model, seed, metric]
        for model, seed in (("a", 0), ("a", 7), ("b", 0))
        for metric in ("map", "roc-auc")
    ]
    assert (aggregates["low"] < aggregates["high"]).all()
    assert (aggregates["items"] == 40).all()
    valid = tagging[tagging["part"] == "valid"]
    assert valid.groupby("metric")["value"].unique().map(list).to_dict() == {
        **{"loss": [0.5], "map": [0.25]}
    }
    assert (valid["items"] == 2).all()
    assert valid["low"].isna().all()
    # An aggregate is the mean of its labels.
    by_label = tagging[tagging["label"].notna()]
    assert set(by_label["label"]) == set(ODD_LABELS)
    keys = ["model", "seed", "metric"]
    means = by_label.groupby(keys)["value"].mean()
    pd.testing.assert_series_equal(
        means, aggregates.set_index(keys)["value"].sort_index(), check_exact=False
    )
    classified = scores[(scores["task"] == "genre") & scores["label"].notna()]
    assert set(classified["metric"]) == {"precision"}


def test_what_is_read_is_what_was_found(tmp_path):
    targets = tags(30, 4)
    predictions = noisy(targets, 0.4)
    targets[:, 2] = 0  # undefined
    scores = write_run(tmp_path, "tag", "m", "multilabel", targets, predictions, ODD_LABELS)
    (run,) = results.Results(tmp_path).runs
    assert (run.task, run.model, run.seed, run.folder) == ("tag", "m", 0, tmp_path / "tag/m/0")
    ids, kept_targets, kept_predictions = run.predictions()
    assert ids.tolist() == [str(number) for number in range(30)]
    np.testing.assert_array_equal(kept_targets, targets)
    np.testing.assert_array_equal(kept_predictions, predictions)
    assert run.per_label["label"].tolist() == ODD_LABELS
    np.testing.assert_array_equal(run.per_label["map"], scores["map"].per_label)
    np.testing.assert_array_equal(run.per_label["support"], targets.sum(axis=0))
    assert np.isnan(run.per_label["map"][2])
    assert run.facts["test"]["map"]["value"] == scores["map"].value
    assert run.facts["constant_guess"]["roc-auc"] == 0.5


def test_scores_again_are_the_scores(folder):
    run = results.Results(folder).runs[0]
    again = differences.score_again(run, resamples=40)
    for metric, score in run.facts["test"].items():
        assert score["value"] == again.scores[metric].value
        assert (score["low"], score["high"]) == again.scores[metric].interval
    other = differences.score_again(results.Results(folder).runs[1])
    with pytest.raises(InputError, match="expected runs of one task on the same test items"):
        differences.compare(again, other)


def test_means_over_repetitions_are_not_scored_again(folder):
    """What is kept of a few items is what was said in the first repetition."""
    run = results.Results(folder).runs[0]
    run.facts["turns"] = {"folds": 4, "repeats": 5}
    with pytest.raises(InputError, match="few items were tested 5 times over"):
        differences.score_again(run)


def test_a_model_has_one_row_in_the_published_layout_that_of_its_lowest_seed(folder):
    runs = [run for run in results.Results(folder).runs if run.task == "tag"]
    written = published.write_tables(runs[::-1], folder / "tag")
    assert [table.metric for table in written] == ["map", "roc-auc"]
    table = published.read_table(folder / "tag" / "map.csv")
    assert (table.models, table.labels) == (["a", "b"], ODD_LABELS)
    for row, run in enumerate((runs[0], runs[2])):
        assert run.seed == 0
        assert table.aggregates[row] == run.facts["test"]["map"]["value"]
        np.testing.assert_array_equal(table.values[row], run.per_label["map"])


# ---------------------------------------------------------------------------------------- damaged


def test_results_of_the_earlier_layout_are_named():
    with pytest.raises(InputError, match=r"is a result of version 0\.1, .*; probe again"):
        mar.Results(DATA / "earlier" / "results")
    with pytest.raises(InputError, match=r"is a result of version 0\.1"):
        mar.Results(DATA / "earlier" / "results" / "seeds" / "1")


def test_a_folder_without_results_is_told_from_one_with_them(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="expected results as TASK/MODEL/SEED/result.json"):
            mar.Results(path)


def test_a_run_that_was_copied_to_another_place_is_not_counted_twice(folder):
    shutil.copytree(folder / "tag" / "a" / "0", folder / "tag" / "a" / "1")
    with pytest.raises(InputError, match=r"is the run of tag/a/0, expected that of tag/a/1"):
        mar.Results(folder)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("seed", "0", "expected a int as 'seed', got '0'"),
        ("missing", True, "expected a int as 'missing', got True"),
        ("labels", None, "expected a list as 'labels', got None"),
        ("kind", "tags", "expected a kind of multilabel, .* got 'tags'"),
        ("items", {"train": 3}, "expected the number of items in valid"),
        ("test", {"map": 0.5}, "expected a score as test.map, got 0.5"),
        ("test", {"map": {"value": 0.5}}, "expected a score as test.map"),
        ("valid", {"map": "high"}, "expected a number as valid.map, got 'high'"),
    ],
)
def test_facts_that_are_none_are_refused(folder, name, value, message):
    path = folder / "tag" / "b" / "0" / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    with pytest.raises(InputError, match=f"b/0/result.json: {message}"):
        mar.Results(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"seed": 0}', "\xff"])
def test_files_that_are_no_facts_are_refused(folder, text):
    (folder / "tag" / "b" / "0" / "result.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"b/0/result.json: "):
        mar.Results(folder)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "label,map\n",
        "label,map\nx,0.5\n",
        "map\n1\n2\n3\n4\n",
        "\0",
        "label,map\n" + "x,y\n" * 4,
    ],
)
def test_labels_that_are_not_those_of_the_result_are_refused(folder, text):
    path = folder / "tag" / "b" / "0" / "per_label.csv"
    for damaged in (text, path.read_text().rpartition(",")[0]):
        path.write_text(damaged)
        with pytest.raises(InputError, match=r"b/0/per_label.csv: "):
            mar.Results(folder)


def test_predictions_that_are_damaged_or_of_other_items_are_refused(folder):
    run = results.Results(folder).runs[1]
    path = run.folder / "predictions.npz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"predictions.npz: "):
        run.predictions()
    targets = np.eye(4)
    np.savez(path, ids=np.arange(4).astype(str), targets=targets, predictions=targets)
    with pytest.raises(InputError, match=r"predictions of 40 items and 4 labels, got .*\(4, 4\)"):
        run.predictions()
    path.unlink()
    with pytest.raises(InputError, match="not the predictions of a run"):
        run.predictions()
