"""`load_model`: our own models, and the weights that the paper's authors published (MULE)."""

import os
import pathlib
import sys
from collections.abc import Iterator, Sequence

import keras

from mar.audio.logmel import PUBLISHED
from mar.errors import InputError
from mar.models import archive, keras2, mule_torch, runs, saving
from mar.models.layers import undrawn
from mar.models.sfnfnet import STEMS, SfNfNetF0, canonical_name
from mar.util import hub
from mar.util.download import cache_folder, download
from mar.util.mule import MULE_ADDRESS, MULE_COMMIT, MULE_LICENCE, MULE_SHA256

FRAMES = 300

# The endings of our names for the variables of a layer, by the class of the published layer.
_PARTS = {
    "WeightStandardization": (".kernel", ".gain", ".bias"),
    "Dense": (".kernel", ".bias"),
    "ScalarMultiply": ("",),
}


def load_model(source: str | os.PathLike[str]) -> keras.Model:
    """Loads a model.

    Args:
        source: a `.keras` file or a SavedModel folder that the paper's authors published, a
            `.keras` file saved by this package, or `"mule"`: the published weights, downloaded
            once. A `.safetensors` file has the same weights as `mule-torch` keeps them.
            `"hf://user/name@revision"` is any of these files on the Hugging Face Hub, see
            `mar.util.hub`. The folder of a run of `mar train` stands for its last checkpoint;
            `"models/run@best"` is the best by validation, `"models/run@12000"` that of step 12,000,
            and so is `"models/run/checkpoints/ckpt-12000"`.

    Returns:
        A Keras model `(batch, 96, frames, 1)` → `(batch, dimensions)`; `mar.front_end` tells what
        input it expects.

    Raises:
        InputError: the file is missing, damaged, not a model, or of another architecture; the
            folder is none of these, or the run has no such checkpoint; the hub does not give it.
        ConfigError: the hub is asked for, and its package is not installed.
    """
    path = fetch_mule() if source == "mule" else pathlib.Path(hub.local(os.fspath(source)))
    if path.suffix == ".safetensors":
        return _converted(path)
    if path.suffix == ".onnx":
        raise InputError(
            f"{path}: exported by mar export, for mar.Embedder and whatever embeds; mar.load_model "
            "takes what it was exported from"
        )
    if _is_saved_model(path):
        return _published(path, keras2.read_saved_model(path))
    if (saved := runs.find(path)) is not None:
        if not saved.is_exported:
            return runs.load(saved)
        path = saved.path
    members = archive.Members(path)
    if members.is_of_keras2:
        return _published(path, keras2.layers_of(path, members))
    return saving.load(path, members)


def located(source: str | os.PathLike[str]) -> str:
    """What `load_model` takes for the same model later, and in another working folder.

    An absolute path; of a run, with the step, which `models/run` and `models/run@best` leave open:
    `/home/me/models/run@12000`; of the hub, with the commit.

    Raises:
        InputError: the folder is no model, or the run has no such checkpoint.
    """
    if source == "mule":
        return "mule"
    if hub.is_address(source):
        return hub.pinned(os.fspath(source))
    saved = None if _is_saved_model(pathlib.Path(source)) else runs.find(source)
    if saved is not None:
        return saved.name
    return os.path.abspath(source) if os.path.exists(source) else os.fspath(source)


def _is_saved_model(path: pathlib.Path) -> bool:
    return (path / "variables").is_dir()


def fetch_mule() -> pathlib.Path:
    """The path of the published weights, which are downloaded once, after showing their licence."""
    name = f"mule/{MULE_COMMIT}/model.keras"
    if not (cache_folder() / name).exists():
        print(MULE_LICENCE, file=sys.stderr)
    return download(MULE_ADDRESS, MULE_SHA256, name)


def _published(path: pathlib.Path, layers: Sequence[keras2.Layer]) -> keras.Model:
    """Our network with the weights of a published file's layers, in the order of the walk."""
    with undrawn():
        model = SfNfNetF0().build(FRAMES, PUBLISHED)
    ours = {canonical_name(variable): variable for variable in model.weights}
    expected = list(_walk())
    for layer, (canonical, kind) in zip(layers, expected, strict=False):
        variables = [ours[canonical + part] for part in _PARTS[kind]]
        shapes = [tuple(variable.shape) for variable in variables]
        if layer.kind != kind or [array.shape for array in layer.arrays] != shapes:
            raise InputError(
                f"{path}: another architecture, or missing weights: the first layer that does not "
                f"fit is {layer}, where SF-NFNet-F0 has {canonical} ({kind} with "
                f"{' '.join(map(str, shapes))})"
            )
        for variable, array in zip(variables, layer.arrays, strict=True):
            variable.assign(array)
    if len(layers) != len(expected):
        raise InputError(
            f"{path}: another architecture, or missing weights: {len(layers)} layers have weights, "
            f"where SF-NFNet-F0 has {len(expected)}"
        )
    return model


def _converted(path: pathlib.Path) -> keras.Model:
    """Our network with the weights of a file of mule-torch."""
    with undrawn():
        model = SfNfNetF0().build(FRAMES, PUBLISHED)
    ours = {canonical_name(variable): variable for variable in model.weights}
    for name, array in mule_torch.read_file(path, ours).items():
        if array.shape != tuple(ours[name].shape):
            raise InputError(
                f"{path}: another architecture: {mule_torch.its_name(name)} has the shape "
                f"{array.shape}, as our {name}, where {tuple(ours[name].shape)} was expected"
            )
        ours[name].assign(array)
    return model


def _walk() -> Iterator[tuple[str, str]]:
    """Yields `(canonical name, class of the published layer)`, inputs before outputs."""
    for pathway, stem in STEMS.items():
        for index in range(len(stem)):
            yield f"{pathway}.stem.{index}", "WeightStandardization"
    for stage, depth in enumerate(SfNfNetF0().depths):
        yield f"fusion{stage}.temporal", "WeightStandardization"
        yield f"fusion{stage}.pointwise", "WeightStandardization"
        for pathway in STEMS:
            for number in range(depth):
                block = f"{pathway}.stage{stage}.block{number}"
                convs = ["conv0", "conv1", "conv2", "conv3"]
                for conv in convs if number else ["shortcut", *convs]:
                    yield f"{block}.{conv}", "WeightStandardization"
                yield f"{block}.squeeze_excite.reduce", "Dense"
                yield f"{block}.squeeze_excite.expand", "Dense"
                yield f"{block}.skip_gain", "ScalarMultiply"
