import pickle

import keras
import librosa
import numpy as np
import pytest
import soundfile
from keras import ops

from helpers import published
from helpers.signals import music, write
from mar.audio import decode
from mar.audio.logmel import PUBLISHED, LogMel, standardize
from mar.errors import ConfigError

RATE = 16000


def librosa_log_mel(samples, power=2.0, norm=2.0, htk=True):
    mel = librosa.feature.melspectrogram(
        y=samples,
        sr=RATE,
        n_fft=2048,
        win_length=400,
        hop_length=160,
        pad_mode="reflect",
        power=power,
        n_mels=96,
        fmin=0.0,
        fmax=8000.0,
        htk=htk,
        norm=norm,
    )
    return np.log10(10000 * mel + 1).T


def signals():
    rng = np.random.default_rng(0)
    time = np.arange(4 * RATE) / RATE
    return {
        "music": music(8.0, RATE, 1)[:, 0],
        "silence": np.zeros(RATE, np.float32),
        "full-scale noise": rng.uniform(-1, 1, 4 * RATE).astype(np.float32),
        "full-scale square": np.sign(np.sin(2 * np.pi * 440 * time)).astype(np.float32),
        "full-scale sine": np.sin(2 * np.pi * 1000 * time).astype(np.float32),
        "impulse": np.eye(1, RATE, 5000, dtype=np.float32)[0],
        "barely long enough": music(1.0, RATE, 1)[:1025, 0],
    }


@pytest.mark.parametrize("name", signals())
def test_agrees_with_librosa(name):
    samples = signals()[name]
    ours = ops.convert_to_numpy(LogMel().log_mel(samples))
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, librosa_log_mel(samples), atol=1e-4)


@pytest.mark.parametrize(
    "parameters", [{"power": 1.0}, {"norm": "slaney"}, {"norm": None}, {"htk": False}]
)
def test_other_parameters_agree_with_librosa(parameters):
    samples = signals()["music"]
    ours = ops.convert_to_numpy(LogMel(**parameters).log_mel(samples))
    np.testing.assert_allclose(ours, librosa_log_mel(samples, **parameters), atol=1e-4)


def test_compressions():
    samples = signals()["music"]
    linear = ops.convert_to_numpy(LogMel(mag_compression="linear").log_mel(samples))
    floored = np.maximum(linear, 1e-10)
    for name, expected in {
        "10log10": 10 * np.log10(floored),
        "log": np.log(floored),
        "log10_nonneg": np.log10(10000 * linear + 1),
    }.items():
        ours = ops.convert_to_numpy(LogMel(mag_compression=name).log_mel(samples))
        np.testing.assert_allclose(ours, expected, atol=1e-4)
    clipped = ops.convert_to_numpy(LogMel(mag_range=[1, 2]).log_mel(samples))
    full = ops.convert_to_numpy(LogMel().log_mel(samples))
    np.testing.assert_allclose(clipped, np.clip(full, 1, 2), atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 159, 160, 200, 201, 399, 401, 1600, 160_000, 320_123])
@pytest.mark.parametrize("block", [7, 1000, 160_000])
def test_streamed_frames_are_those_of_the_whole(length, block):
    if length // block > 5000:
        pytest.skip("the same with fewer blocks is enough")
    samples = music(length / RATE, RATE, 1, seed=length)[:, 0]
    front_end = LogMel()
    whole = ops.convert_to_numpy(front_end.log_mel(samples))
    blocks = [samples[at : at + block] for at in range(0, length, block)]
    streamed = list(front_end.stream_blocks(iter(blocks)))
    assert len(whole) == 1 + length // 160
    assert max(map(len, streamed)) <= 1000
    # Of one value alone, weak bands are what rounding leaves of a strong one.
    atol = 1e-4 if length < 3 else 5e-6
    np.testing.assert_allclose(np.concatenate(streamed), whole, atol=atol)


def test_short_audio_is_reflected_as_numpy_does():
    samples = music(1.0, RATE, 1)[:, 0]
    for length in (1, 2, 3, 50, 199, 200):
        padded = np.pad(samples[:length], 1024, mode="reflect")
        expected = librosa.stft(padded, n_fft=2048, win_length=400, hop_length=160, center=False)
        ours = LogMel(mag_compression="linear").log_mel(samples[:length])
        mel = librosa.filters.mel(sr=RATE, n_fft=2048, n_mels=96, fmin=0, htk=True, norm=2.0)
        np.testing.assert_allclose(
            ops.convert_to_numpy(ours), (mel @ np.abs(expected) ** 2).T, rtol=1e-3, atol=1e-6
        )


def test_batches_and_levels():
    batch = np.stack([signals()["full-scale noise"], signals()["full-scale square"]])
    front_end = LogMel()
    together = ops.convert_to_numpy(front_end.log_mel(batch))
    for row, samples in zip(together, batch, strict=True):
        np.testing.assert_allclose(row, front_end.log_mel(samples), atol=1e-6)
    half = ops.convert_to_numpy(LogMel(level=0.5).log_mel(batch))
    np.testing.assert_allclose(half, front_end.log_mel(0.5 * batch), atol=1e-6)


def test_files_by_stream_and_by_array(tmp_path):
    samples = music(12.0, 48000, 2)
    path = write(tmp_path / "a.wav", "float.wav", samples, 48000)
    front_end = LogMel(downmix="sum", level=0.5)
    mono = np.concatenate(list(decode.blocks(path, RATE)))
    expected = ops.convert_to_numpy(LogMel().log_mel(mono))  # half the sum is the mean
    np.testing.assert_allclose(front_end.read(path), expected, atol=1e-4)
    assert all(len(block) <= 1000 for block in front_end.stream(path))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="needs TensorFlow")
def test_unknown_length_inside_a_graph():
    import tensorflow as tf

    front_end = LogMel()
    traces = []

    @tf.function(input_signature=[tf.TensorSpec([None, None])])
    def graph(waveforms):
        traces.append(1)
        return front_end.log_mel(waveforms)

    for length in (1, 150, 4000, 20_011):
        batch = music(length / RATE, RATE, 2, seed=1).T
        np.testing.assert_allclose(graph(batch), front_end.log_mel(batch), atol=2e-6)
    assert len(traces) == 1


@pytest.mark.parametrize("mag_compression", ["log10_nonneg", "10log10", "log", "linear"])
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_streams_are_what_graphs_compute(mag_compression, power):
    """NumPy and `keras.ops`, also of other windows, and clipped."""
    front_end = LogMel(
        mag_compression=mag_compression, power=power, window="hamming", mag_range=[-70, 3]
    )
    samples = signals()["music"]
    whole = ops.convert_to_numpy(front_end.log_mel(samples))
    (streamed,) = front_end.stream_blocks([samples])
    assert streamed.dtype == np.float32
    np.testing.assert_allclose(streamed, whole, rtol=1e-5, atol=5e-6)


def test_standardize():
    rng = np.random.default_rng(0)
    logmel = rng.uniform(0, 3, (4, 50, 96)).astype(np.float16)
    logmel[1] = 2.0  # silence of any level
    logmel[2] = logmel[2] * np.float16(1e-3)
    out = ops.convert_to_numpy(standardize(logmel))
    assert out.shape == (4, 96, 50, 1)
    assert out.dtype == np.float32
    plain = logmel.astype(np.float64)
    mean, std = plain.mean((1, 2), keepdims=True), plain.std((1, 2), keepdims=True)
    expected = ((plain - mean) / np.maximum(std, 0.01)).transpose(0, 2, 1)[..., None]
    np.testing.assert_allclose(out, expected, atol=1e-4)
    assert np.abs(out[2]).max() < 0.2


def test_wrong_settings():
    with pytest.raises(ConfigError, match="win_length: expected at most n_fft = 256, got 400"):
        LogMel(n_fft=256)
    with pytest.raises(ConfigError, match="mag_range: expected a list of 2 float"):
        LogMel(mag_range=[1.0])
    with pytest.raises(ConfigError, match="mag_compression"):
        LogMel(mag_compression="dB")


def test_goes_to_other_processes():
    front_end = LogMel(level=0.5)
    list(front_end.stream_blocks([np.zeros(100, np.float32)]))
    assert pickle.loads(pickle.dumps(front_end)).hash() == front_end.hash()


@pytest.mark.parametrize(
    ("name", "inside", "at_the_start"),
    [
        ("mono44", 3e-3, 3e-3),
        ("stereo44", 3e-3, 3e-3),
        ("mono48", 0.02, 0.3),  # its way from 48 to 44.1 kHz was not ours
        ("stereo48", 0.02, 0.3),
    ],
)
def test_published_log_mel(signals, name, inside, at_the_start):
    expected = published.output(name, "logmel")
    ours = PUBLISHED.read(signals / f"{name}.wav")
    assert ours.shape == (799, 96)
    difference = np.abs(ours[: len(expected)] - expected)
    assert difference[5:].max() < inside
    assert difference.max() < at_the_start


def test_recording_survives_a_file(tmp_path):
    """A file of a minute streams as its samples do at once."""
    samples = music(61.3, 22050, 1)
    soundfile.write(tmp_path / "a.flac", samples, 22050)
    front_end = LogMel()
    mono = np.concatenate(list(decode.blocks(tmp_path / "a.flac", RATE)))
    np.testing.assert_allclose(
        front_end.read(tmp_path / "a.flac"), front_end.log_mel(mono), atol=5e-6
    )
