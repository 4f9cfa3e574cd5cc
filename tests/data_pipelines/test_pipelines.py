"""The two data sets: whose rows, which steps, what types, what is refused."""

import dataclasses
import hashlib
import os

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

import mar
from helpers import small_records
from helpers.networks import small_network
from helpers.processes import run_python
from mar.data.pipelines import PairDataset, SnippetDataset
from mar.errors import ConfigError

FRAMES = [320, 900, 299, 300, 1500, 777, 2100, 1301, 45, 1400]
LONG_ENOUGH = [0, 1, 3, 4, 5, 6, 7, 9]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records") / "set"
    small_records.data_set(folder, FRAMES, shard_bytes=300_000)
    return str(folder)


def take(dataset, count):
    return [{name: part.numpy() for name, part in batch.items()} for batch in dataset.take(count)]


def snippets_of(batch):
    """The first view of a batch."""
    return batch["snippets" if "snippets" in batch else "anchors"]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for name, array in one.items():
            np.testing.assert_array_equal(array, other[name], err_msg=name)


def context(workers, worker, replicas):
    return tf.distribute.InputContext(workers, worker, replicas)


VARIANTS = {
    "snippets": lambda **p: SnippetDataset(**p),
    "balanced": lambda **p: SnippetDataset(track_sampling="label_balanced", **p),
    "pairs": lambda **p: PairDataset(**p),
    "whole clips": lambda **p: PairDataset(max_centre_distance_seconds=None, **p),
    "hard negatives": lambda **p: PairDataset(hard_negatives=2, **p),
    "fixed snippets": lambda **p: SnippetDataset(windows="fixed", windows_per_track=5, **p),
    "fixed pairs": lambda **p: PairDataset(windows="fixed", windows_per_track=5, **p),
}


@pytest.fixture(params=VARIANTS)
def variant(request, folder):
    return VARIANTS[request.param](records=folder, batch_size=12)


def test_batches_hold_what_the_indices_say(folder):
    dataset = SnippetDataset(records=folder, batch_size=64)
    for step, batch in enumerate(take(dataset.build(seed=3), 3)):
        snippets, labels = batch["snippets"], batch["labels"]
        assert (snippets.shape, snippets.dtype) == ((64, 300, 96), np.float16)
        assert (labels.shape, labels.dtype) == ((64, 7), np.float32)
        tracks, starts = dataset.indices(3, step)
        assert set(tracks) <= set(LONG_ENOUGH)
        for row, (track, start) in enumerate(zip(tracks, starts["snippets"], strict=True)):
            whole = small_records.spectrogram(track, FRAMES[track])
            np.testing.assert_array_equal(snippets[row], whole[start : start + 300])
            assert np.flatnonzero(labels[row]).tolist() == small_records.labels(track)


def test_pairs_hold_what_the_indices_say(folder):
    dataset = PairDataset(records=folder, batch_size=32, hard_negatives=3)
    (batch,) = take(dataset.build(seed=3, first_step=5), 1)
    assert batch["anchors"].shape == batch["positives"].shape == (32, 300, 96)
    assert batch["negatives"].shape == (32, 3, 300, 96)
    tracks, places = dataset.indices(3, 5)
    assert places.keys() == batch.keys()
    for row, track in enumerate(tracks):
        whole = small_records.spectrogram(track, FRAMES[track])
        for view, starts in places.items():
            for snippet, start in zip(
                batch[view][row].reshape(-1, 300, 96), np.atleast_1d(starts[row]), strict=True
            ):
                np.testing.assert_array_equal(snippet, whole[start : start + 300])
    anchors = places["anchors"]
    assert (np.abs(anchors - places["positives"]) < 500).all()
    assert (np.abs(anchors[:, None] - places["negatives"]) >= 500).all()


def test_the_same_seed_gives_the_same_stream(variant):
    first = take(variant.build(seed=1), 3)
    assert_same(take(variant.build(seed=1), 3), first)
    if variant.windows == "random":
        (other,) = take(variant.build(seed=2), 1)
        assert not np.array_equal(snippets_of(other), snippets_of(first[0]))
        assert not np.array_equal(snippets_of(first[0]), snippets_of(first[1]))


def test_any_step_can_be_started_from(variant):
    whole = take(variant.build(seed=1), 3)
    assert_same(take(variant.build(seed=1, first_step=2), 1), whole[2:])


@pytest.mark.parametrize(("workers", "replicas"), [(1, 2), (2, 2), (2, 4), (3, 3), (1, 4)])
def test_workers_read_contiguous_rows_of_one_batch(variant, workers, replicas):
    """All elements of a step, replica after replica and worker after worker, are the batch."""
    local = replicas // workers
    whole = take(variant.build(seed=1, first_step=1), 2)
    contexts = [context(workers, worker, replicas) for worker in range(workers)]
    rows = [take(variant.build(one, seed=1, first_step=1), 2 * local) for one in contexts]
    for step in range(2):
        elements = [e for worker in rows for e in worker[step * local : (step + 1) * local]]
        assert {len(part) for element in elements for part in element.values()} == {12 // replicas}
        joined = {name: np.concatenate([e[name] for e in elements]) for name in whole[step]}
        assert_same([joined], [whole[step]])


def test_a_strategy_takes_the_batches(folder):
    """Two logical devices get the two halves of the batch, in order."""
    script = """
import sys
import numpy as np, tensorflow as tf
from mar.data.pipelines import SnippetDataset
devices = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
dataset = SnippetDataset(records=sys.argv[1], batch_size=12)
batches = iter(strategy.distribute_datasets_from_function(dataset.build))
for step in range(3):
    batch = next(batches)
    for name, expected in dataset.read(0, step).items():
        halves = strategy.experimental_local_results(batch[name])
        np.testing.assert_array_equal(np.concatenate(halves), expected)
print("equal")
"""
    process = run_python("-c", script, folder)
    assert "equal" in process.stdout, process.stderr


@pytest.mark.parametrize("kind", [SnippetDataset, PairDataset])
@pytest.mark.parametrize("replicas", [1, 3])
def test_fixed_windows_pass_through_all_tracks_once(folder, kind, replicas):
    dataset = kind(records=folder, batch_size=15, windows="fixed", windows_per_track=5)
    assert dataset.steps == 3
    elements = take(dataset.build(context(1, 0, replicas) if replicas > 1 else None), 1000)
    assert len(elements) == 3 * replicas
    first = np.concatenate(list(map(snippets_of, elements)))
    assert len(first) == len(LONG_ENOUGH) * 5
    tracks = np.concatenate([dataset.indices(0, step)[0] for step in range(3)])
    assert tracks.tolist() == np.repeat(LONG_ENOUGH, 5).tolist()
    assert sum(len(snippets_of(element)) for element in elements[-replicas:]) == 10


def test_tracks_that_are_too_short_are_counted(folder, caplog):
    assert SnippetDataset(records=folder).tracks.tolist() == LONG_ENOUGH
    assert "2 of 10 tracks are shorter than 300 frames" in caplog.text
    assert PairDataset(records=folder, hard_negatives=1).tracks.tolist() == [4, 6, 7, 9]
    with pytest.raises(ConfigError, match="no track has the 3000 frames"):
        SnippetDataset(records=folder, snippet_frames=3000).build()


def test_a_network_takes_what_standardize_makes_of_a_batch(folder):
    """Against NumPy, of what is stored in half precision."""
    network = small_network().build(300)
    (batch,) = SnippetDataset(records=folder, batch_size=4).build().take(1)
    assert batch["snippets"].dtype == tf.float16
    snippets = batch["snippets"].numpy().astype(np.float64)
    deviation = np.maximum(snippets.std(axis=(1, 2), keepdims=True), 0.01)
    expected = (snippets - snippets.mean(axis=(1, 2), keepdims=True)) / deviation
    inputs = mar.standardize(batch["snippets"])
    assert inputs.dtype == tf.float32
    np.testing.assert_allclose(inputs[..., 0], expected.swapaxes(1, 2), rtol=1e-4, atol=1e-4)
    embeddings = network(inputs)
    assert embeddings.shape == (4, network.output_shape[1])
    assert np.isfinite(embeddings).all()
    assert np.array_equal(network(mar.standardize(batch["snippets"].numpy())), embeddings)


def test_float32_records_stay_float32(tmp_path):
    small_records.data_set(tmp_path / "set", [400] * 3, dtype="float32")
    dataset = SnippetDataset(records=str(tmp_path / "set"), batch_size=4)
    assert dataset.build().element_spec["snippets"].dtype == tf.float32
    assert take(dataset.build(), 1)[0]["snippets"].dtype == np.float32


def test_shapes_are_known_and_nothing_is_sharded_or_tuned(variant):
    built = variant.build()
    for spec in built.element_spec.values():
        assert spec.shape[0] is None
        assert None not in spec.shape[1:]
    options = built.options()
    policy = options.experimental_distribute.auto_shard_policy
    assert policy == tf.data.experimental.AutoShardPolicy.OFF
    assert options.autotune.enabled is False


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
        ({"hard_negatives": -1}, "hard_negatives: expected at least 0, got -1"),
        (
            {"hard_negatives": 1, "max_centre_distance_seconds": None},
            "hard_negatives: expected 0 where",
        ),
        ({"max_centre_distance_seconds": 0.0}, "expected more than 0, got 0.0"),
        ({"windows": "all"}, "windows: expected one of 'random', 'fixed'"),
    ],
)
def test_wrong_settings_are_named(folder, parameters, message):
    with pytest.raises(ConfigError, match=message):
        PairDataset(records=folder, **parameters)


@pytest.mark.parametrize(
    ("size", "replicas", "nearest"), [(13, 4, 12), (15, 4, 16), (2, 4, 4), (14, 4, 12)]
)
def test_a_batch_that_cannot_be_divided_is_refused(folder, size, replicas, nearest):
    dataset = SnippetDataset(records=folder, batch_size=size)
    message = f"batch_size: expected a multiple of the {replicas} replicas, such as {nearest}, "
    with pytest.raises(ConfigError, match=f"{message}got {size}"):
        dataset.build(context(1, 0, replicas))


def test_balancing_without_labels_is_refused(tmp_path):
    small_records.data_set(tmp_path / "set", [400])  # track 0 has no label
    dataset = SnippetDataset(records=str(tmp_path / "set"), track_sampling="label_balanced")
    with pytest.raises(ConfigError, match="no track has a label to be balanced by"):
        dataset.read(0, 0)


def test_what_is_wrong_with_a_shard_reaches_the_consumer(tmp_path):
    small_records.data_set(tmp_path / "set", [400] * 3)
    dataset = SnippetDataset(records=str(tmp_path / "set"), batch_size=4)
    batches = iter(dataset.build())
    next(batches)
    os.truncate(next((tmp_path / "set").glob("*.tfrecord")), 5000)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"InputError.*tfrecord.*truncated"):
        list(batches)


@pytest.mark.parametrize("times", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_a_process_ends_with_endless_batches_under_way(folder, times):
    """Calls of Python by TensorFlow's threads must not keep the interpreter from ending."""
    script = """
import sys
from mar.data.pipelines import PairDataset
batches = iter(PairDataset(records=sys.argv[1], batch_size=256).build())
for _ in range(20):
    next(batches)
print("done", flush=True)
"""
    for _ in range(times):  # a fresh one ends as any, and frees all that it has
        process = run_python("-c", script, folder, fresh=True)
        assert (process.returncode, process.stdout) == (0, "done\n")


# ----------------------------------------------------------------------------- held-out tracks


@pytest.mark.parametrize("kind", [SnippetDataset, PairDataset])
def test_parts_share_no_track_and_lack_none(folder, kind):
    parts = [kind(records=folder, held_out=0.3, part=part) for part in ("train", "validation")]
    train, validation = (set(dataset.tracks) for dataset in parts)
    assert train
    assert validation
    assert not train & validation
    assert train | validation == set(LONG_ENOUGH)
    batch, _ = parts[0].indices(0, 0)
    assert set(batch) == train


def test_an_artist_is_in_one_part(tmp_path):
    job = small_records.job([320] * 60)
    groups = pa.array([f"artist {track % 9}" if track % 5 else None for track in range(60)])
    job = dataclasses.replace(job, tracks=job.tracks.append_column("group", groups))
    small_records.write_here(job, tmp_path)
    parts = {
        part: PairDataset(records=str(tmp_path), held_out=0.3, part=part).tracks
        for part in ("train", "validation")
    }
    artists = {part: {groups[t].as_py() for t in rows} - {None} for part, rows in parts.items()}
    assert len(parts["train"]) + len(parts["validation"]) == 60
    assert artists["train"] | artists["validation"] == {f"artist {number}" for number in range(9)}
    assert not artists["train"] & artists["validation"]


def test_one_artist_cannot_be_parted(tmp_path):
    job = small_records.job([320] * 4)
    groups = pa.array(["the only one"] * 4)
    job = dataclasses.replace(job, tracks=job.tracks.append_column("group", groups))
    small_records.write_here(job, tmp_path)
    dataset = SnippetDataset(records=str(tmp_path), held_out=0.1, part="train")
    with pytest.raises(ConfigError, match=r"at least two artists .*held_out: 0\.1.* 4 tracks of 1"):
        dataset.build()
    assert len(SnippetDataset(records=str(tmp_path)).tracks) == 4


@pytest.mark.parametrize("settings", [{"held_out": 0.1}, {"part": "train"}])
def test_a_part_needs_a_share(settings):
    with pytest.raises(ConfigError, match=r"Dataset\.part: expected train or validation where"):
        SnippetDataset(records="x", **settings)


@pytest.mark.parametrize(("tracks", "level"), [((18, 1, 1), "WARNING"), ((1,) * 20, "INFO")])
def test_how_many_tracks_are_held_out_is_told(tracks, level, tmp_path, caplog):
    """The first artist is the one that is held out where no other is."""
    artists = sorted((f"artist {number}" for number in range(len(tracks))), key=number_of)
    groups = [artist for artist, count in zip(artists, tracks, strict=True) for _ in range(count)]
    job = small_records.job([64] * 20)
    job = dataclasses.replace(job, tracks=job.tracks.append_column("group", pa.array(groups)))
    small_records.write_here(job, tmp_path)
    share = {"WARNING": 0.001, "INFO": 0.3}[level]
    with caplog.at_level("INFO", "mar"):
        settings = {"records": str(tmp_path), "snippet_frames": 64, "held_out": share}
        held = 20 - len(SnippetDataset(part="train", **settings).tracks)
        assert len(SnippetDataset(part="validation", **settings).tracks) == held
    (told,) = (record for record in caplog.records if "held out" in record.getMessage())
    assert told.levelname == level
    assert f"{held} of 20 tracks are held out" in told.getMessage()
    assert held == (18 if level == "WARNING" else held)


def number_of(group):
    """By which a group is held out."""
    digest = hashlib.blake2b(group.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
