"""The commands, from audio files to batches, with a kill on the way."""

import csv
import os
import shutil
import signal
import time
import unicodedata

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from matplotlib import image

from helpers import small_records
from helpers.processes import UNREAD, run_python, start_python
from helpers.resources import ROOT, needs
from helpers.signals import FORMATS, music
from mar.audio.logmel import PUBLISHED, LogMel
from mar.data.pipelines import PairDataset, SnippetDataset
from mar.records import manifest as manifests
from mar.records.reader import RecordReader

RATE = 22050
NAMES = ["pcm16.wav", "flac", "ogg", "mp3", "opus", "m4a", "wma", "pcm24.wav"]


def tool(name, *arguments, code=0):
    process = run_python("-m", f"tfrecord_tools.{name}", *arguments)
    assert process.returncode == code, process.stderr
    return process


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    """Eight files of 30 s in eight formats, one of 2 s, one that is no audio, one missing.

    The table has the accents in another Unicode form than the disk, and two rows twice.
    """
    folder = tmp_path_factory.mktemp("audio") / "my music"
    folder.mkdir()
    rows = []
    for number, name in enumerate(NAMES):
        path = folder / f"{number} é.{name}"
        sound = np.tile(music(2.0, 48000, 2, number), (15, 1))
        sound *= np.linspace(0.1, 1, len(sound), dtype=np.float32)[:, None]  # no two parts alike
        FORMATS[name][0](str(path), sound, 48000)
        rows.append((f"song {number}", path.name, "loud|even" if number % 2 == 0 else "odd"))
    soundfile.write(folder / "short.wav", music(2.0, RATE, 1), RATE)
    (folder / "text.mp3").write_text("no audio")
    rows[3:3] = [("short", "short.wav", ""), ("text", "text.mp3", "odd")]
    rows.append(("gone", "gone.wav", "odd"))
    rows = [(id, unicodedata.normalize("NFD", path), labels) for id, path, labels in rows]
    with open(folder / "tracks.csv", "w", newline="") as file:
        csv.writer(file).writerows([("id", "path", "labels"), *rows, *rows[2:4]])
    return folder


def write_arguments(audio, output, *more):
    return ["--table", audio / "tracks.csv", "--output", output, "--shard_megabytes=1", *more]


@pytest.fixture(scope="module")
def records(audio, tmp_path_factory):
    """Written by a command that was killed and given again."""
    output = tmp_path_factory.mktemp("records") / "set"
    arguments = write_arguments(audio, output, "--workers=2")
    killed = False
    while not killed:  # on a busy machine it may have ended when the kill comes
        shutil.rmtree(output, ignore_errors=True)
        killed = killed_at_work(output, arguments)
    finished = tool("write", *arguments, code=2)
    assert "9 tracks, 0.07 hours of audio" in finished.stdout
    assert "tracks.csv: 13 rows read, 0 refused, 2 duplicates" in finished.stderr
    assert "failed: text: " in finished.stderr
    assert "failed: gone: " in finished.stderr
    assert "2 could not be read, see failed.csv" in finished.stderr
    return output


def killed_at_work(output, arguments):
    """Kills a command when a shard is finished; whether that was before all were."""
    process = start_python("-m", "tfrecord_tools.write", *arguments, **UNREAD)
    while process.poll() is None and not list((output / "parts").glob("shard*.parquet")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (output / "parts").exists() or process.returncode == 2
    return not (output / manifests.NAME).exists()


def test_a_killed_command_ends_in_the_bytes_of_an_undisturbed_one(audio, records, tmp_path):
    tool("write", *write_arguments(audio, tmp_path, "--workers=1", "--fail_on=none"))
    assert len(list(tmp_path.glob("*.tfrecord"))) > 3
    assert small_records.contents(tmp_path) == small_records.contents(records)


def test_records_hold_the_log_mel_of_the_files(audio, records):
    reader = RecordReader(records)
    assert reader.manifest.header.front_end == LogMel().resolved()
    assert reader.manifest.header.vocabulary == ["even", "loud", "odd"]
    ids = pq.read_table(records / manifests.NAME)["id"].to_pylist()
    assert len(ids) == 9
    with open(audio / "tracks.csv", newline="") as file:
        paths = {row["id"]: row["path"] for row in csv.DictReader(file)}
    for track, name in enumerate(ids):
        (found,) = reader.read([track], [0], reader.manifest.frames[track])
        expected = LogMel().read(audio / unicodedata.normalize("NFC", paths[name]))
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=3e-3)
    assert reader.manifest.labels(ids.index("song 0")).tolist() == [0, 1]
    assert reader.manifest.labels(ids.index("song 7")).tolist() == [2]


def test_shipped_front_ends_are_those_of_the_paper_and_of_the_published_weights():
    configs = ROOT / "configs" / "records"
    assert LogMel.load(configs / "paper.yaml").hash() == LogMel().hash()
    assert LogMel.load(configs / "mule.yaml").hash() == PUBLISHED.hash()


def test_verify_and_inspect(records, tmp_path):
    assert "9 tracks in 6 shards, no problems" in tool("verify", records).stdout
    lines = tool("inspect", "--output", tmp_path / "pictures", records).stdout
    assert "tracks          9 in 6 shards" in lines
    assert "audio           0.07 hours" in lines
    assert "too short       1 shorter than 300 frames, never sampled" in lines
    assert "short: 201 frames" in lines
    assert "failed          2 could not be read" in lines
    assert "most frequent   even (4), loud (4), odd (4)" in lines
    assert "1 tracks without" in lines
    for name in ("spectrograms.png", "label_counts.png"):
        picture = image.imread(tmp_path / "pictures" / name)
        assert picture[..., :3].std() > 0.05, "an empty picture"


def test_both_pipelines(records):
    labelled, pairs = (
        next(iter(kind(records=str(records), batch_size=16).build()))
        for kind in (SnippetDataset, PairDataset)
    )
    assert labelled["snippets"].shape == (16, 300, 96)
    assert labelled["labels"].numpy().sum(axis=1).min() >= 1
    assert pairs["anchors"].shape == pairs["positives"].shape == (16, 300, 96)
    assert 0 < pairs["anchors"].numpy().astype(float).std() < 10


def test_excerpts(records, tmp_path):
    arguments = ["--seconds=5", "--workers=1", records]
    first = tool("excerpt", "--output", tmp_path / "a", *arguments)
    assert "8 tracks, 0.01 hours" in first.stdout
    assert "1 of 9 tracks are shorter than 5 s" in first.stdout
    tool("excerpt", "--output", tmp_path / "other", "--seed=1", *arguments)
    source, excerpts = RecordReader(records), RecordReader(tmp_path / "a")
    assert (excerpts.manifest.frames == 500).all()
    assert excerpts.manifest.header.front_end == source.manifest.header.front_end
    ids = pq.read_table(records / manifests.NAME)["id"].to_pylist()
    starts = []
    for track in range(8):
        whole = ids.index(excerpts.manifest.id(track))
        assert (excerpts.manifest.labels(track) == source.manifest.labels(whole)).all()
        (frames,) = source.read([whole], [0], source.manifest.frames[whole])
        (excerpt,) = excerpts.read([track], [0], 500)
        (start,) = [s for s in range(len(frames) - 499) if (frames[s] == excerpt[0]).all()]
        np.testing.assert_array_equal(frames[start : start + 500], excerpt)
        starts.append(start)
    assert len(set(starts)) > 4
    assert small_records.contents(tmp_path / "a") != small_records.contents(tmp_path / "other")
    assert "no problems" in tool("verify", tmp_path / "a").stdout
    refused = tool("excerpt", "--output", tmp_path / "b", "--seconds=500", records, code=1)
    assert "no track has 500 s" in refused.stderr


def test_records_follow_a_table_and_are_joined(audio, records, tmp_path):
    """By the commands: a file comes, one is mended, one goes; then all is joined with the first."""
    grown = tmp_path / "grown"
    shutil.copytree(records, grown)
    with open(audio / "tracks.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["id"] != "song 1"]
    (audio / "gone.wav").write_bytes((audio / "short.wav").read_bytes())
    rows.append({"id": "new", "path": "0 é.pcm16.wav", "labels": "new|loud"})
    with open(audio / "later.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "path", "labels"])
        writer.writeheader()
        writer.writerows(rows)
    arguments = ["--table", audio / "later.csv", "--output", grown, "--workers=1"]
    refused = tool("write", *arguments, code=1)
    assert "--append" in refused.stderr
    done = tool("write", *arguments, "--append", "--shard_megabytes=1", code=2)
    (audio / "gone.wav").unlink()
    assert "2 tracks added, 1 dropped" in done.stdout
    assert "10 tracks" in done.stdout
    assert "1 could not be read" in done.stderr
    described = tool("inspect", "--output", tmp_path / "pictures", grown).stdout
    assert "dropped         1 tracks" in described
    assert "failed          1 could not be read" in described
    assert RecordReader(grown).manifest.header.vocabulary == ["even", "loud", "odd", "new"]
    joined = tool("merge", "--output", tmp_path / "all", "--workers=1", grown, records)
    assert "11 tracks" in joined.stdout
    assert "8 tracks that several of them have are taken once" in joined.stdout
    for data_set, count in ((grown, 10), (tmp_path / "all", 11)):
        assert f"{count} tracks in" in tool("verify", data_set).stdout


def test_a_cluster_writes_the_same_bytes(audio, records, tmp_path):
    """On a real Ray, started on this machine; from a folder that its workers are not in."""
    needs("ray", extra="cluster")
    arguments = write_arguments(audio, "set", "--ray_address=local", "--fail_on=none")
    process = run_python("-m", "tfrecord_tools.write", *arguments, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert small_records.contents(tmp_path / "set") == small_records.contents(records)


def test_index_makes_a_manifest_of_the_shards(records, tmp_path):
    manifest = tmp_path / "foreign.parquet"
    names = ["--spectrogram_feature=log_mel", "--id_feature=id", "--labels_feature=labels"]
    shards = sorted(records.glob("*.tfrecord"))
    made_one = tool("index", "--manifest", manifest, "--dtype=float16", *names, *shards)
    assert "9 tracks in 6 files" in made_one.stdout
    ours, theirs = RecordReader(records), RecordReader(manifest)
    for name in ("offsets", "frames", "checksums"):
        np.testing.assert_array_equal(getattr(ours.manifest, name), getattr(theirs.manifest, name))
    assert "no problems" in tool("verify", manifest).stdout


def test_verify_ends_with_an_error_code(records, tmp_path):
    (tmp_path / "set").mkdir()
    for path in records.iterdir():
        os.link(path, tmp_path / "set" / path.name)
    shard = tmp_path / "set" / "shard-00002-of-00006.tfrecord"
    data = bytearray(shard.read_bytes())
    data[5000] ^= 1
    shard.unlink()
    shard.write_bytes(data)
    found = tool("verify", tmp_path / "set", code=1)
    assert f"{shard}: record 0 at byte 0: the CRC of its data differs" in found.stdout
    assert "1 problems" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shard=2/2"], "--shard: expected i/n with i from 0 to n - 1, got '2/2'"),
        (["--set=LogMel.n_mells=3"], "LogMel: expected one of"),
        (["--dtype=float32"], "holds a data set of other files, labels or settings"),
        (["more.csv"], "unexpected argument 'more.csv'"),
    ],
)
def test_wrong_use_is_one_sentence(audio, records, arguments, message):
    process = tool("write", *write_arguments(audio, records, *arguments), code=1)
    assert f"error: {message}" in process.stderr or f"{records}: {message}" in process.stderr
    assert "Traceback" not in process.stderr
