"""Distributions of what is drawn, against what the paper asks for."""

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from helpers import small_records
from mar.data import sampling

SNIPPET, LIMIT = 300, 499


def rng(purpose="test"):
    return sampling.generator(1, 2, purpose)


def is_uniform(values, low, high, bins=20):
    """Chi-square test over equal parts of the integers `low … high`, with a fixed seed."""
    edges = np.linspace(low, high + 1, bins + 1)
    counts, _ = np.histogram(values, edges)
    widths = np.diff(np.ceil(edges))
    assert values.min() >= low
    assert values.max() <= high
    return stats.chisquare(counts, len(values) * widths / widths.sum()).pvalue > 1e-3


def test_generators_are_functions_of_seed_step_and_purpose():
    draws = {
        (seed, step, purpose): tuple(sampling.generator(seed, step, purpose).random(4))
        for seed in (0, 1)
        for step in (0, 1, 10**6)
        for purpose in ("a", "b")
    }
    assert len(set(draws.values())) == len(draws)
    assert tuple(sampling.generator(1, 0, "b").random(4)) == draws[1, 0, "b"]


def test_tracks_are_uniform_with_replacement():
    drawn = sampling.tracks(rng(), 50, 100_000)
    assert is_uniform(drawn, 0, 49, bins=50)
    assert len(set(sampling.tracks(rng(), 50, 50))) < 50


def test_tracks_follow_their_weights():
    weights = np.array([0.0, 1.0, 0.0, 3.0, 0.5, 0.0])
    drawn = np.bincount(sampling.tracks(rng(), 6, 90_000, weights), minlength=6)
    assert drawn[[0, 2, 5]].tolist() == [0, 0, 0]
    used = weights > 0
    expected = 90_000 * weights[used] / weights.sum()
    assert stats.chisquare(drawn[used], expected).pvalue > 1e-3


def test_the_largest_draw_is_no_track_without_weight():
    class Highest:
        def random(self, size):
            return np.full(size, np.nextafter(1.0, 0.0))

    weights = np.array([0.1, 0.2, 0.3, 0.0])
    assert sampling.tracks(Highest(), 4, 2, weights).tolist() == [2, 2]


def test_balanced_labels_come_equally_often(tmp_path):
    """Labels of very different frequency; of a track's labels each counts."""
    manifest = small_records.data_set(tmp_path / "set", [310] * 60).manifest
    weights = sampling.label_balance(manifest, np.arange(60))
    labelled = [len(small_records.labels(track)) > 0 for track in range(60)]
    np.testing.assert_array_equal(weights > 0, labelled)
    share = sum(
        weights[track] / weights.sum() * np.isin(range(7), small_records.labels(track)) * part
        for track in range(60)
        for part in [1 / max(1, len(small_records.labels(track)))]
    )
    counts = manifest.label_counts()
    expected = np.zeros(60)
    for track in range(60):
        expected[track] = sum(1 / counts[label] for label in small_records.labels(track))
    np.testing.assert_allclose(weights, expected)
    assert weights.sum() == pytest.approx(7)  # one unit for each label
    assert share.max() / share.min() < counts.max() / counts.min()
    some = np.arange(10, 40)  # of which those that are left out take no share
    counts = sum(np.isin(range(7), small_records.labels(track)) for track in some)
    expected = [sum(1 / counts[label] for label in small_records.labels(track)) for track in some]
    np.testing.assert_allclose(sampling.label_balance(manifest, some), expected)


def test_starts_are_uniform_over_all_valid_places():
    for frames in (1200, 18_300):
        drawn = sampling.starts(rng(), np.full(100_000, frames), SNIPPET)
        assert is_uniform(drawn, 0, frames - SNIPPET)
    short = sampling.starts(rng(), np.array([302] * 1000), SNIPPET)
    assert set(short) == {0, 1, 2}
    assert set(sampling.starts(rng(), np.array([300] * 10), SNIPPET)) == {0}


def pairs(frames, limit, count=200_000):
    generator = rng()
    lengths = np.full(count, frames)
    anchors = sampling.starts(generator, lengths, SNIPPET)
    return anchors, sampling.positive_starts(generator, anchors, lengths, SNIPPET, limit)


@pytest.mark.parametrize("frames", [18_300, 1001, 700])
def test_pairs_are_near_and_symmetric(frames):
    anchors, positives = pairs(frames, LIMIT)
    assert is_uniform(anchors, 0, frames - SNIPPET)
    assert positives.min() >= 0
    assert positives.max() <= frames - SNIPPET
    distance = positives - anchors
    reach = min(LIMIT, frames - SNIPPET)
    assert np.abs(distance).max() <= reach
    rare = 0 if frames > 1000 else 20
    np.testing.assert_allclose([distance.min(), distance.max()], [-reach, reach], atol=rare)
    assert stats.ks_2samp(distance[::2], -distance[1::2]).pvalue > 1e-3


def test_positives_are_uniform_within_the_limit():
    anchors, positives = pairs(100_000, LIMIT)
    inner = (anchors > LIMIT) & (anchors < 99_000)
    assert is_uniform((positives - anchors)[inner], -LIMIT, LIMIT, bins=37)
    edge = (anchors < 10) | (anchors > 99_690)
    assert edge.any()
    assert (np.abs(positives - anchors)[edge] <= LIMIT).all()


def test_without_a_limit_both_are_uniform_and_independent():
    anchors, positives = pairs(1001, None)
    assert is_uniform(positives, 0, 701)
    assert abs(np.corrcoef(anchors, positives)[0, 1]) < 0.01


@pytest.mark.parametrize(
    ("seconds", "hop", "limit"),
    [(5.0, 0.01, 499), (0.07, 0.01, 6), (0.015, 0.01, 1), (3, 0.02, 149)],
)
def test_the_limit_is_less_than_the_distance(seconds, hop, limit):
    assert sampling.distance_limit(seconds, hop) == limit


def test_hard_negatives_are_farther_than_any_positive():
    shortest = sampling.hard_negative_frames(SNIPPET, LIMIT)
    for frames in (shortest, 2000, 18_300):
        lengths = np.full(50_000, frames)
        anchors = sampling.starts(rng(), lengths, SNIPPET)
        far = sampling.hard_negative_starts(rng("far"), anchors, lengths, SNIPPET, LIMIT, 2)
        assert far.shape == (50_000, 2)
        assert far.min() == 0
        assert far.max() == frames - SNIPPET
        assert (np.abs(far - anchors[:, None]) > LIMIT).all()
    middle = np.full(50_000, 5000)
    far = sampling.hard_negative_starts(rng(), middle, np.full(50_000, 12_300), SNIPPET, LIMIT, 1)
    packed = np.where(far > 5000, far - 999, far)[:, 0]
    assert is_uniform(packed, 0, 12_000 - 999)


def test_a_shorter_track_has_an_anchor_without_hard_negatives():
    frames = sampling.hard_negative_frames(SNIPPET, LIMIT) - 1
    anchor = (frames - SNIPPET) // 2
    assert max(anchor, frames - SNIPPET - anchor) <= LIMIT


def test_fixed_windows_are_spread_evenly_and_inside():
    frames = np.array([300, 301, 1001, 18_300])
    assert sampling.fixed_starts(frames, SNIPPET, 1)[:, 0].tolist() == [0, 0, 350, 9000]
    assert sampling.fixed_starts(frames, SNIPPET, 3)[3].tolist() == [3000, 9000, 15_000]
    for limit in (LIMIT, None):
        for anchors, positives in [sampling.fixed_pair_starts(frames, SNIPPET, 4, limit)]:
            assert (anchors >= 0).all()
            assert (positives <= (frames - SNIPPET)[:, None]).all()
            reach = frames - SNIPPET if limit is None else np.minimum(frames - SNIPPET, limit)
            assert (positives - anchors == (reach // 2)[:, None]).all()


# -------------------------------------------------------------------------------- held-out tracks


def sides(names, share):
    return dict(zip(names, sampling.held_out(pa.chunked_array([names]), share), strict=True))


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_a_share_of_the_groups_is_held_out_whatever_others_there_are(share):
    names = [f"artist {number}" for number in range(20_000)]
    all_of_them = sides(names, share)
    assert np.mean(list(all_of_them.values())) == pytest.approx(share, abs=0.01)
    some = [names[number] for number in np.random.default_rng(0).permutation(20_000)[:5000]]
    assert sides(some, share).items() <= all_of_them.items(), "a group has changed its side"
    smaller = sides(names, share / 2)
    assert all(all_of_them[name] for name, held in smaller.items() if held)


def test_a_group_is_on_one_side_and_each_side_has_one():
    for count in (2, 3, 5, 40):
        for share in (0.001, 0.3, 0.999):
            groups = [f"artist {track % count}" for track in range(200)]
            held = sampling.held_out(pa.chunked_array([groups[:90], groups[90:]]), share)
            of_group = {
                group: {h for g, h in zip(groups, held, strict=True) if g == group}
                for group in groups
            }
            assert all(len(side) == 1 for side in of_group.values())
            assert 0 < held.sum() < 200
