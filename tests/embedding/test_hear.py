"""What the HEAR 2021 kit demands of a module, checked as the API's page words it."""

import numpy as np
import pytest
import soundfile
import tensorflow as tf

import mar
from helpers.networks import plain_network
from helpers.signals import music
from mar.embedding import hear

RATE = 16000


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    mar.save(plain_network(), path)
    return hear.load_model(str(path))


def sounds(number, seconds):
    return tf.constant(np.stack([music(seconds, RATE, 1, seed)[:, 0] for seed in range(number)]))


def test_the_model_object(model):
    assert isinstance(model, tf.Module)
    assert model.sample_rate in (16000, 22050, 32000, 44100, 48000)
    assert type(model.sample_rate) is int
    assert type(model.scene_embedding_size) is int
    assert type(model.timestamp_embedding_size) is int


@pytest.mark.parametrize("seconds", [0.5, 3.74, 7.0])
def test_scene_embeddings(model, seconds):
    audio = sounds(5, seconds)
    embeddings = hear.get_scene_embeddings(audio, model)
    assert isinstance(embeddings, tf.Tensor)
    assert embeddings.dtype == tf.float32
    assert embeddings.shape == (5, model.scene_embedding_size)
    for sound, embedding in zip(audio.numpy(), embeddings.numpy(), strict=True):
        expected = mar.Embedder(model.representation)(sound, RATE).mean
        assert np.abs(embedding - expected).max() <= 1e-5 * np.abs(expected).max()


def test_scene_embeddings_of_other_windows(tmp_path):
    """NSynth's four windows of a second, and one of four."""
    mar.save(plain_network(frames=None), tmp_path / "model.keras")
    audio = sounds(2, 4.0)
    for windows in (
        mar.Windows(window_seconds=1.0, hop_seconds=1.0, first_centre_seconds=0.5),
        mar.Windows(window_seconds=4.0, hop_seconds=4.0, first_centre_seconds=2.0),
    ):
        model = hear.load_model(str(tmp_path / "model.keras"), windows)
        expected = [mar.Embedder(model.representation)(sound, RATE).mean for sound in audio.numpy()]
        scenes = hear.get_scene_embeddings(audio, model)
        np.testing.assert_allclose(scenes, expected, rtol=1e-5, atol=1e-6)
        assert model.representation.windows.length == round(100 * windows.window_seconds)


@pytest.mark.parametrize("seconds", [0.51, 2.0])
def test_timestamp_embeddings(model, seconds):
    audio = sounds(3, seconds)
    embeddings, timestamps = hear.get_timestamp_embeddings(audio, model)
    assert isinstance(embeddings, tf.Tensor)
    assert isinstance(timestamps, tf.Tensor)
    assert (embeddings.dtype, timestamps.dtype) == (tf.float32, tf.float32)
    assert embeddings.shape[:2] == timestamps.shape
    assert embeddings.shape[::2] == (3, model.timestamp_embedding_size)
    gaps = np.diff(timestamps.numpy(), axis=1)
    assert np.abs(gaps - gaps.mean()).max() < 1e-3  # milliseconds
    assert gaps.mean() <= 50
    assert timestamps.numpy()[:, 0].max() == 0
    last = timestamps.numpy()[:, -1]
    assert ((last < 1000 * seconds) & (last >= 1000 * seconds - 50)).all()


def test_a_timestamp_is_the_centre_of_what_is_embedded(model):
    """The same sound later gives the same embeddings later."""
    sound = music(1.0, RATE, 1)[:, 0]
    early = np.concatenate([np.zeros(8000), sound, np.zeros(24000)])
    late = np.concatenate([np.zeros(24000), sound, np.zeros(8000)])
    audio = tf.constant(np.stack([early, late]), tf.float32)
    (early, late), timestamps = hear.get_timestamp_embeddings(audio, model)
    shift = int(np.searchsorted(timestamps[0], 1000.0))
    np.testing.assert_allclose(late[shift:], early[: len(late) - shift], rtol=1e-3, atol=1e-4)
    middle = int(np.searchsorted(timestamps[0], 1500.0))
    log_mel = mar.LogMel().log_mel(np.pad(audio[0], RATE * 3 // 2))[150 : 150 + 300]
    expected = model.representation.network(np.asarray(log_mel)[None])[0]
    np.testing.assert_allclose(early[middle], expected, rtol=1e-3, atol=1e-4)


def test_the_number_of_sounds_does_not_matter(model):
    audio = sounds(3, 1.0)
    together = hear.get_timestamp_embeddings(audio, model)[0].numpy()
    alone = hear.get_timestamp_embeddings(audio[1:2], model)[0].numpy()[0]
    assert np.abs(together[1] - alone).max() <= 1e-5 * np.abs(alone).max()


def test_other_audio_is_refused(model, tmp_path):
    soundfile.write(tmp_path / "a.wav", music(1.0), RATE)
    with pytest.raises(ValueError, match=r"\(sounds, samples\). Received: shape=\(16000,\)"):
        hear.get_scene_embeddings(sounds(1, 1.0)[0], model)
