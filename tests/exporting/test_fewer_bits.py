"""int8 and float16: what is measured, what is refused, and how it is told apart."""

import numpy as np
import pytest
import soundfile

import mar
from helpers.exported import mono, small_file
from mar.errors import ConfigError, InputError
from mar.onnx import exporting, quantization
from mar.onnx.agreement import Agreement


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """Four files of different music."""
    folder = tmp_path_factory.mktemp("music")
    paths = [folder / f"{number}.wav" for number in range(4)]
    for number, path in enumerate(paths):
        soundfile.write(path, mono(9.0, seed=number), 16000)
    return paths


@pytest.fixture(scope="module")
def plan():
    return exporting.Plan(small_file()[0])


def test_the_work_of_convolutions(plan):
    work = quantization.work_of(exporting.network_file(plan))
    assert sum(work.values()) == pytest.approx(1)
    assert len(work) == 72  # 8 in the stems, 8 in fusions, 8 blocks of 4, 8 shortcuts, 16 gates
    groups = quantization.grouped(work, 4)
    shares = [sum(work[name] for name in group) for group in groups]
    assert 3 <= len(groups) <= 4
    assert max(shares) < 0.5
    considered = [name for group in groups for name in group]
    assert considered == [name for name in work if work[name] >= quantization.LITTLE_WORK]


def test_layers_go_back_to_float_until_it_is_enough(plan, music):
    network = exporting.network_file(plan)
    halves = exporting.halves(exporting.waveforms(music, plan.log_mel))
    calibration, held_out = (exporting.snippets_of(plan, half) for half in halves)
    assert not set(map(bytes, calibration)) & set(map(bytes, held_out))
    choices = list(
        quantization.choices(network, calibration, held_out, lambda each: each.work < 0.5)
    )
    work = [choice.work for choice in choices]
    assert work == sorted(work, reverse=True)
    assert work[-1] < 0.5 <= work[-2]
    assert choices[-1].centred > choices[0].centred
    for choice in choices[::2]:  # the figure is that of the network which is handed over
        embeddings, _ = quantization.timed(choice.network, held_out)
        reference, _ = quantization.timed(network, held_out)
        assert Agreement.of(embeddings, reference).centred == pytest.approx(choice.centred)


def test_an_int8_file(plan, music, tmp_path):
    path = tmp_path / "small.int8.onnx"
    agreement = exporting.write_onnx(plan, path, music, "int8", least=0.5)
    assert 0.5 <= agreement.centred < 1
    embedder = mar.Embedder(path, precision="int8")
    found, original = embedder(mono(9.0), 16000), mar.Embedder(small_file()[0])(mono(9.0), 16000)
    assert Agreement.of(found.values, original.values).cosine > 0.9
    assert found.provenance["precision"] == "int8"
    assert found.provenance["model"] == original.provenance["model"]
    assert found.provenance["quantization"]


def test_int8_that_disagrees_is_refused(plan, music, tmp_path):
    with pytest.raises(InputError, match=r"not written.*int8.*at least 1\.0.*--least_centred"):
        exporting.write_onnx(plan, tmp_path / "a.onnx", music, "int8", least=1.0)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match=r"int8.*--audio"):
        exporting.write_onnx(plan, tmp_path / "a.onnx", (), "int8")


def test_precisions_are_not_mixed_in_a_catalogue(plan, music, tmp_path):
    float16, store = tmp_path / "small.float16.onnx", tmp_path / "store"
    agreement = exporting.write_onnx(plan, float16, precision="float16")
    assert agreement.centred > 0.999
    saved = small_file()[1].stat().st_size - float16.stat().st_size
    assert saved > 1.5 * small_file()[0].count_params()  # two bytes each
    mar.Embedder(small_file()[1]).embed_folder(music[:1], store)
    with pytest.raises(InputError, match=r"precision: float32 there, float16 here"):
        mar.Embedder(float16).embed_folder(music[:2], store)


def test_int8_of_a_model_that_was_not_exported_names_the_command():
    with pytest.raises(ConfigError, match=r"int8.*mar export --precision int8"):
        mar.Embedder(small_file()[0], precision="int8")


def test_another_calibration_is_another_quantisation(plan, music, tmp_path):
    made = []
    for number, audio in enumerate((music[:2], music[2:])):
        path = tmp_path / f"{number}.onnx"
        exporting.write_onnx(plan, path, audio, "int8", least=-1.0)
        made.append(mar.Embedder(path).provenance["quantization"])
    assert made[0] != made[1]


def test_one_file_is_divided_into_halves():
    samples = np.arange(10.0)
    calibration, held_out = exporting.halves([samples])
    np.testing.assert_array_equal(np.concatenate([*calibration, *held_out]), samples)
