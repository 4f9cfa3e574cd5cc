"""What several tests use: the reference folder, golden weights, other processes."""

import importlib.util
import os
import pathlib
import socket
import subprocess
import sys
import zlib

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
GOLDEN = DATA / "sfnfnetf0_golden.npz"


def reference(name):
    """A path in `../shared`; the test is skipped where it is absent."""
    path = ROOT.parent / "shared" / name
    if not path.exists():
        pytest.skip(f"needs ../shared/{name}")
    return path


def needs(*packages):
    """The test is skipped where one of these packages, of an extra, is not installed."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}: pip install '.[quickstart]'")


def golden_value(name, shape):
    """The golden value of the variable with this canonical name (see `fill_golden`)."""
    seed = zlib.crc32(name.encode()) & 0x7FFFFFFF
    values = np.random.RandomState(seed).standard_normal(1009).astype(np.float32)
    values = np.resize(values, int(np.prod(shape))).reshape(shape)
    if name.endswith(".gain"):
        return 1 + 0.1 * values
    if name.endswith("skip_gain"):
        return 0.5 + 0.1 * values
    if name.endswith(".bias"):
        return 0.1 * values
    return values / np.sqrt(shape[0]) if "squeeze_excite" in name else values


def fill_golden(model):
    """Fills a network with weights that depend on their names alone, and hide no branch."""
    from mar.models.sfnfnet import canonical_name

    for variable in model.weights:
        variable.assign(golden_value(canonical_name(variable), tuple(variable.shape)))
    return model


def golden_input():
    return np.random.RandomState(2022).standard_normal((2, 96, 300, 1)).astype(np.float32)


def small_network(**parameters):
    """A shallow, narrow network: graph size is what makes tests slow."""
    from mar.models.sfnfnet import SfNfNetF0

    return SfNfNetF0(**{"width": 0.1, "depths": [1, 1, 1, 1], **parameters})


def keras_adam(settings):
    """The `keras.optimizers.Adam` of a `ScoochAdam`, with which ours is compared."""
    import keras

    rate = settings.learning_rate if settings.schedule is None else settings.schedule.build()
    numbers = {name: getattr(settings, name) for name in ("beta_1", "beta_2", "epsilon")}
    return keras.optimizers.Adam(rate, amsgrad=settings.amsgrad, **numbers)


def run_python(*arguments, cwd=None, **environment):
    """Runs another Python process; returns it, finished, with its output as text.

    What tests share, this module too, can be imported there, and so can the examples.
    """
    folders = [str(ROOT / "tests"), str(ROOT), os.environ.get("PYTHONPATH")]
    path = os.pathsep.join(filter(None, folders))
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": path, **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def free_port():
    """A port of this machine that nothing listens on."""
    with socket.socket() as listening:
        listening.bind(("localhost", 0))
        return listening.getsockname()[1]
