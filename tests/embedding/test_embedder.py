import numpy as np
import pytest
import soundfile

import mar
from helpers import published, published_pipeline
from helpers.networks import plain_network
from helpers.processes import run_python
from helpers.published_pipeline import agreement
from helpers.signals import FORMATS, music, write
from mar.audio.isolated import IsolatedDecoder
from mar.errors import ConfigError, InputError

RATE = 16000


@pytest.fixture(scope="module")
def model():
    """Weights of its own, with the published front end."""
    from mar.audio.logmel import PUBLISHED

    return plain_network(300, PUBLISHED)


@pytest.fixture(scope="module")
def embedder(model):
    return mar.Embedder(model)


@pytest.fixture(scope="module")
def mule(golden_model):
    return mar.Embedder(golden_model)


@pytest.mark.parametrize("name", published.NAMES)
def test_golden_weights_give_the_published_timelines(mule, signals, name):
    expected = published.output(name, "timeline")
    found = mule(signals / f"{name}.wav")
    assert found.values.shape == expected.shape
    plain, centred = agreement(found.values, expected)
    assert plain >= 0.99999
    assert centred >= 0.99999
    np.testing.assert_allclose(found.times, [2, 4, 6])


def formats_and_channels():
    """Every format with one channel or two; with the other number it is slow."""
    for number, name in enumerate(sorted({*FORMATS} - {"wma", "aac", "mkv"})):
        for channels in (1, 2):
            marks = [pytest.mark.slow] if (number + channels) % 2 else []
            yield pytest.param(name, channels, marks=marks)


@pytest.mark.parametrize(("name", "channels"), list(formats_and_channels()))
def test_every_format_gives_what_the_published_program_does(
    embedder, model, tmp_path, name, channels
):
    """Loud music, whose lossy copies exceed full scale."""
    rate = 48000 if name == "opus" else 44100
    path = write(tmp_path / f"song.{name}", name, music(9.0, rate, channels), rate)
    plain, centred = agreement(embedder(path).values, published_pipeline.timeline(model, path))
    assert plain >= 0.9995
    assert centred >= 0.98


@pytest.mark.parametrize("rate", [22050, 32000, 96000])
def test_every_rate_gives_what_the_published_program_does(embedder, model, tmp_path, rate):
    """Below 16 kHz it does not: the published program left images above the file's bandwidth."""
    soundfile.write(tmp_path / "song.wav", music(9.0, rate), rate)
    plain, centred = agreement(
        embedder(tmp_path / "song.wav").values,
        published_pipeline.timeline(model, tmp_path / "song.wav"),
    )
    assert plain >= 0.9995
    assert centred >= 0.98


def test_what_an_embedding_tells(embedder, tmp_path):
    soundfile.write(tmp_path / "song.flac", music(9.0, 22050), 22050)
    found = embedder(tmp_path / "song.flac")
    assert found.values.shape == (4, embedder.dimensions)
    assert found.values.dtype == np.float32
    np.testing.assert_allclose(found.times, [2, 4, 6, 7.51])
    assert found.mean.shape == (embedder.dimensions,)
    np.testing.assert_allclose(found.mean, found.values.mean(axis=0), rtol=1e-6)
    assert (found.sample_rate, found.padded) == (22050, False)
    assert found.duration_seconds == pytest.approx(9.0, abs=1e-3)


def test_an_array_is_embedded_as_its_file_is(embedder, tmp_path):
    samples = music(7.0, 48000)
    soundfile.write(tmp_path / "song.wav", samples, 48000, "FLOAT")
    of_file, of_array = embedder(tmp_path / "song.wav"), embedder(samples, 48000)
    np.testing.assert_allclose(of_array.values, of_file.values, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(of_array.times, of_file.times)
    mono = embedder(samples.sum(axis=1), sample_rate=48000)
    np.testing.assert_allclose(mono.values, of_file.values, rtol=1e-4, atol=1e-5)


def test_neither_batch_nor_block_size_matters(embedder, model, tmp_path, monkeypatch):
    soundfile.write(tmp_path / "song.flac", music(13.0), 44100)
    expected, opened = embedder(tmp_path / "song.flac").values, IsolatedDecoder.open

    def in_small_blocks(*arguments, **decoding):
        info, blocks = opened(*arguments, **decoding)
        return info, (piece for block in blocks for piece in np.array_split(block, 31))

    monkeypatch.setattr(IsolatedDecoder, "open", in_small_blocks)
    found = mar.Embedder(model, batch_size=2)(tmp_path / "song.flac").values
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_short_audio_is_followed_by_silence():
    embedder = mar.Embedder(plain_network())
    for samples in (1, 8000, 47_680):
        short = music(samples / RATE, RATE, 1)[:, 0]
        found = embedder(short, RATE)
        followed = embedder(np.pad(short, (0, 47_840 - samples)), RATE)
        assert (found.padded, followed.padded) == (True, False)
        assert found.duration_seconds == samples / RATE
        np.testing.assert_array_equal(found.values, followed.values)
        np.testing.assert_allclose(found.times, [1.5])


def test_windows_and_hop_are_settable(model):
    windows = mar.Windows(window_seconds=1.0, hop_seconds=0.5)
    found = mar.Embedder(model, windows)(music(4.0, RATE), RATE)
    np.testing.assert_allclose(found.times, [0.5, 1, 1.5, 2, 2.5, 3, 3.5, 3.51])


def test_unsuitable_samples_are_refused(embedder):
    good = music(4.0, RATE)
    for samples, rate, message in [
        (good, None, "need their sample_rate"),
        (good, 0, "need their sample_rate"),
        (good, np.nan, "need their sample_rate, whole Hz; got nan"),
        (good, "16000", "need their sample_rate, whole Hz; got '16000'"),
        (good * 32767, RATE, r"in ±1, got values up to \d{5}"),
        (good[:1], RATE, r"got the shape \(1, 2\)"),
        ((good * 32767).astype(np.int16), RATE, "int16; divide integers"),
        (good.T, RATE, r"or \(samples, channels\), got the shape \(2, 64000\)"),
        (good[None], RATE, r"got the shape \(1, 64000, 2\)"),
        (good[:0], RATE, r"got the shape \(0, 2\)"),
        (np.where(good > 0.5, np.nan, good), RATE, "NaN"),
    ]:
        with pytest.raises(InputError, match=message):
            embedder(samples, rate)


def test_unsuitable_settings_are_refused(model):
    for settings in ({"batch_size": 0}, {"precision": "float64"}):
        with pytest.raises(ConfigError, match="expected batch_size of at least 1 and precision"):
            mar.Embedder(model, **settings)
    with pytest.raises(ConfigError, match="Windows.window_seconds: expected a finite number"):
        mar.Windows(window_seconds=float("nan"))


def test_windows_are_an_object():
    with pytest.raises(ConfigError, match=r"mar.Embedder\(windows=mar.Windows\(window_seconds=3.0"):
        mar.Embedder(windows=3.0)


def test_an_embedding_shows_shapes_not_numbers(embedder):
    shown = repr(embedder(music(7.0, RATE), RATE))
    assert shown == ("<Embedding of 7.00 s at 16000 Hz: times (3,), values (3, 173), mean (173,)>")
    assert "padded" in repr(embedder(music(1.0, RATE), RATE))


def test_a_folder_is_embedded_from_python(embedder, tmp_path, monkeypatch):
    (tmp_path / "Music" / "b").mkdir(parents=True)
    soundfile.write(tmp_path / "Music" / "a.wav", music(5.0), 44100)
    soundfile.write(tmp_path / "Music" / "b" / "c.flac", music(6.0), 44100)
    soundfile.write(tmp_path / "song.wav", music(7.0), 44100)
    monkeypatch.setenv("HOME", str(tmp_path))
    embeddings = embedder.embed_folder("~/Music", tmp_path / "out", store="mean")
    assert embeddings.paths == ["a.wav", "b/c.flac"]
    with pytest.raises(InputError, match="store: mean there, timeline here"):
        embedder.embed_folder("~/Music", tmp_path / "out")
    inputs = ["~/Music", tmp_path / "song.wav"]
    embeddings = embedder.embed_folder(inputs, tmp_path / "lines", workers=1)
    assert embeddings.paths == ["a.wav", "b/c.flac", "song.wav"]
    expected = embedder(tmp_path / "song.wav")
    np.testing.assert_allclose(
        embeddings.timeline("song.wav"), expected.values, rtol=1e-4, atol=1e-5
    )
    shards = [embedder.embed_folder(inputs, tmp_path / "s", shard=(n, 2)) for n in range(2)]
    assert shards[1].paths == embeddings.paths


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"store": "means"}, "store: expected one of 'mean', 'timeline', got 'means'"),
        ({"format": "Parquet"}, "format: expected one of 'parquet', 'npz', got 'Parquet'"),
        ({"workers": 0}, "workers: expected at least 1, got 0"),
        ({"shard": (2, 2)}, r"shard: expected \(i, n\) with i from 0 to n - 1, got \(2, 2\)"),
        ({"shard": (-1, 2)}, r"shard: expected .*, got \(-1, 2\)"),
        ({"shard": "0/2"}, r"shard: expected .*, got '0/2'"),
    ],
)
def test_what_cannot_be_meant_of_a_folder_writes_nothing(tmp_path, settings, message):
    soundfile.write(tmp_path / "a.wav", music(4.0), 44100)
    with pytest.raises(ConfigError, match=message):
        mar.Embedder("logmel_mean").embed_folder(tmp_path / "a.wav", tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_an_embedding_that_is_not_finite_is_refused(tmp_path):
    """Samples that can be squared in no float32."""
    samples = (1e25 * music(4.0)).astype(np.float32)
    soundfile.write(tmp_path / "loud.wav", samples, 44100, "FLOAT")
    with pytest.raises(InputError, match=r"loud.wav: its embedding holds NaN or infinite values"):
        mar.Embedder("logmel_mean")(tmp_path / "loud.wav")


def test_unsuitable_files_are_refused(embedder, tmp_path):
    with pytest.raises(InputError, match="a file tells its own sample rate"):
        embedder(tmp_path / "song.mp3", RATE)
    with pytest.raises(InputError, match=r"absent.mp3: no such file"):
        embedder(tmp_path / "absent.mp3")
    (tmp_path / "text.mp3").write_text("not a song\n" * 999)
    with pytest.raises(InputError, match=r"text.mp3: not recognised"):
        embedder(str(tmp_path / "text.mp3"))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length(tmp_path):
    """Peak memory in processes of their own: an hour takes little more than a minute."""
    script = """
import resource, sys
import mar
from helpers.networks import plain_network
windows = mar.Windows(hop_seconds=60.0)
mar.Embedder(plain_network(), windows, batch_size=1)(sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
    peaks, minute = [], music(60.0, RATE, 1)
    for minutes in (1, 60):
        path = tmp_path / f"{minutes}.wav"
        with soundfile.SoundFile(path, "w", RATE, 1) as file:
            for _ in range(minutes):
                file.write(minute)
        process = run_python("-c", script, path)
        assert process.returncode == 0, process.stderr
        peaks.append(int(process.stdout))
    assert peaks[1] - peaks[0] < 100  # MB; the samples alone are 230, the log-mel 138
