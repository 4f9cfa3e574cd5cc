"""Every configuration of `configs/pretrain`, shrunk."""

import dataclasses

import pyarrow as pa
import pytest
import yaml

from helpers import small_records, training_runs
from helpers.small_trainer import PRETRAIN, last_step
from mar.training.checks import check_records
from mar.training.trainer import Trainer


def expected_labels(path):
    """How many labels a configuration expects of the records; 7 where it expects none."""
    (objective,) = yaml.safe_load(path.read_text())["Trainer"]["objective"].values()
    return objective.get("labels", 7)


def one_of_each_kind():
    """All shipped configurations; those that only differ in settings from another are slow."""
    kinds = set()
    for path in sorted(PRETRAIN.glob("*.yaml")):
        described = yaml.safe_load(path.read_text())["Trainer"]
        kind = (*described["objective"], *described["dataset"])
        yield pytest.param(path, marks=[pytest.mark.slow] if kind in kinds else [], id=path.stem)
        kinds.add(kind)


@pytest.mark.parametrize("path", list(one_of_each_kind()))
def test_shipped_configurations_train(path, tmp_path):
    """Two steps of each, shrunk but for what it is about."""
    labels = expected_labels(path)
    job = dataclasses.replace(
        small_records.job([1100] * 6), vocabulary=[f"label {number}" for number in range(labels)]
    )
    small_records.write_here(job, tmp_path / "records")
    settings = [f"Constants.RECORDS={tmp_path / 'records'}", "Trainer.steps=2"]
    settings += ["Trainer.device=cpu", "Trainer.strategy=one_device"]
    settings += ["Trainer.model={TwoBlocks: {width: 0.05}}"]
    (objective,) = yaml.safe_load(path.read_text())["Trainer"]["objective"]
    (dataset,) = yaml.safe_load(path.read_text())["Trainer"]["dataset"]
    settings += [f"Trainer.objective.{objective}.projector.Projector.hidden_units=[16]"]
    settings += [f"Trainer.dataset.{dataset}.batch_size=4"]
    settings += [f"Trainer.dataset.{dataset}.snippet_frames={training_runs.FRAMES}"]
    shrunk = Trainer.load(path, [*settings, "Trainer.validation=null"])
    assert shrunk.run(tmp_path / "run") is None
    assert last_step(tmp_path / "run") == 2
    assert (tmp_path / "run" / "model.keras").exists()


@pytest.mark.parametrize("path", sorted(PRETRAIN.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configurations_validate_on_what_they_do_not_learn_from(path, tmp_path, caplog):
    """All do; all of an artist is on one side where the records know the artists."""
    labels = expected_labels(path)
    vocabulary = [f"label {number}" for number in range(labels)]
    artists = pa.array([f"artist {track // 4}" for track in range(20)])
    settings = [f"Constants.RECORDS={tmp_path / 'records'}"]
    for name, first in (("records", 0), ("evaluation", 20)):
        job = small_records.job([1310] * 20, ids=[f"{first + track}" for track in range(20)])
        tracks = job.tracks.append_column("group", artists)
        small_records.write_here(
            dataclasses.replace(job, tracks=tracks, vocabulary=vocabulary), tmp_path / name
        )
    if path.stem.startswith("audioset"):
        settings.append(f"Constants.VALIDATION={tmp_path / 'evaluation'}")
    described = Trainer.load(path, settings)
    check_records(described)
    assert "learnt from too" not in caplog.text
    learnt, tested = (
        [given.manifest.id(track) for track in given.tracks]
        for given in (described.dataset, described.validation)
    )
    assert tested
    assert not set(learnt) & set(tested)
    if path.stem.startswith("audioset"):
        assert (len(learnt), len(tested)) == (20, 20)
        return
    assert len(learnt) + len(tested) == 20
    sides = [{int(track) // 4 for track in side} for side in (learnt, tested)]
    assert not set.intersection(*sides)


@pytest.mark.parametrize("path", sorted(PRETRAIN.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configurations_go_on_to_the_end_of_their_schedule(path):
    described = Trainer.load(path)
    assert described.total_steps == described.optimizer.schedule.steps
