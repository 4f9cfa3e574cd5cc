"""Shards on S3: moto's server on loopback, through pyarrow.fs and through tensorflow-io."""

import importlib.util
import pathlib

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer

from helpers import small_records
from helpers.processes import run_python
from mar.errors import InputError
from mar.records import storage
from mar.records.reader import RecordReader
from mar.records.verify import verify

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
