"""Objectives of pairs beside the paper's: what they compare, leave out and refuse."""

import numpy as np
import pytest
import tensorflow as tf

import mar
from helpers import small_records, training_runs
from mar.errors import ConfigError
from mar.training.losses import binary_crossentropy, supervised_nt_xent

DATA = {"batch_size": 8, "snippet_frames": 82}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return training_runs.records(tmp_path_factory.mktemp("records") / "set")


def outputs(width, size=8, views=2):
    shape = (size, views, width)
    return tf.constant(np.random.default_rng(0).normal(size=shape), tf.float32)


def test_pairs_come_with_the_labels_of_their_track(records):
    pairs = mar.LabelledPairDataset(records=records, **DATA)
    alone = mar.PairDataset(records=records, **DATA)
    batch, tracks = pairs.read(3, 1), pairs.indices(3, 1)[0]
    np.testing.assert_array_equal(batch["anchors"], alone.read(3, 1)["anchors"])
    expected = [[float(n in small_records.labels(t)) for n in range(7)] for t in tracks]
    np.testing.assert_array_equal(batch["labels"], expected)
    (element,) = pairs.build(seed=3, first_step=1).take(1)
    np.testing.assert_array_equal(element["labels"], batch["labels"])


def test_tracks_without_labels_and_their_mixtures_teach_no_labels():
    objective = mar.SupervisedPairObjective(mixup=mar.Mixup())
    labels = np.eye(8, 7, dtype=np.float32)  # the last has none
    draws = objective.draw(0, 0, 8, 1)
    logits = outputs(7)
    batch = {"labels": tf.constant(labels)}
    loss, _ = objective.loss(logits, batch, draws, batch)
    expected = []
    for index, view in enumerate(objective.views):
        for row, (partner, gain) in enumerate(
            zip(draws[view]["partners"], draws[view]["gains"], strict=True)
        ):
            mixture = gain * labels[row] + (1 - gain) * labels[partner]
            of_row = binary_crossentropy(mixture[None], logits[row : row + 1, index])
            expected.append(0 if 7 in (row, partner) else float(of_row[0]))
    assert 12 <= np.count_nonzero(expected) <= 14
    assert float(loss) == pytest.approx(np.mean(expected), rel=1e-5)


def test_mixtures_of_tracks_without_labels_agree_with_their_own_pair_alone():
    objective = mar.SupervisedContrastiveObjective(mixup=mar.Mixup(), dimensions=5)
    labels = np.eye(8, 3, dtype=np.float32)[[0, 1, 2, 0, 1, 2, 0, 7]]  # the last has none
    draws = objective.draw(0, 0, 8, 1)
    values, batch = outputs(5), {"labels": tf.constant(labels)}
    loss, _ = objective.loss(values, batch, draws, batch)
    of_views = []
    for view in objective.views:
        partners, gains = draws[view]["partners"], draws[view]["gains"][:, None]
        mixtures = gains * labels + (1 - gains) * labels[partners]
        mixtures[(partners == 7) | (np.arange(8) == 7)] = 0
        of_views.append(mixtures)
    expected, _ = supervised_nt_xent(values[:, 0], values[:, 1], np.stack(of_views, axis=1))
    assert float(loss) == pytest.approx(np.mean(expected), rel=1e-5)


def test_a_last_batch_of_one_pair_is_no_score():
    objective = mar.ContrastiveObjective(dimensions=5)
    many, one = ({"outputs": outputs(5, size).numpy()} for size in (8, 1))
    assert objective.scores([many, one]) == objective.scores([many])
    assert objective.scores([one]) == {}


def test_the_best_joint_model_is_that_of_the_first_part_with_scores():
    shifted = mar.RelativeObjective(predicted=("pitch",))
    given = {"augmentations": (mar.PitchShift(),)}
    joint = mar.JointObjective(parts=(shifted, mar.ContrastiveObjective()), **given)
    assert joint.criterion == "ContrastiveObjective.accuracy"
    validation = mar.LabelledPairDataset(records="records", windows="fixed", **DATA)
    joint.check(validation)
    with pytest.raises(ConfigError, match="Trainer.validation: RelativeObjective expects null"):
        mar.JointObjective(parts=(shifted,), **given).check(validation)


def test_what_is_predicted_is_the_difference_of_what_was_done():
    """An output that tells what was done, plus what all tracks share, has no error."""
    objective = mar.RelativeObjective(
        augmentations=(mar.PitchShift(probability=0.5), mar.TimeStretch(views=("positives",)))
    )
    draws = objective.draw(0, 0, 8, 1)
    told = np.full((8, 2, 2), 5, np.float32)
    told[:, 1, 0] += 12 * draws["positives"]["TimeStretch"]["octaves"]
    for index, view in enumerate(objective.views):
        shift = draws[view]["PitchShift"]
        told[:, index, 1] += shift["semitones"] * shift["applies"]
    loss, errors = objective.loss(tf.constant(told), {}, draws, {})
    assert float(loss) == pytest.approx(0, abs=1e-6)
    assert errors.keys() == {"tempo_error", "pitch_error"}
    loss, errors = objective.loss(tf.constant(told[:, ::-1].copy()), {}, draws, {})
    octaves = draws["positives"]["TimeStretch"]["octaves"]
    assert float(errors["tempo_error"]) == pytest.approx(np.mean(24 * np.abs(octaves)), rel=1e-5)


def test_a_joint_loss_is_the_weighted_sum_of_its_parts(records):
    joint = training_runs.JOINT
    dataset = mar.LabelledPairDataset(records=records, **DATA)
    batch, draws = dataset.read(3, 0), joint.draw(3, 0, 8, 1)
    values = outputs(joint.output_size(7))
    assert values.shape[-1] == 8 + 7 + 2
    loss, measures = joint.loss(values, batch, draws, batch)
    shared = {name: getattr(joint, name) for name in ("mixup", "augmentations", "frames")}
    total, first = 0.0, 0
    for part, weight in zip(joint.parts, joint.weights, strict=True):
        last = first + part.output_size(7)
        of_part, _ = part.replace(**shared).loss(values[..., first:last], batch, draws, batch)
        assert float(measures[f"{type(part).__name__}.loss"]) == pytest.approx(float(of_part))
        total, first = total + weight * float(of_part), last
    assert float(loss) == pytest.approx(total, rel=1e-5)
    scores = joint.scores([{**batch, "outputs": values.numpy()}] * 2)
    assert joint.criterion in scores
    assert "SupervisedPairObjective.average_precision" in scores
    assert "SupervisedContrastiveObjective.uniformity" in joint.from_means(measures)


AUGMENTED = {"augmentations": ({"TimeStretch": {}}, {"PitchShift": {}})}


@pytest.mark.parametrize(
    ("objective", "settings", "message"),
    [
        ("RelativeObjective", {}, "predicted: tempo expects a TimeStretch among .*, got"),
        (
            "RelativeObjective",
            AUGMENTED,
            r"at least the 103 frames .* for the network's 82, got 82",
        ),
        ("ContrastiveObjective", {"frames": 83}, "frames: expected at most the 82 snippet_frames"),
        ("JointObjective", {"parts": ()}, "expected one for each of at least one part"),
        (
            "JointObjective",
            {"parts": ({"SupervisedObjective": {}},)},
            "objective of pairs, got Supe",
        ),
        (
            "JointObjective",
            {"parts": ({"ContrastiveObjective": {"mixup": {"Mixup": {}}}},)},
            "parts.0.mixup: expected to be given to JointObjective",
        ),
        (
            "JointObjective",
            {"parts": ({"ContrastiveObjective": {}}, {"ContrastiveObjective": {}})},
            "parts: expected each kind once",
        ),
        (
            "ContrastiveObjective",
            {"augmentations": ({"Gain": {"views": ["snippets"]}},)},
            "Gain.views: .* expects some of .*anchors.*, got .'snippets'",
        ),
        (
            "ContrastiveObjective",
            {"augmentations": ({"Gain": {}}, {"Gain": {}})},
            "augmentations: expected each kind once",
        ),
    ],
)
def test_what_does_not_fit_is_refused(objective, settings, message):
    with pytest.raises(ConfigError, match=message):
        mar.Trainer(
            objective={objective: settings},
            dataset={"LabelledPairDataset": {"records": "records", **DATA}},
            optimizer={"ScoochAdam": {}},
            steps=1,
        )
