import json

import numpy as np
import pandas as pd
import pytest
from test_head import head

from helpers.processes import run_python
from helpers.small_embeddings import write_store
from mar.embedding.rows import Row
from mar.embedding.store import Embeddings, Timeline
from mar.embedding.writer import write_part
from mar.errors import ConfigError, InputError
from mar.probing import tagging
from mar.probing.dense import Layers
from mar.probing.head import Head
from mar.probing.head_file import FILE, Parts
from mar.tasks.keys import KEYS, camelot, open_key

PATHS = [f"album {n % 3}/{n}.flac" for n in range(40)]


def store(folder, **provenance):
    rng = np.random.default_rng(0)
    timelines = {path: rng.normal(size=(3 + n % 4, 6)) for n, path in enumerate(PATHS)}
    provenance = {"store": "timeline", **provenance}
    return write_store(folder, timelines, ["broken.mp3"], **provenance)


def frame(tables):
    return pd.concat([table.to_pandas() for table in tables], ignore_index=True)


def values_head():
    layers = Layers(
        *(np.zeros(6, np.float32), np.ones(6, np.float32), (np.ones((6, 1), np.float32),)),
        *((np.zeros(1, np.float32),), "relu", "linear"),
        *(np.array([100.0], np.float32), np.array([10.0], np.float32)),
    )
    about = {**head("multilabel").about, "task": "tempo", "kind": "regression", "unit": "BPM"}
    return Head(Parts(layers, None, {**about, "labels": ["tempo"]}))


@pytest.mark.parametrize("store_kind", ["mean", "timeline"])
def test_every_track_head_and_label_has_a_row(store_kind, tmp_path):
    embeddings = Embeddings(store(tmp_path, store=store_kind))
    labelled, values = head(), values_head()
    table = frame(tagging.tags(tagging.named([labelled, values]), embeddings))
    assert len(table) == 40 * (4 + 1)
    for path in PATHS[:5]:
        of_track = table[(table["path"] == path) & (table["head"] == "moods")]
        expected = labelled(embeddings.mean(path))
        assert of_track["label"].tolist() == list(expected)
        np.testing.assert_allclose(of_track["probability"], [*expected.values()], rtol=1e-5)
        decided = labelled.decide(np.array([[*expected.values()]]))[0]
        assert of_track["decision"].tolist() == decided.tolist()
        (tempo,) = table[(table["path"] == path) & (table["head"] == "tempo")].to_dict("records")
        assert (tempo["unit"], tempo["probability"]) == ("BPM", pytest.approx(np.nan, nan_ok=True))
        assert tempo["value"] == pytest.approx(values(embeddings.mean(path))["tempo"], rel=1e-5)


def test_the_most_probable_labels_come_first(tmp_path):
    embeddings, labelled = Embeddings(store(tmp_path)), head("multiclass")
    everything = frame(tagging.tags({"m": labelled}, embeddings))
    top = frame(tagging.tags({"m": labelled}, embeddings, top=2))
    for path, rows in top.groupby("path"):
        of_track = everything[everything["path"] == path]
        best = of_track.sort_values("probability", ascending=False)[:2]
        assert rows["label"].tolist() == best["label"].tolist()
    assert len(frame(tagging.tags({"m": labelled}, embeddings, top=99))) == 160


def test_a_head_of_single_windows_reads_windows(tmp_path):
    labelled = head(pooling="windows")
    embeddings = Embeddings(store(tmp_path / "a"))
    table = frame(tagging.tags({"m": labelled}, embeddings, PATHS[3:4]))
    expected = labelled.of_windows(embeddings.timeline(PATHS[3]))
    np.testing.assert_allclose(table["probability"], expected, rtol=1e-5)
    means = Embeddings(store(tmp_path / "b", store="mean"))
    with pytest.raises(InputError, match=r"one mean per file, .*--store timeline"):
        next(tagging.tags({"m": labelled}, means))


def test_data_sets_of_another_model_are_refused(tmp_path):
    embeddings = Embeddings(store(tmp_path, model="other"))
    with pytest.raises(InputError, match="made in another way than what the head of moods"):
        next(tagging.tags({"m": head()}, embeddings))
    with pytest.raises(ConfigError, match="expected heads of different tasks, got two of moods"):
        tagging.named([head(), head()])


def test_keys_are_written_as_djs_do():
    wheel = {"C major": "8B", "A minor": "8A", "G major": "9B", "F major": "7B", "Ab minor": "1A"}
    assert {key: camelot(key) for key in wheel} == wheel
    notes = {"C major": "1d", "A minor": "1m", "E minor": "2m", "F major": "12d", "Db major": "8d"}
    assert {key: open_key(key) for key in notes} == notes
    assert len({camelot(key) for key in KEYS}) == len({open_key(key) for key in KEYS}) == 24
    columns = tagging.schema({"k": head("key")}).names
    assert columns[-2:] == ["camelot", "open_key"]


# --------------------------------------------------------------------------------------- timelines


def timeline(values, hop=2.0):
    times = 1.5 + hop * np.arange(len(values), dtype=np.float32)
    return Timeline("a.wav", float(times[-1] + 2), times, np.asarray(values, np.float32))


def test_windows_share_the_track_among_them():
    starts, ends = tagging.spans(timeline(np.zeros((3, 6))))
    assert (starts.tolist(), ends.tolist()) == ([0.0, 2.5, 4.5], [2.5, 4.5, 7.5])
    starts, ends = tagging.spans(timeline(np.zeros((1, 6))))
    assert (starts.tolist(), ends.tolist()) == ([0.0], [3.5])


def test_smoothing_is_a_mean_over_the_windows_around():
    rng = np.random.default_rng(0)
    probabilities, times = rng.random((20, 3)), np.arange(20) * 2.0
    for seconds in (0.0, 4.0, 10.0, 1000.0):
        expected = [
            probabilities[np.abs(times - time) <= seconds / 2].mean(axis=0) for time in times
        ]
        np.testing.assert_allclose(tagging.smoothed(probabilities, times, seconds), expected)


def test_segments_are_where_a_song_changes():
    labelled = head("multiclass")
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(4000, 6))
    given = labelled.decide(labelled.probabilities(vectors))
    pools = [vectors[given[:, label]] for label in range(4)]
    first, second = sorted(range(4), key=lambda label: -len(pools[label]))[:2]
    assert len(pools[second]) > 30
    song = np.concatenate([pools[first][:15], pools[second][:15]])
    (table,) = tagging.segments({"m": labelled}, timeline(song), seconds=0.0)
    rows = table.to_pylist()
    assert [row["label"] for row in rows] == [labelled.labels[first], labelled.labels[second]]
    assert (rows[0]["start"], rows[0]["end"]) == (0.0, rows[1]["start"])
    assert rows[0]["end"] == 1.5 + 14 * 2 + 1
    assert rows[1]["end"] == 1.5 + 29 * 2 + 2
    assert all(row["decision"] for row in rows)
    (windows,) = tagging.window_tags({"m": labelled}, timeline(song), top=1)
    assert windows["label"].to_pylist() == [rows[0]["label"]] * 15 + [rows[1]["label"]] * 15


def test_runs_of_decisions():
    assert tagging.runs(np.array([True, True, False, True])) == [(0, 1), (3, 3)]
    assert tagging.runs(np.array([False, False])) == []
    assert tagging.runs(np.array([True])) == [(0, 0)]


# ----------------------------------------------------------------------------------------- command


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_the_command_labels_a_folder_of_embeddings(suffix, tmp_path):
    store(tmp_path / "emb")
    labelled = head()
    (tmp_path / "run").mkdir()
    labelled.save(tmp_path / "run" / FILE)
    output = tmp_path / f"tags{suffix}"
    command = ["-m", "mar.tag", "--head", tmp_path / "run", "--output", output, "--timeline"]
    finished = run_python(*command, tmp_path / "emb")
    assert finished.returncode == 2, finished.stderr
    assert "no embedding: 'broken.mp3': truncated" in finished.stderr
    assert f"{output}: " in finished.stdout
    tables = []
    for path in (output, tmp_path / f"tags.segments{suffix}"):
        if suffix == ".csv":
            tables.append(pd.read_csv(path))
        elif suffix == ".parquet":
            tables.append(pd.read_parquet(path))
        else:
            lines = path.read_text(encoding="utf-8").splitlines()
            tables.append(pd.DataFrame(map(json.loads, lines)))
    windows, segments = tables
    embeddings = Embeddings(tmp_path / "emb")
    assert len(windows) == 4 * embeddings.window_counts(embeddings.paths).sum()
    probabilities = labelled.probabilities(embeddings.timeline(PATHS[5]))
    of_track = windows[windows["path"] == PATHS[5]]
    np.testing.assert_allclose(of_track["probability"], probabilities.ravel(), rtol=1e-5)
    assert set(segments["label"]) <= set(labelled.labels)
    assert (segments["end"] > segments["start"]).all()


def test_what_is_no_audio_is_no_failure(tmp_path):
    """Covers and the like lie among music; what was embedded later is not among them."""
    folder = write_store(tmp_path / "emb", {PATHS[0]: np.ones((3, 6))})
    made = Embeddings(folder).provenance
    rows = [Row(path, "skipped", "not called as audio is") for path in ("cover.jpg", PATHS[0])]
    write_part(folder, made, rows, "before", written=1)
    assert Embeddings(folder).skipped == ["cover.jpg"]
    head().save(tmp_path / FILE)
    command = ["-m", "mar.tag", "--head", tmp_path / FILE, "--output", tmp_path / "t.csv"]
    finished = run_python(*command, folder)
    assert finished.returncode == 0, finished.stderr
    assert "of 1 files, 0 without embedding, 1 skipped" in finished.stdout
    assert "cover.jpg" not in finished.stderr


def test_shards_share_the_tracks(tmp_path):
    store(tmp_path / "emb", store="mean")
    head().save(tmp_path / FILE)
    rows = []
    for shard in range(2):
        command = ["-m", "mar.tag", "--head", tmp_path / FILE, "--output", tmp_path / "t.parquet"]
        finished = run_python(*command, "--top", 1, "--shard", f"{shard}/2", tmp_path / "emb")
        assert finished.returncode == 2, finished.stderr
        rows.append(set(pd.read_parquet(tmp_path / f"t-{shard}-of-2.parquet")["path"]))
    assert not rows[0] & rows[1]
    assert rows[0] | rows[1] == set(PATHS)


def test_what_cannot_be_meant_is_refused_before_anything_is_written(tmp_path):
    store(tmp_path / "emb")
    head().save(tmp_path / FILE)
    for arguments, message in (
        (["--output", tmp_path / "t.txt", tmp_path / "emb"], "ends in .csv, .parquet, .jsonl"),
        (["--output", tmp_path / "t.csv", tmp_path], "expected --embeddings, a folder"),
        (["--output", tmp_path / "t.csv", tmp_path / "no"], "no: no such file or folder"),
        (["--output", tmp_path / "t.csv"], "expected a folder of embeddings, or audio"),
    ):
        finished = run_python("-m", "mar.tag", "--head", tmp_path / FILE, *arguments)
        assert finished.returncode == 1
        assert message in finished.stderr
        assert sorted(path.name for path in tmp_path.iterdir()) == ["emb", FILE]
