"""Encoders of others stand where a model stands, and their results say what they are."""

import os
import pathlib
import shlex
import sys

import numpy as np
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper

import mar
from examples.encoders import spectrum
from helpers.processes import run_python
from helpers.resources import ROOT
from helpers.signals import music
from mar.embedding import model_names, provenance
from mar.embedding.embedder import Embedder
from mar.embedding.encoders import address as addresses
from mar.embedding.encoders import imported
from mar.embedding.representations import representation
from mar.errors import ConfigError, InputError
from mar.exploring.sound import Wave
from mar.probing import tagging

RATE = 16000
SPECTRUM = "examples.encoders.spectrum:encode"
PROGRAM = shlex.join([sys.executable, spectrum.__file__])
COMMAND = f"command:{PROGRAM}"
OPTION = "?sample_rate=16000"

# What others might write into a module of their own.
MODULE = '''
import numpy as np

class Encoder:
    """The level of blocks of samples, and their sign, as frames of two dimensions."""

    def __init__(self, block=800, weights=None):
        self.sample_rate, self.block = 8000, block
        self.provenance = {"layer": 3}

    def __call__(self, waveform):
        blocks = waveform[: len(waveform) // self.block * self.block].reshape(-1, self.block)
        times = (np.arange(len(blocks)) + 0.5) * self.block / 8000
        return times, np.stack([np.abs(blocks).mean(axis=1), np.sign(blocks).mean(axis=1)], 1)

def wrong(waveform):
    return {wrong}

wrong.sample_rate = 8000
no_rate = lambda waveform: waveform

# The API of HEAR 2021, in TensorFlow.
import types

def load_model(path=""):
    return types.SimpleNamespace(sample_rate=8000, scale=2.0 if path else 1.0)

def get_timestamp_embeddings(audio, model):
    frames = model.scale * np.asarray(audio)[:, : audio.shape[1] // 400 * 400].reshape(
        len(audio), -1, 400
    )[..., :3]
    times = np.tile((np.arange(frames.shape[1]) + 0.5) * 50, (len(audio), 1))
    return frames, times

def get_scene_embeddings(audio, model):
    return model.scale * np.asarray(audio)[:, :3]
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module of this name into the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name, wrong="None"):
        pathlib.Path(f"{name}.py").write_text(MODULE.replace("{wrong}", wrong))
        return name

    yield write
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture(scope="module")
def sound():
    return music(11.0, RATE, 1)[:, 0]


def windows_of(sound, seconds=3.0, hop=2.0, rate=RATE):
    """The windows of a sound, by a plain loop: centred every 2 s, moved inwards at the ends."""
    length, total = round(seconds * rate), len(sound)
    for centre in np.arange(hop * rate, total, hop * rate):
        start = int(np.clip(centre - length / 2, 0, total - length))
        yield sound[start : start + length]


# ------------------------------------------------------------------------------------------ python


@pytest.mark.parametrize("pooling", ["mean", "mean_deviation"])
def test_frames_in_a_window_are_pooled(sound, pooling):
    embedder = Embedder(f"{SPECTRUM}?pooling={pooling}")
    found = embedder(sound, RATE)
    frames = [spectrum.encode(window)[1] for window in windows_of(sound)]
    expected = [f.mean(axis=0) for f in frames]
    if pooling == "mean_deviation":
        expected = [np.concatenate([f.mean(axis=0), f.std(axis=0)]) for f in frames]
    np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.times, [2, 4, 6, 8, 9.5])
    made = found.provenance
    assert (made["model"], made["pooling"], made["frame_rate"]) == (SPECTRUM, pooling, 20.0)
    assert provenance.pooling(made) == f"{pooling} of 20 frames a second"
    assert made["front_end_config"]["FrontEnd"]["sample_rate"] == 16000


def test_audio_shorter_than_a_window_is_encoded_as_it_is(sound):
    embedder = Embedder(SPECTRUM, mar.Windows(window_seconds=3600.0))
    expected = spectrum.encode(sound)[1].mean(axis=0)
    found = embedder(sound, RATE)
    np.testing.assert_allclose(found.values, expected[None], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.times, [5.5])
    assert not found.padded
    assert embedder(sound[:8000], RATE).padded  # to a second


def test_a_class_takes_options_and_says_its_layer(module, sound):
    name = module("mine")
    assert addresses.parse("a.b:C?x=1e-6&y=0.5&z=a: b&w=true").options == {
        **{"x": 1e-6, "y": 0.5},
        **{"z": "a: b", "w": True},
    }
    embedder = Embedder(f"{name}:Encoder?block=400")
    assert embedder.front_end.sample_rate == 8000
    made = embedder.provenance
    assert (made["layer"], made["options"], made["frame_rate"]) == (3, {"block": 400}, 20.0)
    other = Embedder(f"{name}:Encoder?block=800").provenance
    assert other["frame_rate"] == 10.0
    for wrong in ("stride=2", "block=400&stride=2"):
        with pytest.raises(ConfigError, match="Encoder takes other options.*'stride'"):
            Embedder(f"{name}:Encoder?{wrong}")
    with pytest.raises(ConfigError, match="expected pooling of mean, mean_deviation, got max"):
        Embedder(f"{name}:Encoder?pooling=max")
    with pytest.raises(ConfigError, match="options with a class, got {'x': 1} of a function"):
        Embedder(f"{name}:wrong?x=1")


def test_code_and_weights_tell_encoders_apart(module):
    name = module("coded")
    for suffix, file in (("", "coded.py"), ("?weights=w.bin", "w.bin")):
        pathlib.Path("w.bin").write_bytes(b"1")
        before = addresses.parse(f"{name}:Encoder{suffix}")
        assert file in [path.name for path in before.files]
        first = before.fingerprint
        with open(file, "a") as opened:
            opened.write("#")
        assert before.fingerprint != first


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ("np.zeros((4, 2))", r"expected \(times, frames\)"),
        ("(np.arange(4.0), np.zeros((3, 2)))", "a time for each of 3 frames"),
        ("(np.arange(4.0), np.zeros(4))", r"expected \(frames, dimensions\), got the shape \(4,\)"),
        ("(-np.arange(4.0), np.zeros((4, 2)))", r"rising times in seconds, got .*\[-0, -1, -2"),
        ("(np.arange(2.0), np.random.rand(2, 2))", r"the same waveform.*\.eval\(\)"),
        ("1 / 0", "frames of 24000 samples of noise at 8000 Hz, got ZeroDivisionError"),
    ],
)
def test_what_gives_no_embeddings_is_refused_at_once(module, returned, expected):
    with pytest.raises(InputError, match=expected):
        Embedder(f"{module('wrong_' + str(abs(hash(returned))), returned)}:wrong")


def test_what_is_not_there_is_refused_before_it_is_imported(module):
    name = module("there")
    for address, expected in (
        ("absent.module:Encoder", "a Python module absent.module, got none"),
        ("hear:absent", "a Python module absent, got none"),
        ("hear:there?weights=w.pt", "expected weights, got w.pt"),
        ("absent.onnx?sample_rate=8000", "absent.onnx: no such file"),
        ("command:no-such-program x?sample_rate=8000", "got no-such-program"),
    ):
        with pytest.raises(InputError, match=expected):
            model_names.check(address)
    assert "there" not in sys.modules
    with pytest.raises(InputError, match="there has no Absent"):
        representation(f"{name}:Absent")
    with pytest.raises(ConfigError, match="callable with a sample_rate"):
        representation(f"{name}:no_rate")
    with pytest.raises(ConfigError, match="options of weights, pooling, got weight; did you mean"):
        representation(f"hear:{name}?weight=1")
    with pytest.raises(ConfigError, match="expected float32"):
        representation(SPECTRUM, precision="bfloat16")


def test_names_of_ours_are_no_addresses():
    for name in ("mule", "random", "random:7", "random:x", "a.onnx", "hf://a/b", "runs/a@best"):
        assert addresses.parse(name) is None


# -------------------------------------------------------------------------------------- the others


@pytest.mark.parametrize("options", ["", "?weights=w.bin", "?pooling=mean"])
def test_a_module_with_the_api_of_hear(module, options):
    pathlib.Path("w.bin").write_bytes(b"1")
    sound = music(5.0, 8000, 1)[:, 0]
    found = Embedder(f"hear:{module('heard')}{options}")(sound, 8000)
    windows = list(windows_of(sound, rate=8000))
    scale = 2.0 if "weights" in options else 1.0
    expected = [scale * window[:3] for window in windows]
    if "pooling" in options:
        expected = [window.reshape(-1, 400)[:, :3].mean(axis=0) for window in windows]
    np.testing.assert_allclose(found.values, expected, rtol=1e-5)
    assert found.provenance["pooling"] == ("mean" if "pooling" in options else "scene")
    assert found.provenance["frame_rate"] == (20.0 if "pooling" in options else 0.333)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_an_onnx_file_of_others(tmp_path, sound, rank):
    """Frames are the products of blocks of 1,600 samples with a matrix."""
    matrix = np.random.default_rng(0).standard_normal((1600, 4)).astype(np.float32)
    lead = [1] * (rank - 1)
    shape = np.array([1, -1, 1600] if rank > 1 else [-1, 1600])
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["audio", "shape"], ["blocks"]),
            helper.make_node("MatMul", ["blocks", "matrix"], ["frames"]),
            helper.make_node("ReduceMean", ["frames"], ["mean"], axes=[-2], keepdims=0),
        ],
        "theirs",
        [helper.make_tensor_value_info("audio", TensorProto.FLOAT, [*lead, None])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("frames", "mean")],
        [
            onnx.numpy_helper.from_array(shape, "shape"),
            onnx.numpy_helper.from_array(matrix, "matrix"),
        ],
    )
    path = tmp_path / "theirs.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), path)
    expected = [(w.reshape(-1, 1600) @ matrix).mean(axis=0) for w in windows_of(sound)]
    for output in ("", "&output=mean"):
        found = Embedder(f"{path}?sample_rate=16000{output}")(sound, RATE)
        np.testing.assert_allclose(found.values, expected, rtol=1e-3, atol=1e-3)
    with pytest.raises(ConfigError, match="option sample_rate, such as .*sample_rate=16000"):
        Embedder(f"{path}?output=mean")
    with pytest.raises(InputError, match="expected output of frames, mean"):
        Embedder(f"{path}?sample_rate=16000&output=x")
    with pytest.raises(InputError, match=r"--model '.*theirs.onnx\?sample_rate=16000'"):
        Embedder(path)


def test_a_program_is_given_the_file_as_a_whole(sound):
    expected_times, expected = spectrum.encode(sound)
    found = Embedder(f"{COMMAND}{OPTION}")(sound, RATE)
    np.testing.assert_allclose(found.values, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.times, expected_times)
    found = Embedder(f"{COMMAND}{OPTION}&pooling=mean_deviation")(sound, RATE)
    both = np.concatenate([expected.mean(axis=0), expected.std(axis=0)])
    np.testing.assert_allclose(found.values, both[None], rtol=1e-3, atol=1e-3)
    failing = shlex.join([sys.executable, "-c", "import sys; sys.exit('no such layer')"])
    with pytest.raises(InputError, match="ended with 1: no such layer"):
        Embedder(f"command:{failing}{OPTION}")
    nothing = shlex.join([sys.executable, "-c", ""])
    with pytest.raises(InputError, match="embedding.npz: expected an .npz file"):
        Embedder(f"command:{nothing}{OPTION}")


def test_the_example_in_torch(sound):
    """`make test-torch` runs it."""
    torch = pytest.importorskip("torch")
    from examples.encoders.torch_network import Encoder

    found = Embedder("examples.encoders.torch_network:Encoder?layer=2&seed=3")(sound, RATE)
    encoder = Encoder(2, 3)
    frames = [encoder(window)[1] for window in windows_of(sound)]
    assert isinstance(encoder._network, torch.nn.Module)
    np.testing.assert_allclose(found.values, [f.mean(axis=0) for f in frames], rtol=1e-4, atol=1e-6)
    made = found.provenance
    assert (made["layer"], made["seed"], made["options"]) == (2, 3, {"layer": 2, "seed": 3})
    assert made["frame_rate"] == pytest.approx(RATE / 80, rel=0.01)


def test_a_module_with_the_api_of_hear_in_torch(module):
    torch = pytest.importorskip("torch")
    name = "heard_in_torch"
    pathlib.Path(f"{name}.py").write_text(
        "import torch\n"
        "class Model(torch.nn.Module):\n"
        "    sample_rate = 8000\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.drop = torch.nn.Dropout()\n"
        "def load_model(path=''): return Model()\n"
        "def get_scene_embeddings(audio, model): return model.drop(audio[:, :5])\n"
        "def get_timestamp_embeddings(audio, model): raise NotImplementedError\n"
    )
    sound = music(5.0, 8000, 1)[:, 0]
    found = Embedder(f"hear:{name}")(sound, 8000)
    expected = [window[:5] for window in windows_of(sound, rate=8000)]
    np.testing.assert_allclose(found.values, expected, rtol=1e-5)
    assert torch.is_grad_enabled()


# ----------------------------------------------------------------------------------- the commands


@pytest.fixture
def songs(tmp_path):
    folder = tmp_path / "songs"
    folder.mkdir()
    for number in range(4):
        soundfile.write(folder / f"{number}.wav", music(4.0 + number, RATE, 1, number), RATE)
    return folder


def test_the_command_resumes_probes_and_searches(songs, tmp_path):
    """TensorFlow is not loaded for an encoder of others."""
    command = ["-m", "mar.embed", "--model", SPECTRUM, "--output", tmp_path / "emb", songs]
    first = run_python(*command, cwd=ROOT)
    assert (first.returncode, first.stderr) == (0, "")
    assert "4 embedded" in first.stdout
    again = run_python(*command, cwd=ROOT)
    assert "nothing to do, 4 already there" in again.stdout
    embeddings = mar.Embeddings(tmp_path / "emb")
    assert embeddings.nearest(songs / "1.wav", 1) == embeddings.nearest("1.wav", 1)
    other = run_python(*command[:3], f"{SPECTRUM}?pooling=mean_deviation", *command[4:], cwd=ROOT)
    assert other.returncode == 1
    assert "pooling: mean there, mean_deviation here" in other.stderr


def test_what_the_encoder_raises_is_the_reason_of_that_file(songs, tmp_path, module):
    broken = "(np.arange(2.0), np.zeros((2, 2))) if len(waveform) != 24000 or "
    broken += "abs(waveform).sum() > 900 else 1 / 0"
    for number in (0, 2):
        soundfile.write(songs / f"{number}.wav", np.full(RATE * 8, 1e-3), RATE)
    embedder = Embedder(f"{module('fails', broken)}:wrong")
    embeddings = embedder.embed_folder(songs, tmp_path / "out")
    assert embeddings.paths == ["1.wav", "3.wav"]
    assert set(embeddings.failures) == {"0.wav", "2.wav"}
    assert "fails:wrong cannot encode it: ZeroDivisionError" in embeddings.failures["0.wav"]
    with pytest.raises(InputError, match=r"0.wav: .*ZeroDivisionError"):
        embedder(songs / "0.wav")


# -------------------------------------------------------------------------------------- taken over


def test_embeddings_that_others_made_are_taken_over(tmp_path):
    import pandas as pd

    theirs, rng = tmp_path / "theirs", np.random.default_rng(0)
    frames, single, of_table = rng.standard_normal((5, 4)), *rng.standard_normal((2, 4))
    (theirs / "a").mkdir(parents=True)
    np.savez(theirs / "a/x.mp3.npz", embedding=frames, timestamps=np.arange(5))
    np.savez(theirs / "a/y.npz", embedding=single)
    np.savez(theirs / "short.npz", embedding=single[:3])
    table = pd.DataFrame({"path": ["z.flac"], "embedding": [list(of_table)]})
    table.to_parquet(theirs / "table.parquet")
    model = f"{theirs}?made_by=Jane Doe, MERT-v1-95M, layer 5"
    command = ["-m", "mar.embed", "--model", model, "--output", tmp_path / "emb"]
    taken = run_python(*command)
    assert taken.returncode == 2
    assert "failed: 'short': has 3 dimensions, the first one 4" in taken.stderr
    embeddings = mar.Embeddings(tmp_path / "emb")
    assert embeddings.paths == ["a/x.mp3", "a/y", "z.flac"]
    assert embeddings.provenance["model"] == "Jane Doe, MERT-v1-95M, layer 5"
    assert embeddings.provenance["interface"] == "imported"
    expected = np.stack([frames.mean(axis=0), single, of_table])
    np.testing.assert_allclose(embeddings.means(embeddings.paths), expected, rtol=1e-6)
    (theirs / "a/y.npz").unlink()
    again = run_python(*command, "--fail_on=new")
    assert again.returncode == 0
    assert "0 embedded, 2 already there" in again.stdout
    assert mar.Embeddings(tmp_path / "emb").paths == ["a/x.mp3", "z.flac"]
    unnamed = run_python(*command[:3], f"{theirs}?", *command[4:])
    assert "expected the option made_by" in unnamed.stderr
    with_audio = run_python(*command, theirs)
    assert "taken over as it is; got audio" in with_audio.stderr


def test_what_cannot_be_taken_over_costs_itself_alone(tmp_path):
    """Night after night, until it is mended; names need not be UTF-8."""
    import pandas as pd

    theirs = tmp_path / "theirs"
    theirs.mkdir()
    whole = [1.0, 2.0, 3.0, 4.0]
    given = {"path": ["a", "b", None, "c"], "embedding": [whole, None, whole, whole[::-1]]}
    pd.DataFrame(given).to_parquet(theirs / "x.parquet")
    with open(os.fsencode(theirs) + b"/caf\xe9.mp3.npz", "wb") as file:
        np.savez(file, embedding=np.ones(4))
    place = addresses.parse(f"{theirs}?made_by=me")
    for unchanged, new in ((0, 3), (3, 0)):
        summary = imported.take_over(place, tmp_path / "emb", "mean", "parquet")
        assert {path for path, _ in summary.failures} == {"b", "x.parquet:2"}
        assert (summary.counts["unchanged"], summary.counts["new"]) == (unchanged, new)
        assert mar.Embeddings(tmp_path / "emb").paths == ["a", "c", "caf\\xe9.mp3"]
    given["embedding"][1], given["path"][2] = whole, "d"
    pd.DataFrame(given).to_parquet(theirs / "x.parquet")
    assert not imported.take_over(place, tmp_path / "emb", "mean", "parquet").failures
    assert len(mar.Embeddings(tmp_path / "emb")) == 5


def test_durations_that_nobody_knows_are_in_nobodys_way(tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for name, vector in (
        ("a", [1.0, 0, 0]),
        ("b", [1.0, 0, 0]),
        ("c", [0, 1.0, 0]),
        ("d", [0, 0, 1]),
    ):
        frames = np.array([vector, vector], np.float32)
        np.savez(theirs / f"{name}.npz", embedding=frames, timestamps=np.array([1.0, 3.0]))
    place = addresses.parse(f"{theirs}?made_by=me")
    imported.take_over(place, tmp_path / "emb", "timeline", "parquet")
    embeddings = mar.Embeddings(tmp_path / "emb")
    assert np.isnan([*embeddings.durations().values()]).all()
    assert [group.paths for group in embeddings.duplicates()] == [["a", "b"]]
    with pytest.raises(InputError, match="has no track of 1–inf s"):
        embeddings.select(min_seconds=1)
    assert embeddings.nearest("a", k=1, at=2.5)[0].path == "b"
    starts, ends = tagging.spans(next(embeddings.timelines(["a"])))
    assert (starts.tolist(), ends.tolist()) == ([0.0, 2.0], [2.0, 3.0])
    with pytest.raises(InputError, match="does not say how long it is"):
        Wave(b"a", embeddings.row("a")["duration"])


def test_a_moment_that_nobody_knows_is_refused(tmp_path):
    """Vectors that came without times."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for name in ("a", "b"):
        np.savez(theirs / f"{name}.npz", embedding=np.ones((2, 3), np.float32))
    imported.take_over(
        addresses.parse(f"{theirs}?made_by=me"), tmp_path / "emb", "timeline", "parquet"
    )
    with pytest.raises(InputError, match="a: .*not known when.*timestamps"):
        mar.Embeddings(tmp_path / "emb").nearest("a", k=1, at=2.5)


def test_what_is_gone_is_marked_once(tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for name in ("a", "b"):
        np.savez(theirs / f"{name}.npz", embedding=np.ones(4))
    place = addresses.parse(f"{theirs}?made_by=me")
    imported.take_over(place, tmp_path / "emb", "mean", "parquet")
    (theirs / "b.npz").unlink()
    assert imported.take_over(place, tmp_path / "emb", "mean", "parquet").counts["gone"] == 1
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "emb").glob("*.parquet")}
    assert not imported.take_over(place, tmp_path / "emb", "mean", "parquet").changed
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "emb").glob("*.parquet")}
    assert before == after
    assert mar.Embeddings(tmp_path / "emb").gone == ["b"]
