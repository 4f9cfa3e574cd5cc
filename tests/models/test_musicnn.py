import zipfile

import librosa
import numpy as np
import pytest
import tensorflow as tf

from helpers.signals import music, write
from mar.errors import InputError
from mar.models import musicnn
from mar.models.musicnn import CHECKPOINTS, FRAMES, MELS, MusiCNN


@pytest.fixture(scope="module")
def wheel():
    try:
        return musicnn.fetch_wheel()
    except InputError as error:
        pytest.skip(f"needs the wheel musicnn: {error}")


def original(wheel, checkpoint, patches):
    """Tags and embeddings from the graph in the wheel's own `.meta` file."""
    with zipfile.ZipFile(wheel) as archive:
        meta = tf.compat.v1.MetaGraphDef.FromString(archive.read(f"musicnn/{checkpoint}/.meta"))
    outputs = ["model/Sigmoid", "model/batch_normalization_10/batchnorm/add_1"]
    # The nodes that trained it cannot be imported any more.
    graph_def = tf.compat.v1.graph_util.extract_sub_graph(meta.graph_def, outputs)
    arrays = musicnn.read_checkpoint(wheel, checkpoint)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        names = {operation.name for operation in graph.get_operations()}
        feed = {
            f"{name}/read:0": value for name, value in arrays.items() if f"{name}/read" in names
        }
        feed |= {"model/Placeholder:0": patches, "model/Placeholder_2:0": False}
        with tf.compat.v1.Session() as session:
            return session.run([f"{output}:0" for output in outputs], feed)


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_outputs_are_those_of_the_original_graph(wheel, checkpoint):
    generator = np.random.default_rng(0)
    patches = np.abs(generator.standard_normal((4, FRAMES, MELS))).astype(np.float32)
    patches[1] *= np.linspace(0, 2, MELS, dtype=np.float32)
    patches[2] = 0
    patches[3, ::20] += 2
    found = MusiCNN(checkpoint, wheel).model(patches)
    for ours, theirs in zip(found, original(wheel, checkpoint, patches), strict=True):
        np.testing.assert_allclose(np.asarray(ours), theirs, rtol=1e-4, atol=1e-5)


def test_every_weight_of_the_checkpoint_is_used(wheel):
    arrays = musicnn.read_checkpoint(wheel, "MTT_musicnn")
    model = musicnn.build()
    used = {f"{layer.name}/{v.name}": v.shape for layer in model.layers for v in layer.weights}
    expected = {name: value.shape for name, value in arrays.items() if "power" not in name}
    assert used == expected


def test_the_front_end_is_librosas_as_the_wheel_calls_it(wheel):
    waveform = music(seconds=4.0, sample_rate=16000, channels=1)[:, 0]
    power = librosa.feature.melspectrogram(
        y=waveform, sr=16000, hop_length=256, n_fft=512, n_mels=96, pad_mode="reflect"
    )
    expected = np.log10(10000 * power + 1).T
    found = np.asarray(MusiCNN("MTT_musicnn", wheel).front_end.log_mel(waveform))
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_a_file_is_tagged_every_three_seconds(wheel, tmp_path):
    network = MusiCNN("MSD_musicnn", wheel)
    path = write(tmp_path / "x.flac", "flac", music(seconds=10.0), 44100)
    tags, embeddings = network(path)
    assert tags.shape == (3, 50)
    assert embeddings.shape == (3, 200)
    assert len(set(network.tags)) == 50
    assert (tags >= 0).all()
    assert (tags <= 1).all()
    short = write(tmp_path / "y.flac", "flac", music(seconds=2.9), 44100)
    with pytest.raises(InputError, match="y.flac: expected at least 3 s of audio"):
        network(short)


def test_what_is_not_in_the_wheel_is_refused(wheel, tmp_path):
    with pytest.raises(InputError, match="expected one of MusiCNN's checkpoints"):
        MusiCNN("MSD_musicnn_big", wheel)
    (tmp_path / "x.whl").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"expected the wheel musicnn-0.1.0"):
        MusiCNN("MTT_musicnn", tmp_path / "x.whl")
