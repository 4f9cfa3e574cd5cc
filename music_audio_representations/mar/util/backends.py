"""What Keras runs on: TensorFlow, JAX or PyTorch, as the variable KERAS_BACKEND says."""

import contextlib
import importlib.util
import json
import os
import pathlib
import zlib
from collections.abc import Iterator

from mar.errors import ConfigError
from mar.util.download import cache_folder


def require_tensorflow(what: str) -> None:
    """Called before anything that TensorFlow alone does is imported, begun or written.

    Args:
        what: is done, for the message: "training".

    Raises:
        ConfigError: Keras would use another backend, by KERAS_BACKEND or by its own file; or
            TensorFlow is not installed.
    """
    backend, said_by = _chosen()
    if backend != "tensorflow":
        raise ConfigError(
            f"{what} needs TensorFlow, and {said_by} says {backend}: set KERAS_BACKEND=tensorflow"
        )
    if importlib.util.find_spec("tensorflow") is None:
        raise ConfigError(f"{what} needs TensorFlow, which is missing: pip install tensorflow")


@contextlib.contextmanager
def needed_by(what: str) -> Iterator[None]:
    """Within it, what is imported may be missing; then that is said, with what to do about it.

    Of an exported model little is installed (requirements-onnx.txt), and of Keras' backends one.

    Args:
        what: needs it, for the message: "mar.Trainer".

    Raises:
        ConfigError: a package is missing. A missing module of our own stays the defect that it is.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "mar", "tfrecord_tools"):
            raise
        raise ConfigError(f"{what} needs {package}, which is missing: {_remedy(package)}") from None


def _remedy(package: str) -> str:
    """What to do where a package is missing."""
    if package == "keras":
        package = "keras tensorflow"
    elif package not in ("tensorflow", "jax", "torch"):
        return f"pip install {package}, or all of it: pip install 'music-audio-representations'"
    return (
        f"pip install {package}. Embedding runs on JAX and PyTorch too (KERAS_BACKEND=jax or "
        f"torch), and a file of mar export needs none of them"
    )


def _chosen() -> tuple[str, str]:
    """The backend, and what says so; Keras need not be imported."""
    file = pathlib.Path(os.environ.get("KERAS_HOME", "~/.keras"), "keras.json").expanduser()
    if backend := os.environ.get("KERAS_BACKEND"):
        return backend, "KERAS_BACKEND"
    with contextlib.suppress(OSError, ValueError, AttributeError):  # as Keras does
        backend = json.loads(file.read_text()).get("backend")
    return backend or "tensorflow", str(file)


def keep_compiled() -> None:
    """Lets JAX keep what it compiles from now on, and find it again in another process.

    A network takes it half a minute. A folder that the user named for it is left as it is.
    """
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    if jax.config.values["jax_compilation_cache_dir"] is None:
        folder = cache_folder() / "jax" / _processor()
        jax.config.update("jax_compilation_cache_dir", str(folder))
        compilation_cache.reset_cache()  # JAX decided at its first compilation whether it has one


def _processor() -> str:
    """A name of this machine's kind of processor: others may share its cache, not its code."""
    with contextlib.suppress(OSError):
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        kinds = sorted({line for line in lines if line.startswith(("model name", "flags"))})
        return f"{zlib.crc32(''.join(kinds).encode()):08x}"
    return "any"
