import pathlib
import re

import numpy as np
import pytest
import soundfile

import mar
from helpers.exported import mono, small_file, write
from helpers.processes import run_python
from mar.embedding.catalogue import Catalogue
from mar.errors import InputError
from mar.onnx import exporting
from mar.onnx.runtime import ExportedNetwork


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "small.keras"
    mar.save(small_file()[0], path)
    return path


def test_the_command_writes_what_it_has_compared(model, tmp_path):
    (tmp_path / "music").mkdir()
    soundfile.write(tmp_path / "music" / "a.wav", mono(7.0), 16000)
    output = tmp_path / "small.onnx"
    process = run_python(
        *("-m", "mar.export", "--model", model, "--output", output, "--licence", "CC0"),
        *("--audio", tmp_path / "music", "--set", "Windows.hop_seconds=1"),
    )
    assert process.returncode == 0, process.stderr
    assert re.search(r"7 windows: cosine at least 1\.0000000", process.stdout)
    difference = float(re.search(r"difference (\S+) of", process.stdout)[1])
    assert difference <= exporting.FLOAT32_DIFFERENCE
    about = ExportedNetwork(output).about
    assert about.licence == "CC0"
    assert about.windows == mar.Windows(hop_seconds=1.0).resolved()
    assert about.origin["model"] == str(model)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["music", "small.onnx"]


def test_a_catalogue_is_embedded_with_the_windows_of_the_file(tmp_path):
    """Unless others are asked for."""
    windows = mar.Windows(hop_seconds=1.0, first_centre_seconds=1.5)
    path = write(exporting.Plan(small_file()[0], windows), tmp_path / "small.onnx")
    soundfile.write(tmp_path / "a.wav", mono(7.0), 16000)
    for flags, expected in (((), (1.0, 1.5)), (("--set", "Windows.hop_seconds=2"), (2.0, 1.5))):
        output = tmp_path / f"out {len(flags)}"
        command = ("-m", "mar.embed", "--model", path, "--output", output, *flags)
        process = run_python(*command, tmp_path / "a.wav")
        assert process.returncode == 0, process.stderr
        made = mar.Embeddings(output).provenance
        assert (made["hop_seconds"], made["first_centre_seconds"]) == expected
    assert Catalogue.of_model(path, None).windows == windows
    assert Catalogue.of_model(path, "timeline").windows == mar.Windows()
    assert Catalogue.of_model("mule", None).windows == mar.Windows()
    for given in (["Catalogue.windows={Windows: {hop_seconds: 3}}"], ["Windows.hop_seconds=3"]):
        assert Catalogue.of_model(path, None, given).windows.hop_seconds == 3.0


def test_a_saved_model(model, tmp_path):
    plan = exporting.Plan(mar.load_model(model))
    agreement = exporting.write_saved_model(plan, tmp_path / "served")
    assert agreement.difference <= exporting.FLOAT32_DIFFERENCE
    assert (tmp_path / "served" / "saved_model.pb").exists()
    with pytest.raises(InputError, match="exists already"):
        exporting.write_saved_model(plan, tmp_path / "served")


@pytest.mark.parametrize(
    "write",
    [
        exporting.write_onnx,
        pytest.param(exporting.write_saved_model, marks=pytest.mark.slow),
    ],
)
def test_what_disagrees_is_not_written(monkeypatch, tmp_path, write):
    right = exporting.original
    monkeypatch.setattr(exporting, "original", lambda *arguments: right(*arguments) * 1.001)
    with pytest.raises(InputError, match=r"not written.*largest difference 1\.0e-03"):
        write(exporting.Plan(small_file()[0]), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--output", "model.bin"], r"--output.*\.onnx.*model\.bin"),
        (["--output", "nowhere/model.onnx"], "nowhere"),
        (["--output", "m.onnx", "song.mp3"], r"song\.mp3"),
        (["--format", "saved_model", "--head", "h", "--output", "m"], "--head"),
        (["--model", "nothing.keras", "--output", "m.onnx"], r"nothing\.keras"),
    ],
)
def test_flags_that_cannot_be_meant(tmp_path, arguments, expected):
    process = run_python("-m", "mar.export", *arguments, cwd=tmp_path)
    assert process.returncode == 1
    assert re.search(expected, process.stderr)
    assert "Traceback" not in process.stderr


def test_agreement_counts_what_a_common_part_hides():
    rng = np.random.default_rng(0)
    varying, common = rng.normal(size=(50, 20)), 100 * rng.normal(size=20)
    other = common + rng.normal(size=(50, 20))
    agreement = exporting.Agreement.of(other, common + varying)
    assert agreement.cosine > 0.999
    assert abs(agreement.centred) < 0.2
    assert exporting.Agreement.of(varying, varying).centred == pytest.approx(1)


def test_the_example(tmp_path):
    """It needs nothing of ours."""
    soundfile.write(tmp_path / "a.wav", mono(7.0), 16000)
    example = pathlib.Path(__file__).parents[2] / "examples" / "onnx_embed.py"
    process = run_python(example, small_file()[1], tmp_path / "a.wav")
    assert process.returncode == 0, process.stderr
    expected = mar.Embedder(small_file()[1])(mono(7.0), 16000).mean
    found = np.load(tmp_path / "a.wav.npy")
    assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()  # 16 bits
