import numpy as np
import pytest
import soundfile

import mar
from helpers import published, published_pipeline
from helpers.networks import plain_network
from helpers.processes import run_python
from helpers.signals import music
from mar.audio.logmel import PUBLISHED
from mar.embedding.analysis import Analysis
from mar.errors import ConfigError, InputError


@pytest.fixture(scope="module")
def location(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    mar.save(plain_network(300, PUBLISHED), path)
    return str(path)


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    path = tmp_path_factory.mktemp("song") / "song.wav"
    soundfile.write(path, music(9.0), 44100)
    return path


def pipeline(*transforms):
    return Analysis(feature_transforms=[*transforms])


def embedding(location, mel=(), **slices):
    return pipeline(
        {"MelSpectrogram": dict(mel)},
        {
            "EmbeddingFeature": {
                "model_location": location,
                "extractor": {"SliceExtractor": slices},
            }
        },
    )


def configurations():
    """Ours in the published form, and for the loops the published ones where they are had."""
    for path in published.configurations("mule*.yml"):
        marks = [] if path.is_relative_to(published.FOLDER) else [pytest.mark.slow]
        yield pytest.param(path, marks=marks, id=path.stem)


@pytest.mark.parametrize("configuration", list(configurations()))
def test_published_pipelines_run_unchanged(golden_model, signals, tmp_path, configuration):
    """As a user of the release would: in its folder, with its weights file (here, golden)."""
    folder = tmp_path / "supporting_data" / "model"
    folder.mkdir(parents=True)
    (folder / "model.keras").symlink_to(golden_model)
    process = run_python(
        *("-m", "mar.analyze", "-c", configuration),
        *("-i", signals / "stereo44.wav", "-o", tmp_path / "out.npy"),
        cwd=tmp_path,
    )
    assert process.returncode == 0, process.stderr
    found = np.load(tmp_path / "out.npy", allow_pickle=False)
    expected = published.output("stereo44", "timeline").T
    if "average" in configuration.stem:
        expected = expected.mean(axis=1, keepdims=True)
    assert (found.shape, found.dtype) == (expected.shape, np.float32)
    assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()


def test_the_same_vectors_as_the_embedders(location, song):
    timeline = embedding(location)(song)
    expected = mar.Embedder(location)(song)
    np.testing.assert_allclose(timeline.T, expected.values, rtol=1e-5, atol=1e-6)
    average = Analysis(
        feature_transforms=[
            {"MelSpectrogram": None},
            {"EmbeddingFeature": {"model_location": location}},
            {"TimelineAverage": None},
        ]
    )
    for _ in range(2):  # nothing is kept from file to file
        np.testing.assert_allclose(average(song)[:, 0], expected.mean, rtol=1e-4, atol=1e-6)


def test_shorter_pipelines(song):
    waveform = pipeline()(song)
    samples = published_pipeline.waveform(song)
    assert waveform.shape == (1, len(samples))
    np.testing.assert_allclose(waveform[0], samples, atol=1e-3)
    mel = pipeline({"MelSpectrogram": None})(song)
    np.testing.assert_allclose(mel.T, published_pipeline.log_mel(samples), atol=5e-3)
    average = pipeline({"MelSpectrogram": None}, {"TimelineAverage": None})(song)
    np.testing.assert_allclose(average, mel.mean(axis=1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_fft": 1024},
        {"hop_length": 320},
        {"win_length": 800},
        {"window": "hamming"},
        {"n_mels": 48},
        {"fmin": 100.0},
        {"fmax": 4000.0},
        {"norm": 1.0},
        {"norm": None},
        {"htk": False},
        {"power": 1.0},
        {"mag_compression": "10log10"},
        {"mag_compression": "log"},
        {"mag_compression": "linear"},
        {"mag_range": [1.0, 2.0]},
    ],
)
def test_every_parameter_of_the_spectrogram_is_obeyed(song, parameters):
    """Against a front end that is configured directly, itself compared with librosa elsewhere."""
    found = pipeline({"MelSpectrogram": parameters})(song)
    expected = PUBLISHED.replace(**parameters).read(song)
    np.testing.assert_array_equal(found, expected.T)
    default = pipeline({"MelSpectrogram": None})(song)
    assert found.shape != default.shape or np.abs(found - default).max() > 1e-3


def test_the_rate_of_the_file_is_obeyed(song):
    def mel(rate):
        source = {"AudioWaveform": {"input_file": {"AudioFile": {"sample_rate": rate}}}}
        return Analysis(source_feature=source, feature_transforms=[{"MelSpectrogram": None}])(song)

    full, narrow = (mel(rate)[:, 10:-10] for rate in (44100, 8000))  # reflection is broadband
    assert np.abs(full - narrow)[:60].max() < 0.2
    assert narrow[80:].max() < 0.1 < full[80:].max()


@pytest.mark.parametrize(
    ("look_backward", "look_forward", "hop"), [(150, 150, 100), (300, 0, 200), (20, 280, 333)]
)
def test_slices(location, song, look_backward, look_forward, hop):
    found = embedding(location, look_backward=look_backward, look_forward=look_forward, hop=hop)
    frames = PUBLISHED.read(song)
    starts = [
        min(max(centre - look_backward, 0), len(frames) - look_backward - look_forward)
        for centre in range(hop, len(frames), hop)
    ]
    from mar.embedding.network import Network

    slices = np.stack([frames[s : s + look_backward + look_forward] for s in starts])
    expected = Network(mar.load_model(location), 300)(slices)
    np.testing.assert_allclose(found(song).T, expected, rtol=1e-4, atol=1e-5)


def test_normalisation_and_softmax(location, song):
    standardised, plain = (
        embedding(location, standard_normalize=choice)(song) for choice in (True, False)
    )
    assert np.abs(standardised - plain).max() > 0.01
    softmax = pipeline(
        {"MelSpectrogram": None},
        {"EmbeddingFeature": {"model_location": location, "apply_softmax": True}},
    )(song)
    np.testing.assert_allclose(softmax.sum(axis=0), 1.0, rtol=1e-5)
    expected = np.exp(standardised) / np.exp(standardised).sum(axis=0)
    np.testing.assert_allclose(softmax, expected, rtol=1e-3)


def test_no_slice_is_lost_where_the_published_program_lost_one(location, tmp_path):
    """It dropped the one at every 8000th frame."""
    soundfile.write(tmp_path / "long.wav", music(83.0, 16000), 16000)
    found = embedding(location)(tmp_path / "long.wav")
    assert found.shape[1] == 41
    expected = mar.Embedder(location)(tmp_path / "long.wav")
    assert 80.0 in expected.times
    np.testing.assert_allclose(found.T, expected.values, rtol=1e-4, atol=1e-5)


def test_short_files_and_other_formats(location, tmp_path):
    soundfile.write(tmp_path / "short.flac", music(1.0), 44100)
    assert embedding(location)(tmp_path / "short.flac").shape == (173, 1)


def test_a_front_end_that_the_model_does_not_know_is_told(location, song, caplog):
    found = embedding(location, {"mag_compression": "log"})(song)
    assert "made with mag_compression log10_nonneg, not log" in caplog.text
    assert found.shape == (173, 4)


@pytest.mark.parametrize(
    ("transforms", "message"),
    [
        ([{"EmbeddingFeature": None}], r"of a MelSpectrogram\).*got \['EmbeddingFeature'\]"),
        ([{"EmbeddingFeature": None}, {"TimelineAverage": None}], r"of a MelSpectrogram\)"),
        ([{"TimelineAverage": None}, {"MelSpectrogram": None}], "each at most once"),
        ([{"MelSpectrogram": None}] * 2, "each at most once"),
        (
            [{"MelSpectrogram": {"extractor": {"SliceExtractor": None}}}],
            "MelSpectrogram.extractor: expected BlockExtractor, got SliceExtractor",
        ),
        (
            [
                {"MelSpectrogram": None},
                {"EmbeddingFeature": {"extractor": {"SliceExtractor": {"hop": 0}}}},
            ],
            "SliceExtractor.hop: expected at least 1, got 0",
        ),
        ([{"MelSpectrogram": {"n_ftt": 1}}], "did you mean 'n_fft'"),
    ],
)
def test_pipelines_that_cannot_be_meant_are_refused(transforms, message):
    with pytest.raises(ConfigError, match=message):
        pipeline(*transforms)


def test_what_the_command_refuses(tmp_path, song, location):
    (tmp_path / "c.yml").write_text("Analysis: {feature_transforms: [{MelSpectrogram: null}]}")

    def refused(*inputs, **flags):
        flags = {"input_file": song, "output_file": tmp_path / "out.npy", **flags}
        arguments = [f"--{name}={value}" for name, value in flags.items()] + [*inputs]
        process = run_python("-m", "mar.analyze", "--config", tmp_path / "c.yml", *arguments)
        assert process.returncode == 1
        return process.stderr

    assert "no such file" in refused(input_file=tmp_path / "absent.mp3")
    assert "expected an existing folder" in refused(output_file=tmp_path / "absent" / "out.npy")
    assert "did you mean 'MelSpectrogram'" in refused(
        set="Analysis.feature_transforms=[{MelSpectogram: null}]"
    )
    assert "--output_file: expected one input, got 2 files" in refused(tmp_path / "c.yml")
    assert not (tmp_path / "out.npy").exists()


def test_several_files_into_a_folder(tmp_path, song):
    """By either way of naming them; one that fails is named, and costs no other."""
    (tmp_path / "c.yml").write_text("Analysis: {feature_transforms: [{MelSpectrogram: null}]}")
    library = tmp_path / "library"
    (library / "album").mkdir(parents=True)
    soundfile.write(library / "album" / "song.wav", music(3.0, 16000), 16000)
    soundfile.write(library / "song.flac", music(4.0, 16000), 16000)
    (library / "broken.mp3").write_text("no song\n" * 999)
    (library / "cover.jpg").write_text("no song either")
    soundfile.write(tmp_path / "one.wav", music(5.0, 16000), 16000)
    process = run_python(
        *("-m", "mar.analyze", "-c", tmp_path / "c.yml", "-i", song, "-i", tmp_path / "one.wav"),
        *(library, "--set", "MelSpectrogram.n_mels=40", "--output_folder", tmp_path / "out"),
    )
    assert process.returncode == 2, process.stderr
    assert process.stderr.count("failed: ") == 1
    assert f"failed: {library}/broken.mp3: not recognised" in process.stderr
    found = {path.relative_to(tmp_path / "out"): path for path in (tmp_path / "out").rglob("*.*")}
    frames = {"album/song.wav": 301, "song.flac": 401, "one.wav": 501, "song.wav": 901}
    assert {str(name): np.load(path).shape for name, path in found.items()} == {
        f"{name}.npy": (40, count) for name, count in frames.items()
    }


def test_inputs_of_one_output_are_refused(tmp_path, song):
    """Such as the same name below the list's folder and below the root."""
    (tmp_path / "c.yml").write_text("Analysis: {feature_transforms: [{MelSpectrogram: null}]}")
    inside = tmp_path / "list" / str(song).lstrip("/")
    inside.parent.mkdir(parents=True)
    soundfile.write(inside, music(3.0, 16000), 16000)
    (tmp_path / "list" / "both.txt").write_text(f"{str(song).lstrip('/')}\n{song}\n")
    process = run_python(
        *("-m", "mar.analyze", "-c", tmp_path / "c.yml", tmp_path / "list" / "both.txt"),
        *("--output_folder", tmp_path / "out"),
    )
    assert process.returncode == 1
    assert f"{song} and {inside} would both be written to" in process.stderr.replace("'", "")
    assert not (tmp_path / "out").exists()


def test_a_missing_model_is_named(song, tmp_path):
    with pytest.raises(InputError, match="nowhere.keras"):
        embedding(str(tmp_path / "nowhere.keras"))(song)


def test_configuration_files_and_overrides(tmp_path, song):
    path = tmp_path / "c.yml"
    path.write_text("Analysis: {feature_transforms: [{MelSpectrogram: null}]}")
    override = "Analysis.feature_transforms.0.MelSpectrogram.n_mels=40"
    assert len(Analysis.load(path, [override])(song)) == 40
