"""What the trainer refuses, and warns of, before its first step."""

import dataclasses
import logging

import pyarrow as pa
import pytest

import mar
from helpers import small_records, training_runs
from helpers.processes import run_python
from helpers.small_trainer import SMALL, trainer
from helpers.training_runs import TwoBlocks
from mar.data.pipelines import PairDataset, SnippetDataset
from mar.errors import ConfigError, InputError
from mar.training.checks import check_batches, check_records
from mar.training.objectives import ContrastiveObjective, SupervisedObjective
from mar.training.trainer import Trainer


def test_a_validation_on_what_is_learnt_from_is_warned_of(records, caplog):
    check_records(trainer(records))
    assert "24 of its 24 tracks are learnt from too" in caplog.text
    assert "held_out" in caplog.text


def test_a_validation_of_one_track_is_warned_of(tmp_path, caplog):
    small_records.data_set(tmp_path / "set", [400, 400])
    check_records(Trainer.load(SMALL, [f"Constants.RECORDS={tmp_path / 'set'}"]))
    told = [r.getMessage() for r in caplog.records if "one track alone" in r.getMessage()]
    assert ["for train," in line for line in told] == [True, False]
    assert "for validation," in told[1]


def test_models_that_do_not_fit_are_refused(records, tmp_path):
    """Before anything is done to an earlier run."""
    network = TwoBlocks(width=0.2)
    mar.save(network.build(training_runs.FRAMES, mar.LogMel(level=0.5)), tmp_path / "quiet.keras")
    mar.save(network.build(training_runs.FRAMES), tmp_path / "wide.keras")
    for name, message in (
        ("quiet", "another front end"),
        ("wide", "another architecture: expected bands/kernel"),
    ):
        weights = str(tmp_path / f"{name}.keras")
        given = trainer(records, initial_weights=weights, validation=None)
        with pytest.raises(ConfigError, match=message):
            given.run(tmp_path / "run", fresh=True)
    assert not (tmp_path / "run").exists()


def test_fewer_tracks_than_a_batch_are_warned_of(records, caplog):
    with caplog.at_level(logging.WARNING, "mar"):
        check_batches(trainer(records, **{"dataset.PairDataset.batch_size": 24}), 1)
        assert "tracks for a batch" not in caplog.text
        check_batches(trainer(records, **{"dataset.PairDataset.batch_size": 32}), 1)
    assert f"{records}: 24 tracks for a batch of 32" in caplog.text


@pytest.mark.parametrize(
    ("frames", "pairs", "identical"),
    [
        ([64, 64, 64, 64], {}, 4),
        ([64, 65, 64, 400], {}, 2),
        ([65, 66, 67, 400], {}, 0),
        ([65, 66, 67, 400], {"max_centre_distance_seconds": 0.01}, 4),
        ([64, 66, 67, 400], {"max_centre_distance_seconds": None}, 1),
        ([63, 64, 67, 400], {}, 1),
    ],
)
def test_pairs_of_one_snippet_twice_are_warned_of(frames, pairs, identical, tmp_path, caplog):
    """Fixed and random windows are drawn to see in which tracks they are."""
    small_records.data_set(tmp_path / "set", frames)
    settings = {"records": str(tmp_path / "set"), "snippet_frames": 64, **pairs}
    dataset = PairDataset(**settings, batch_size=200)
    rows, starts = dataset.indices(0, 0)
    apart = set(rows[starts["anchors"] != starts["positives"]])
    assert len(set(rows) - apart) == identical
    ContrastiveObjective().check_records(dataset)
    warnings = [r.getMessage() for r in caplog.records if "always the same one" in r.getMessage()]
    told = f"{tmp_path / 'set'}: in {identical} of {len(set(rows))} tracks"
    assert [warning.startswith(told) for warning in warnings] == [True] * (identical > 0)


@pytest.mark.parametrize(
    ("labels", "varied"),
    [
        ([[0]] * 4, False),
        ([[0, 2]] * 4, False),
        ([[]] * 4, False),
        ([[0]] * 3 + [[]], True),
        ([[0], [0], [0], [0, 1]], True),
    ],
)
def test_labels_that_all_tracks_have_are_refused(labels, varied, tmp_path):
    job = small_records.job([100] * 4)
    column = job.tracks.column_names.index("labels")
    tracks = job.tracks.set_column(column, "labels", pa.array(labels, pa.list_(pa.int32())))
    small_records.write_here(dataclasses.replace(job, tracks=tracks), tmp_path / "set")
    dataset = SnippetDataset(records=str(tmp_path / "set"), snippet_frames=64)
    if varied:
        SupervisedObjective().check_records(dataset)
    else:
        with pytest.raises(ConfigError, match="all 4 tracks have the same ones: nothing can be"):
            SupervisedObjective().check_records(dataset)


WARMUP = "optimizer.ScoochAdam.schedule.WarmupSchedule"
LABELLED = {
    "dataset": {"LabelledPairDataset": {"records": "records", "hard_negatives": 1}},
    "validation": None,
}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"microbatch": 3}, "microbatch: expected a divisor of the 8 rows .* such as 2, got 3"),
        ({"microbatch": 0}, "microbatch: expected at least 1, got 0"),
        ({"device": "gpu"}, "device: expected a GPU, found none"),
        ({"seed": -1}, "seed: expected at least 0"),
        ({"seed": 2**32}, "seed: expected at least 0 and less than 4294967296, got 4294967296"),
        ({"steps": -1}, "steps: expected at least 0, got -1"),
        ({"strategy": "multi_worker"}, "strategy: multi_worker expects, .* TF_CONFIG="),
        (
            {"steps": None, f"{WARMUP}.initial_step": 10**6},
            "steps: expected a number, .* at its end",
        ),
        (
            {"objective": {"SupervisedPairObjective": {}}, **LABELLED},
            "hard_negatives of 0, as Super",
        ),
        ({"momentum": 1}, "Trainer: expected one of .*, got 'momentum'"),
        ({"dataset.PairDataset.hard_negatives": 1}, "no track has the 1063 frames"),
        ({"dataset.PairDataset.windows": "fixed"}, "expected windows: random"),
        ({"dataset.PairDataset.batch_size": 1}, "batch_size: expected at least 2, .* got 1"),
        ({"validation.PairDataset.batch_size": 1}, "batch_size: expected at least 2, .* got 1"),
        ({"validation.PairDataset.windows": "random"}, "expected windows: fixed"),
        ({"validation.PairDataset.snippet_frames": 65}, "expected snippet_frames of 64, got 65"),
        ({"objective.ContrastiveObjective.temperature": 0.0}, "expected more than 0, got 0.0"),
        ({"objective.ContrastiveObjective.dimensions": 0}, "dimensions: expected at least 1"),
        ({"objective.ContrastiveObjective.mixup.Mixup.alpha": 0}, "alpha: expected more than 0"),
        ({"optimizer.ScoochAdam.beta_2": 1.0}, "beta_2: expected at least 0 and less than 1"),
    ],
)
def test_what_is_wrong_is_said_before_the_first_step(records, tmp_path, settings, message):
    with pytest.raises(ConfigError, match=message):
        trainer(records, **settings).run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_labels_that_do_not_fit_are_refused(records, tmp_path):
    data = {"SnippetDataset": {"records": records}}
    optimizer = {"ScoochAdam": {}}
    objective = {"SupervisedObjective": {"labels": 527}}
    given = Trainer(objective=objective, dataset=data, optimizer=optimizer, steps=1)
    expected = "labels: expected records with 527 labels, got 7 in .*; labels: null takes"
    with pytest.raises(ConfigError, match=expected):
        given.run(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match="expects a PairDataset, got a SnippetDataset"):
        Trainer(objective={"ContrastiveObjective": {}}, dataset=data, optimizer=optimizer, steps=1)
    with pytest.raises(ConfigError, match="steps: expected a number, since there is no schedule"):
        Trainer(objective={"SupervisedObjective": {}}, dataset=data, optimizer=optimizer)


def test_a_trainer_describes_and_a_run_opens_the_records(tmp_path):
    """What is wrong with the records is said before a folder is made."""
    described = trainer(str(tmp_path / "absent"), initial_weights=None)
    assert described.total_steps == 30
    with pytest.raises(InputError, match="absent"):
        described.run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_validation_with_other_labels_is_refused(records, tmp_path):
    vocabulary = [f"other {number}" for number in range(7)]
    other = dataclasses.replace(small_records.job([400] * 4), vocabulary=vocabulary)
    small_records.write_here(other, tmp_path / "other")
    elsewhere = {"validation.PairDataset.records": str(tmp_path / "other")}
    with pytest.raises(ConfigError, match="validation: expected the vocabulary of .*, got another"):
        trainer(records, **elsewhere).run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_in_a_bucket_is_refused(records, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="s3://b/run: expected a place on a disk"):
        trainer(records).run("s3://b/run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "Trainer.objective: expected a value"), (" x", "Trainer: expected parameters by name")],
)
def test_a_configuration_without_settings_is_refused(text, message, tmp_path):
    (tmp_path / "empty.yaml").write_text(f"Trainer:{text}\n")
    process = run_python("-m", "mar.train", "--config", tmp_path / "empty.yaml", cwd=tmp_path)
    assert process.returncode == 1
    assert message in process.stderr
    assert "Traceback" not in process.stderr
