"""Files that are damaged, foreign or for other machines."""

import logging
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest

import mar
from helpers.exported import mono, small_file, write
from mar.errors import InputError
from mar.onnx import exporting, runtime
from mar.onnx.metadata import SCHEMA
from mar.onnx.runtime import ExportedNetwork


@pytest.fixture
def file(tmp_path):
    return shutil.copy(small_file()[1], tmp_path / "model.onnx")


def loaded(path):
    """As another program has it, which removes the checksum of what it changes."""
    model = onnx.load(path)
    assert model.metadata_props.pop().key == "crc32c"
    return model


def changed(path, change):
    model = loaded(path)
    change(model)
    onnx.save(model, path)
    return path


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.onnx.*no such file.*mar export"):
        mar.Embedder(tmp_path / "nothing.onnx")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_truncated_file(file, share):
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"model\.onnx.*expected a whole file of mar export"):
        mar.Embedder(file)


def test_one_bit_anywhere_is_noticed(file):
    content = bytearray(file.read_bytes())
    for place in np.linspace(0, len(content) - 1, 30, dtype=int):
        content[place] ^= 16
        file.write_bytes(content)
        with pytest.raises(InputError, match="model.onnx"):
            ExportedNetwork(file)
        content[place] ^= 16


def outside_entries(graph):
    """What arrays of a graph, and of those within it, say of where they lie."""
    for array in graph.initializer:
        yield from array.external_data
    for node in graph.node:
        for attribute in node.attribute:
            yield from outside_entries(attribute.g)


@pytest.mark.parametrize("place", ["../model.data", "/tmp/model.data", "a/../../model.data"])
def test_data_in_another_folder_are_not_read(file, place):
    model = loaded(file)
    outside = {"save_as_external_data": True, "location": "model.data", "size_threshold": 100}
    onnx.save_model(model, file, **outside)
    shutil.move(file.parent / "model.data", file.parent.parent / "model.data")
    model = onnx.load(file, load_external_data=False)
    for entry in outside_entries(model.graph):
        entry.value = place if entry.key == "location" else entry.value
    onnx.save(model, file)
    with pytest.raises(InputError, match=r"model\.onnx.*beside it.*model\.data"):
        ExportedNetwork(file)


def test_a_file_of_another_program(file):
    changed(file, lambda model: model.ClearField("metadata_props"))
    with pytest.raises(InputError, match=r"model\.onnx.*front_end.*got none"):
        mar.Embedder(file)


def test_a_file_of_a_newer_version(file):
    def newer(model):
        for entry in model.metadata_props:
            if entry.key == "schema":
                entry.value = str(SCHEMA + 1)

    with pytest.raises(InputError, match=rf"schema {SCHEMA} or earlier, got {SCHEMA + 1}"):
        mar.Embedder(changed(file, newer))


def test_an_opset_that_this_runtime_does_not_know(file):
    def newer(model):
        model.opset_import[0].version = 9999

    with pytest.raises(InputError, match=onnxruntime.__version__):
        mar.Embedder(changed(file, newer))


def test_data_beside_the_file_that_is_gone(file):
    model = loaded(file)
    outside = {"save_as_external_data": True, "location": "model.data", "size_threshold": 100}
    onnx.save_model(model, file, **outside)
    assert mar.Embedder(file).dimensions
    (file.parent / "model.data").unlink()
    with pytest.raises(InputError, match=r"model\.onnx.*beside it"):
        mar.Embedder(file)


def test_embeddings_of_another_front_end_are_refused(file, tmp_path):
    """A catalogue that was begun with the file is not continued with one of another front end."""

    def other(model):
        for entry in model.metadata_props:
            if entry.key == "front_end":
                entry.value = entry.value.replace('"level": 0.5', '"level": 0.7')

    import soundfile

    soundfile.write(tmp_path / "a.wav", mono(4.0), 16000)
    mar.Embedder(file).embed_folder(tmp_path / "a.wav", tmp_path / "store")
    with pytest.raises(InputError, match=r"level 0\.5.*level 0\.7"):
        mar.Embedder(changed(file, other)).embed_folder(tmp_path / "a.wav", tmp_path / "store")


def test_a_provider_that_does_not_load_is_said_once(file, monkeypatch, caplog):
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    runtime._warn_once.cache_clear()
    with caplog.at_level(logging.WARNING, "mar"), pytest.warns(UserWarning, match="CUDA"):
        first, second = mar.Embedder(file), mar.Embedder(file)
    (record,) = [record for record in caplog.records if record.name.startswith("mar")]
    assert "CUDAExecutionProvider" in record.getMessage()
    assert "CPU" in record.getMessage()
    samples = mono(4.0)
    np.testing.assert_array_equal(first(samples, 16000).values, second(samples, 16000).values)


def test_samples_that_are_not_finite(file):
    samples = mono(4.0)
    samples[1000] = np.nan
    with pytest.raises(InputError, match="NaN"):
        mar.Embedder(file)(samples, 16000)


def test_a_processor_without_products_of_bytes_is_said_once(tmp_path, monkeypatch, caplog):
    """Of such a processor only its list of features is at hand."""
    processor, path = tmp_path / "cpuinfo", tmp_path / "small.int8.onnx"
    write(exporting.Plan(small_file()[0]), path, "int8")
    monkeypatch.setattr(runtime, "_PROCESSOR", processor)
    for flags, said in (("avx2 avx512f", 1), ("avx2 avx_vnni", 0)):
        processor.write_text(f"flags\t\t: fpu {flags}\n")
        runtime._warn_once.cache_clear()
        caplog.clear()
        with caplog.at_level(logging.WARNING, "mar"):
            embedders = [mar.Embedder(path), mar.Embedder(path)]
        assert sum("VNNI" in record.getMessage() for record in caplog.records) == said
        assert embedders[0](mono(4.0), 16000).values.shape == (2, embedders[0].dimensions)


def test_one_sample(file):
    """It is followed by silence."""
    embedded = mar.Embedder(file)(np.ones(1, np.float32), 16000)
    assert embedded.padded
    np.testing.assert_array_equal(
        embedded.values, mar.Embedder(file)(np.r_[1, np.zeros(9)].astype(np.float32), 16000).values
    )
