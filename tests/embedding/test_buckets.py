"""A catalogue, and its data set, on S3: moto's server on loopback."""

import os
import shutil

import boto3
import numpy as np
import pytest
import soundfile
from moto.server import ThreadedMotoServer

from helpers.processes import run_python
from helpers.resources import ROOT
from helpers.signals import music
from mar.audio.isolated import IsolatedDecoder
from mar.embedding import checking, files, mirror, upkeep
from mar.embedding.catalogue import Catalogue
from mar.embedding.store import Embeddings
from mar.errors import InputError
from mar.records import buckets, storage

MODEL = "logmel_mean"
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
NAMES = ["a.flac", "jazz/b.flac", "jazz/50% a+b? #1 'ü'.flac", "jazz/notes.pdf", ".hidden/c.flac"]


@pytest.fixture(scope="module")
def server():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    yield "127.0.0.1:{1}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def client(server, monkeypatch, tmp_path):
    """A bucket `music`, empty but for what is put into it; a cache of its own."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MAR_CACHE", str(tmp_path / "cache"))
    storage._arrow_filesystem.cache_clear()
    client = boto3.client("s3", endpoint_url=f"http://{server}", region_name="us-east-1")
    client.create_bucket(Bucket="music")
    yield client
    for listed in client.list_objects_v2(Bucket="music").get("Contents", []):
        client.delete_object(Bucket="music", Key=listed["Key"])
    client.delete_bucket(Bucket="music")


@pytest.fixture
def address(server):
    """Of a folder in the bucket."""
    options = f"scheme=http&endpoint_override={server}"
    return lambda folder: f"s3://key:secret@music/{folder}?{options}"


@pytest.fixture
def library(tmp_path, client):
    """Files, and the same in the bucket below `songs/`."""
    folder = tmp_path / "library"
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / "song", music(4.0, 16000, seed=number), 16000, format="FLAC")
        (folder / "song").rename(folder / name)
        client.upload_file(str(folder / name), "music", f"songs/{name}")
    return folder


@pytest.fixture
def decoded(monkeypatch):
    """The files that are decoded, which exist for as long as they are read."""
    paths, opened = [], IsolatedDecoder.open

    def noting(self, path, **decoding):
        paths.append(path)
        return opened(self, path, **decoding)

    monkeypatch.setattr(IsolatedDecoder, "open", noting)
    return paths


def update(address, output):
    summary = Catalogue().run(MODEL, files.find([address]), output)
    return {what: count for what, count in summary.counts.items() if count}


def keys(client):
    return {listed["Key"] for listed in client.list_objects_v2(Bucket="music")["Contents"]}


# ------------------------------------------------------------------------------------------- input


def test_a_bucket_is_embedded_as_its_files_are(library, client, address, tmp_path, decoded):
    assert update(address("songs"), tmp_path / "out") == {"new": 3, "skipped": 1}
    assert len(decoded) == 3
    assert not any(map(os.path.exists, decoded))  # nothing stays on the disk
    remote = Embeddings(tmp_path / "out")
    shutil.rmtree(library / ".hidden")
    Catalogue().run(MODEL, files.find([str(library)]), tmp_path / "local")
    local = Embeddings(tmp_path / "local")
    assert remote.paths == local.paths
    np.testing.assert_array_equal(remote.means(local.paths), local.means(local.paths))
    assert remote.audio_hashes() == local.audio_hashes()
    for path in remote.paths:
        head = client.head_object(Bucket="music", Key=f"songs/{path}")
        row = remote.row(path)
        assert (row["size"], row["folder"]) == (head["ContentLength"], "s3://music/songs")
    assert not any(b"secret" in part.read_bytes() for part in (tmp_path / "out").iterdir())


def test_a_bucket_that_changes_is_decoded_where_audio_is_new(
    library, client, address, tmp_path, decoded
):
    update(address("songs"), tmp_path / "out")
    assert update(address("songs/"), tmp_path / "out") == {"unchanged": 4}
    decoded.clear()
    client.upload_file(str(library / "a.flac"), "music", "songs/renamed.flac")
    client.delete_object(Bucket="music", Key="songs/a.flac")
    client.delete_object(Bucket="music", Key="songs/jazz/b.flac")
    soundfile.write(library / "new.flac", music(4.0, 16000, seed=9), 16000)
    client.upload_file(str(library / "new.flac"), "music", "songs/new.flac")
    expected = {"new": 1, "moved": 1, "gone": 1, "unchanged": 2}
    assert update(address("songs"), tmp_path / "out") == expected
    assert len(decoded) == 1
    assert Embeddings(tmp_path / "out").gone == ["jazz/b.flac"]


def test_an_object_that_vanishes_is_no_failure(library, client, address, tmp_path):
    items = files.find([address("songs")])
    client.delete_object(Bucket="music", Key="songs/jazz/b.flac")
    summary = Catalogue().run(MODEL, items, tmp_path / "out")
    assert (summary.counts["new"], summary.failures) == (2, [])
    assert "jazz/b.flac" not in {*Embeddings(tmp_path / "out").failures}


def test_what_is_no_folder_of_music_is_refused(library, client, address):
    for folder, reason in {
        "absent": r"s3://music/absent: cannot be read",
        "songs/a.flac": r"s3://music/songs/a\.flac: expected a folder, got a file",
    }.items():
        with pytest.raises(InputError, match=reason) as caught:
            files.find([address(folder)])
        assert "secret" not in str(caught.value)
    client.put_object(Bucket="music", Key="texts/a.txt", Body=b"a")
    with pytest.raises(InputError, match="s3://music/texts: holds no audio"):
        files.find([address("texts")])
    with pytest.raises(InputError, match="ftp://x/y: expected .*s3:// or gs://"):
        files.find(["ftp://x/y"])


# ------------------------------------------------------------------------------------------ output


def test_a_data_set_in_a_bucket_is_written_read_and_kept_in_order(library, client, address):
    output = address("sets/emb")
    with mirror.writable(output) as folder:
        update(str(library), folder)
    soundfile.write(library / "z.flac", music(4.0, 16000, seed=50), 16000)
    with mirror.writable(output) as folder:
        assert update(str(library), folder) == {"new": 1, "unchanged": 4}
    assert len([key for key in keys(client) if key.startswith("sets/emb/part-")]) == 2
    assert not any(".writer" in key for key in keys(client))
    expected = Embeddings(folder)
    for there in (True, False):  # from the cache, and on another machine
        if not there:
            shutil.rmtree(os.environ["MAR_CACHE"])
        embeddings = Embeddings(output)
        assert embeddings.paths == sorted([*NAMES[:3], "z.flac"])
        if there:
            means = expected.means(embeddings.paths)
        np.testing.assert_array_equal(embeddings.means(embeddings.paths), means)
    (library / "a.flac").unlink()
    with mirror.writable(output) as folder:
        assert update(str(library), folder) == {"gone": 1, "unchanged": 4}
        upkeep.prune(folder)
        upkeep.compact(folder)
    assert len([key for key in keys(client) if key.startswith("sets/emb/part-")]) == 1
    shutil.rmtree(os.environ["MAR_CACHE"])
    assert Embeddings(output).paths == sorted([*NAMES[1:3], "z.flac"])


def test_what_was_not_uploaded_is_by_the_next_run(library, client, address, monkeypatch):
    """As where the process was killed, or the network failed, at the end of a run."""
    output = address("sets/emb")
    with monkeypatch.context() as patch:
        patch.setattr(buckets, "upload", refused)
        with pytest.raises(InputError, match="no network"), mirror.writable(output) as folder:
            update(str(library), folder)
    assert not any(key.startswith("sets/emb/part-") for key in keys(client))
    with mirror.writable(output) as folder:
        assert update(str(library), folder) == {"unchanged": 4}
    shutil.rmtree(os.environ["MAR_CACHE"])
    assert len(Embeddings(output)) == 3


def refused(*_):
    raise InputError("no network")


def test_an_upload_that_fails_leaves_what_was_there(client, address):
    """Linux opens the file, and fails to read it."""
    client.put_object(Bucket="music", Key="sets/a.parquet", Body=b"whole")
    with pytest.raises(InputError, match="s3://music/sets/a.parquet: cannot be written"):
        buckets.upload("/proc/self/mem", address("sets"), "a.parquet")
    assert {key for key in keys(client) if key[-1:] != "/"} == {"sets/a.parquet"}
    assert client.get_object(Bucket="music", Key="sets/a.parquet")["Body"].read() == b"whole"


def test_what_was_uploaded_in_part_replaces_nothing_on_the_disk(
    library, client, address, monkeypatch
):
    """As the interrupted uploads of earlier versions left it."""
    output = address("sets/emb")
    with monkeypatch.context() as patch:
        patch.setattr(buckets, "upload", refused)
        with pytest.raises(InputError, match="no network"), mirror.writable(output) as folder:
            update(str(library), folder)
    (part,) = folder.glob("part-*")
    half = part.read_bytes()[: part.stat().st_size // 2]
    client.put_object(Bucket="music", Key=f"sets/emb/{part.name}", Body=half)
    with mirror.writable(output) as folder:
        assert update(str(library), folder) == {"unchanged": 4}
    shutil.rmtree(os.environ["MAR_CACHE"])
    assert len(Embeddings(output)) == 3


def test_a_copy_that_was_interrupted_is_gone_on_with(client, address, monkeypatch):
    """What it has copied was not added here: the bucket's newer one takes its place."""
    copy = buckets.copy

    def first_alone(folder, name, file):
        if name == "b":
            raise InputError("no network")
        copy(folder, name, file)

    for name in "ab":
        client.put_object(Bucket="music", Key=f"sets/{name}", Body=b"old")
    with monkeypatch.context() as patch:
        patch.setattr(buckets, "copy", first_alone)
        with pytest.raises(InputError, match="no network"):
            mirror.readable(address("sets"))
    client.put_object(Bucket="music", Key="sets/a", Body=b"newer")
    folder = mirror.readable(address("sets"))
    assert [(folder / name).read_bytes() for name in "ab"] == [b"newer", b"old"]


def test_of_two_machines_one_writes(library, client, address, monkeypatch, tmp_path):
    output = address("sets/emb")
    with mirror.writable(output):
        monkeypatch.setenv("MAR_CACHE", str(tmp_path / "another machine's"))
        with (
            pytest.raises(InputError, match="s3://music/sets/emb: another process writes into it"),
            mirror.writable(output),
        ):
            pass
        assert len([key for key in keys(client) if ".writer-" in key]) == 1
    with mirror.writable(output):
        pass


def test_the_command_takes_addresses(library, client, address):
    output = address("sets/emb")
    command = ("-m", "mar.embed", "--model", MODEL, "--output", output, address("songs"))
    process = run_python(*command)
    assert process.returncode == 0, process.stderr
    assert "s3://music/sets/emb: 3 embedded, 0 already there" in process.stdout
    assert "secret" not in process.stdout + process.stderr
    again = run_python(*command, "--compact")
    assert "s3://music/sets/emb: nothing to do, 4 already there" in again.stdout
    assert "sets/emb/.model.json" in keys(client)  # another machine need not load the model
    assert Embeddings(output).paths == sorted(NAMES[:3])
    refused = run_python(*command, "--shard=0/2")
    assert refused.returncode == 1
    assert "--output: expected a folder on a disk with --shard" in refused.stderr


def test_a_bucket_is_checked_as_its_files_are(library, client, address):
    (library / "a.flac").write_bytes((library / "a.flac").read_bytes()[:5000])
    client.upload_file(str(library / "a.flac"), "music", "songs/a.flac")
    checked, local = (
        [(one.path, [str(problem) for problem in one.problems]) for one in checking.check(found)]
        for found in (files.find([address("songs")]), files.find([str(library)]))
    )
    assert checked == local
    assert {path: bool(problems) for path, problems in checked}["a.flac"]
    assert sum(bool(problems) for _, problems in checked) < len(checked)


def test_what_reads_no_buckets_says_so(library, client, address, tmp_path):
    config = ROOT / "configs" / "embed" / "timeline.yaml"
    commands = (
        ("mar.analyze", "--config", config, "--output_folder", tmp_path / "npy", "-i"),
        ("mar.export", "--model", "mule", "--output", tmp_path / "x.onnx", "--audio"),
    )
    for command in commands:
        process = run_python("-m", *command, address("songs"))
        assert process.returncode == 1
        assert "expected a file on a disk; copy it there first" in process.stderr
        assert "secret" not in process.stderr
