"""Few examples, and the floor of nearest neighbours."""

import numpy as np
import pytest
from scipy.stats import binomtest

import mar
from helpers.small_embeddings import separable, write_store
from mar.embedding.store import Embeddings
from mar.errors import ConfigError
from mar.probing import floor, metrics, repeats
from mar.probing.probe import Examples
from mar.tasks import splitting


def windows(generator, items):
    """Examples of one to three windows each, and those of their means."""
    counts = generator.integers(1, 4, items)
    numbers = np.repeat(np.arange(items), counts)
    features = generator.normal(size=(len(numbers), 5)).astype(np.float32)
    targets = np.eye(3, dtype=np.uint8)[generator.integers(0, 3, items)]
    means = np.stack([features[numbers == item].mean(axis=0) for item in range(items)])
    return Examples(features, targets, numbers), Examples(means, targets)


def test_some_items_have_their_own_windows():
    of_windows, _ = windows(np.random.default_rng(0), 20)
    chosen = np.arange(20) % 3 == 1
    some = repeats.subset(of_windows, chosen)
    for number, item in enumerate(np.flatnonzero(chosen)):
        np.testing.assert_array_equal(
            some.features[some.items == number], of_windows.features[of_windows.items == item]
        )
        np.testing.assert_array_equal(some.targets[number], of_windows.targets[item])


def test_every_item_is_tested_once_in_a_repetition_by_what_did_not_have_it():
    features = np.arange(12, dtype=np.float32)[:, None]
    folds = np.stack([np.arange(12) % 3, np.arange(12) // 3])

    def fit(training, others):
        assert not {*training.features[:, 0]} & {*others.features[:, 0]}
        assert len(training.features) + len(others.features) == 12
        return others.features + len(training.features) / 100

    said = repeats.by_turns(folds, Examples(features, features), fit)
    np.testing.assert_allclose(said[:, :, 0] - np.arange(12), [[0.08] * 12, [0.09] * 12], atol=1e-5)


def test_scores_are_the_means_of_repetitions():
    generator = np.random.default_rng(0)
    targets = np.eye(3, dtype=np.uint8)[np.arange(30) % 3]
    of_repeats = [
        metrics.evaluate("multiclass", targets, targets + generator.normal(size=(30, 3)), ["a"] * 3)
        for _ in range(4)
    ]
    mean = repeats.mean_scores(of_repeats)["accuracy"]
    alone = [scores["accuracy"] for scores in of_repeats]
    assert mean.value == pytest.approx(np.mean([score.value for score in alone]))
    np.testing.assert_allclose(mean.per_label, np.mean([s.per_label for s in alone], axis=0))
    widths = [np.subtract(*score.interval[::-1]) for score in alone]
    assert np.subtract(*mean.interval[::-1]) < np.mean(widths)


@pytest.mark.parametrize(("right", "items"), [(9, 9), (0, 9), (5, 9), (20, 24)])
def test_an_interval_of_few_items_is_at_least_wilsons(right, items):
    value = right / items
    wilson = binomtest(right, items).proportion_ci(method="wilson")
    narrow = repeats.widened({"value": value, "low": value, "high": value}, items)
    assert (narrow["low"], narrow["high"]) == pytest.approx((wilson.low, wilson.high), abs=1e-6)
    wide = {"value": value, "low": 0.0, "high": 1.0}
    assert repeats.widened(wide, items) == pytest.approx(wide)
    none = {"value": value, "low": None, "high": None}
    assert repeats.widened(none, items) == none


def test_the_floor_is_the_vote_of_the_nearest_by_the_cosine():
    generator = np.random.default_rng(0)
    training, means = windows(generator, 40)
    others, other_means = windows(generator, 7)
    known = means.features / np.linalg.norm(means.features, axis=1, keepdims=True)
    expected = []
    for vector in other_means.features:
        distances = np.sqrt(2 - 2 * known @ (vector / np.linalg.norm(vector)))
        nearest = np.argsort(distances)[:6]  # of 40 their square root
        expected.append(np.average(means.targets[nearest], axis=0, weights=1 / distances[nearest]))
    np.testing.assert_allclose(floor.vote(training, others), expected, rtol=1e-4)
    longer = Examples(other_means.features * 7, other_means.targets)
    np.testing.assert_allclose(floor.vote(means, longer), expected, rtol=1e-4)


@pytest.fixture
def two_repeats(monkeypatch):
    """Which are quicker than five."""
    monkeypatch.setattr(splitting, "REPEATS", 2)


def prepared(folder, column, values, vectors):
    """The task and the open data set of a table with a row for each vector."""
    rows = [f"{n}.wav,{values[n % len(values)]}" for n in range(len(vectors))]
    (folder / "own.csv").write_text("\n".join([f"path,{column}", *rows]) + "\n")
    write_store(folder / "emb", {f"{n}.wav": vector for n, vector in enumerate(vectors)})
    return mar.Task(folder / "own.csv"), Embeddings(folder / "emb")


@pytest.mark.usefixtures("two_repeats")
@pytest.mark.parametrize(
    ("column", "values", "metric"),
    [
        ("label", ("dub", "ska", "dnb"), "accuracy"),
        ("labels", ("dub|ska", "ska", "dnb"), "map"),
        ("target", ("90", "180", "120"), "r2"),
    ],
)
def test_three_examples_of_a_class_are_enough(column, values, metric, tmp_path):
    vectors = separable(np.eye(3)[np.arange(9 if column != "target" else 4) % 3])
    task, embeddings = prepared(tmp_path, column, values, vectors)
    result = mar.Probe.for_task(task, [f"{STEPS}=600"]).run(embeddings, resamples=20)
    facts, score = result.facts, result.facts["test"][metric]
    items = len(vectors)
    assert facts["items"] == {"train": items, "valid": 0, "test": items}
    assert facts["training_rows"] == items
    assert facts["turns"] == {"repeats": 2, "folds": 3 if column != "target" else 4}
    assert set(facts["floor"]["test"]) == set(facts["test"])
    run = result.save(tmp_path / "results")
    assert len(run.predictions().ids) == items
    if column != "target":
        assert score["value"] > 0.8
        assert score["high"] - score["low"] > 0.2, "so few items do not say more"
        assert score["low"] <= score["value"] <= score["high"]
        assert facts["decisions"]["calibrated"] is False
        assert "uncalibrated" in repr(mar.Head(run.folder))
        right = mar.Head(run.folder).probabilities(vectors.mean(axis=1)).argmax(axis=1)
        if column == "label":
            assert [task.labels[n] for n in right] == [values[n % 3] for n in range(items)]
    shown = str(result)
    assert f"{facts['turns']['folds']} folds, 2 times over" in shown
    assert f"nearest {facts['floor']['neighbours']} neighbours alone: {metric}" in shown
    for option, value in (("trials", 2), ("curve", [2])):
        with pytest.raises(ConfigError, match=f"{option}: .*column `split`"):
            mar.Probe.for_task(task).run(embeddings, **{option: value})


@pytest.mark.usefixtures("two_repeats")
def test_no_item_is_tested_by_what_has_learnt_it(tmp_path):
    noise = np.random.default_rng(0).normal(size=(20, 1, 64))
    task, embeddings = prepared(tmp_path, "label", "abcde", noise)
    result = mar.Probe.for_task(task, [f"{STEPS}=600"]).run(embeddings, resamples=0)
    assert result.facts["turns"]["folds"] == 4
    assert result.facts["test"]["accuracy"]["value"] < 0.5
    labelled = result.head.probabilities(noise[:, 0]).argmax(axis=1)
    np.testing.assert_array_equal(labelled, np.arange(20) % 5)


STEPS = "MLP.optimizer.ScoochAdam.schedule.WarmupSchedule.schedule.ScoochCosineDecay.decay_steps"
