"""int8 and float16: what is measured, what is refused, and how it is told apart."""

import numpy as np
import pytest
import soundfile
from onnx.numpy_helper import to_array

import mar
from helpers.exported import mono, small_file
from mar.embedding import files
from mar.embedding.catalogue import Catalogue
from mar.errors import ConfigError, InputError
from mar.onnx import exporting, quantization, runtime
from mar.onnx.agreement import Agreement
from mar.onnx.graph import Graph
from mar.onnx.ranges import Range
from mar.onnx.signals import signals


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
    network = exporting.network_file(plan)
    work = quantization.work_of(network)
    assert sum(work.values()) == pytest.approx(1)
    assert len(work) == 72  # 8 in the stems, 8 in fusions, 8 blocks of 4, 8 shortcuts, 16 gates
    considered = quantization.worth_it(network)
    assert {name for name in work if work[name] >= quantization.LITTLE} <= set(considered)
    groups = quantization.grouped(work, considered, 4)
    shares = [sum(work[name] for name in group) for group in groups]
    assert 3 <= len(groups) <= 4
    assert max(shares) < 0.5
    assert [name for group in groups for name in group] == considered


@pytest.mark.parametrize(("flags", "zero"), [("avx2", 128), ("avx512_vnni", 0), ("avx_vnni", 0)])
def test_weights_have_signs_where_the_processor_adds_their_products_whole(
    flags, zero, tmp_path, monkeypatch
):
    monkeypatch.setattr(runtime, "_PROCESSOR", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text(f"flags\t\t: fpu {flags}\n")
    assert quantization.weight_zero() == zero
    assert quantization.weight_zero().dtype == ("uint8" if zero else "int8")


def test_a_convolution_in_int8_is_one_of_rounded_numbers():
    """Every product of integers, as NumPy has it with 64 bits, on a processor without VNNI too."""
    graph = Graph()
    graph.input("snippets", ("n", 5, 6))
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(4, 1, 3, 3)), rng.normal(size=4)
    constants = kernel.astype(np.float32), bias.astype(np.float32)
    maps = graph("Unsqueeze", "snippets", np.array([1]))
    convolved = graph("Conv", maps, *constants, name="c", kernel_shape=[3, 3], pads=[1] * 4)
    graph.output("embedding", convolved, ("n", 4, 5, 6))
    snippets = rng.normal(size=(3, 5, 6)).astype(np.float32)
    made = quantization.Quantizer(graph.model(), snippets)(["c"])

    (x, y), values = ranges_of(made), {each.name: to_array(each) for each in made.graph.initializer}
    rounded = np.clip(np.rint(snippets / x.scale) + x.zero, 0, 255).astype(np.int64) - int(x.zero)
    padded = np.pad(rounded, [(0, 0), (1, 1), (1, 1)])
    patches = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    weights = values["c/kernel"].astype(np.int64) - values["c/kernel/zeros"][:, None, None, None]
    sums = np.einsum("nhwij,ocij->nohw", patches, weights)
    sums += values["c/bias"].astype(np.int64)[:, None, None]
    steps = (sums * values["c/bias/steps"][:, None, None] / y.scale).round() + y.zero
    expected = (np.clip(steps, 0, 255) - y.zero) * y.scale
    found, _ = quantization.timed(made, snippets)
    assert np.abs(found - expected).max() <= 1.01 * y.scale  # a half may be rounded either way
    assert np.mean(np.abs(found - expected) > 1e-5) < 0.01


def ranges_of(model):
    """Those of the graph's bytes, in its order."""
    constants = {each.name: to_array(each) for each in model.graph.initializer}
    made = [node.input[1:] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    return [Range(*(constants[name][()] for name in names)) for names in made]


def test_a_range_loses_less_than_that_of_all_values():
    rng = np.random.default_rng(0)
    values = np.append(rng.uniform(-1, 1, size=300_000), 3.0)
    chosen, entire = Range.of(values), Range.between(values.min(), values.max())
    assert chosen.loss(values) < 0.95 * entire.loss(values)
    even = np.linspace(-1, 3, 1001)
    assert Range.of(even) == pytest.approx(Range.between(-1, 3))  # nothing to clip
    assert (0 - int(Range.of(values).zero)) * Range.of(values).scale <= 0  # 0 is one of them
    assert Range.between(2.0, 3.0).zero == 0


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


def test_a_network_without_convolutions_has_no_choice():
    graph = Graph()
    graph.input("snippets", ("n", 5, 6))
    graph.output("embedding", graph("ReduceMean", "snippets", axes=[1], keepdims=0), ("n", 6))
    snippets = np.ones((3, 5, 6), np.float32)
    assert list(quantization.choices(graph.model(), snippets, snippets, lambda _: True)) == []


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


def test_signals_are_like_music_where_it_matters(plan):
    """Bounds around what `benchmarks/int8.py` printed of game music."""
    made = signals(8, 16000)
    assert [each.shape for each in made] == [(13 * 16000,)] * 8
    assert all(np.isfinite(each).all() and 0 < np.abs(each).max() <= 1 for each in made)
    np.testing.assert_array_equal(made[3], signals(4, 16000)[3])
    snippets = exporting.snippets_of(plan, made)
    mean, deviation = (getattr(snippets, of)((1, 2), keepdims=True) for of in ("mean", "std"))
    standard = (snippets - mean) / deviation
    bands = standard.mean((0, 1))
    assert bands[:24].mean() > 0.5
    assert bands[-24:].mean() < -0.5
    assert 0.3 < standard.std(axis=1).mean() < 0.6  # what is loud lasts
    assert standard.mean(axis=1).std(axis=0).mean() > 0.2  # windows differ


def test_int8_that_disagrees_is_refused(plan, music, tmp_path):
    with pytest.raises(InputError, match=r"not written.*int8.*at least 1\.0.*--least_centred"):
        exporting.write_onnx(plan, tmp_path / "a.onnx", music, "int8", least=1.0)
    assert not list(tmp_path.iterdir())


def test_embedding_in_int8_is_with_a_file_that_is_made_once(music, tmp_path, monkeypatch):
    """And the file can be used in its place."""
    monkeypatch.setenv("MAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(exporting._SIGNALS, "int8", 2)
    model, store = small_file()[0], tmp_path / "store"
    catalogue = Catalogue(precision="int8")
    catalogue.run(model, files.find(music[:1]), store)
    (made,) = (tmp_path / "cache").rglob("*.onnx")
    before = made.stat().st_mtime_ns
    catalogue.run(model, files.find(music[:2]), store)
    assert made.stat().st_mtime_ns == before
    Catalogue().run(made, files.find(music), store)
    embeddings = mar.Embeddings(store)
    assert embeddings.provenance["precision"] == "int8"
    assert len(embeddings.paths) == len(music)
    expected = mar.Embedder(model)(music[0]).mean
    assert Agreement.of(embeddings.mean(music[0].name)[None], expected[None]).cosine > 0.99


def test_precisions_are_not_mixed_in_a_catalogue(plan, music, tmp_path):
    float16, store = tmp_path / "small.float16.onnx", tmp_path / "store"
    agreement = exporting.write_onnx(plan, float16, precision="float16")
    assert agreement.centred > 0.999
    saved = small_file()[1].stat().st_size - float16.stat().st_size
    assert saved > 1.5 * small_file()[0].count_params()  # two bytes each
    mar.Embedder(small_file()[1]).embed_folder(music[:1], store)
    with pytest.raises(InputError, match=r"precision: float32 there, float16 here"):
        mar.Embedder(float16).embed_folder(music[:2], store)


def test_float16_of_one_window_is_not_refused(plan, tmp_path):
    """Without the mean of all windows, nothing would be left of one."""
    soundfile.write(tmp_path / "short.wav", mono(3.0), 16000)
    path = tmp_path / "small.float16.onnx"
    agreement = exporting.write_onnx(plan, path, [tmp_path / "short.wav"], "float16")
    assert agreement.windows == 1
    assert agreement.centred == agreement.mean_cosine > 0.999
    assert "not centred" in str(agreement)
    assert len(exporting.waveforms([], plan.log_mel, "float16")) > 1  # however long its windows


def test_float16_of_a_model_that_was_not_exported_names_the_command():
    with pytest.raises(ConfigError, match=r"float16.*mar export --precision float16"):
        mar.Embedder(small_file()[0], precision="float16")


def test_another_calibration_is_another_quantisation(plan, music, tmp_path, monkeypatch, caplog):
    """And int8 that saves no time is said, as often as that is so."""
    made = []
    for audio, most, said in ((music[:2], 0.0, 1), (music[2:], 1e9, 0)):
        caplog.clear()
        monkeypatch.setattr(exporting, "_NOT_FASTER", most)
        path = tmp_path / f"{said}.onnx"
        exporting.write_onnx(plan, path, audio, "int8", least=-1.0)
        made.append(mar.Embedder(path).provenance["quantization"])
        warnings = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
        assert sum("of the time of float32" in text for text in warnings) == said
    assert made[0] != made[1]


def test_one_file_is_divided_into_halves():
    samples = np.arange(10.0)
    calibration, held_out = exporting.halves([samples])
    np.testing.assert_array_equal(np.concatenate([*calibration, *held_out]), samples)
