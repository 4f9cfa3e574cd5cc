"""Shards on S3: moto's server on loopback, through pyarrow.fs and through tensorflow-io."""

import importlib.util
import os
import pathlib
import shutil

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer

from helpers import small_records
from helpers.processes import run_python
from mar.errors import InputError
from mar.records import index, storage
from mar.records import manifest as manifests
from mar.records.reader import RecordReader
from mar.records.verify import check_shard, verify

FRAMES = [700, 300, 1200, 500]
TRACKS, FIRST = [0, 2, 2, 3, 1], [400, 0, 900, 77, 0]
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records") / "set"
    return small_records.data_set(folder, FRAMES, shard_bytes=250_000)


@pytest.fixture(scope="module")
def endpoint(local):
    """A server whose bucket `music` holds the data set under `a folder/`."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    endpoint = "127.0.0.1:{1}".format(*server.get_host_and_port())
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{endpoint}",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="music")
    folder = local.manifest.location.rpartition("/")[0]
    for name, data in small_records.contents(pathlib.Path(folder)).items():
        client.put_object(Bucket="music", Key=f"a/folder/{name}", Body=data)
    yield endpoint
    server.stop()


@pytest.fixture
def client(endpoint):
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    return boto3.client("s3", endpoint_url=f"http://{endpoint}", region_name="us-east-1", **keys)


@pytest.fixture
def uri(endpoint, monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    storage._arrow_filesystem.cache_clear()
    return f"s3://music/a/folder?scheme=http&endpoint_override={endpoint}"


def test_snippets_are_read_from_s3(uri, local):
    remote = RecordReader(uri)
    np.testing.assert_array_equal(remote.read(TRACKS, FIRST, 300), local.read(TRACKS, FIRST, 300))
    assert not any(verify(remote.manifest))


def test_keys_may_stand_in_the_uri(uri, local, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with_keys = RecordReader(uri.replace("s3://", "s3://key:secret@"))
    np.testing.assert_array_equal(with_keys.read([0], [5], 300), local.read([0], [5], 300))


def test_a_missing_object_is_named(uri):
    with pytest.raises(InputError, match=r"s3://music/a/nowhere/manifest\.parquet.*cannot be read"):
        RecordReader(uri.replace("folder", "nowhere"))
    with pytest.raises(InputError, match="s3://none/x"):
        storage.open_file(uri.replace("music/a/folder", "none/x"))


def test_a_shard_that_was_truncated_has_the_problems_of_one_on_a_disk(uri, local, client, tmp_path):
    """The last of its tracks begins behind its end, where a store has nothing to read."""
    folder = shutil.copytree(pathlib.Path(local.manifest.location).parent, tmp_path / "set")
    os.truncate(min(folder.glob("*.tfrecord")), 1000)
    for name, data in small_records.contents(folder).items():
        client.put_object(Bucket="music", Key=f"cut/{name}", Body=data)
    remote = manifests.read(uri.replace("a/folder", "cut"))
    found, expected = (
        [(problem.record, problem.reason) for problems in verify(each) for problem in problems]
        for each in (remote, manifests.read(folder))
    )
    assert found == expected
    assert "0 of " in expected[-1][1]


def test_a_shard_that_is_gone_while_it_is_read_is_told(uri, local, client, monkeypatch):
    folder = pathlib.Path(local.manifest.location).parent
    for name, data in small_records.contents(folder).items():
        client.put_object(Bucket="music", Key=f"gone/{name}", Body=data)
    there = uri.replace("a/folder", "gone")
    manifest, read = manifests.read(there), storage.ArrowFile.read

    def vanishing(file, offset, count):
        for shard in manifest.header.shards:
            client.delete_object(Bucket="music", Key=f"gone/{shard.name}")
        return read(file, offset, count)

    shard = manifest.shard_location(0)
    monkeypatch.setattr(storage.ArrowFile, "read", vanishing)
    (problem,) = check_shard(manifest, 0, np.flatnonzero(manifest.shard_index == 0))
    assert str(problem).startswith(f"{shard}: cannot be read: ")
    client.put_object(Bucket="music", Key=f"gone/{manifest.header.shards[0].name}", Body=b"a" * 99)
    layout = index.Layout(manifest.header.features, "float16", manifest.header.front_end)
    with pytest.raises(InputError, match=r"s3://music/gone/.*: cannot be read: "):
        index.index([shard], layout, folder.parent / "m.parquet")


@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_io") is None, reason="needs the extra io (make test-io)"
)
def test_snippets_are_read_from_s3_through_tensorflow_io(endpoint, local, tmp_path):
    """As hdfs:// and Azure are: by the same class, which elsewhere leaves s3:// to pyarrow."""
    script = """
import os, sys
import numpy as np
from mar.records import storage
storage.ARROW_SCHEMES = ()
from mar.records.reader import RecordReader
np.save(sys.argv[1], RecordReader("s3://music/a/folder").read(*eval(sys.argv[2]), 300))
os._exit(0)  # tensorflow-io 0.37.1 aborts at the end of any process that has used its S3
"""
    settings = {"S3_ENDPOINT": f"http://{endpoint}", "S3_USE_HTTPS": "0", "S3_VERIFY_SSL": "0"}
    output = tmp_path / "read.npy"
    process = run_python("-c", script, output, (TRACKS, FIRST), **KEYS, **settings)
    assert process.returncode == 0, process.stderr
    np.testing.assert_array_equal(np.load(output), local.read(TRACKS, FIRST, 300))
