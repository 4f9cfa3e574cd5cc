"""The configurations that are shipped: `configs/` of the clone, installed as `mar/configs/`."""

import os
import pathlib

from mar.errors import ConfigError, nearest

_PACKAGE = pathlib.Path(__file__).parents[1]


def configurations() -> dict[str, pathlib.Path]:
    """The files of all shipped configurations by name: their paths without the suffix."""
    installed, clone = _PACKAGE / "configs", _PACKAGE.parents[1] / "configs"
    folder = installed if installed.is_dir() else clone
    files = sorted(folder.rglob("*.yaml"))
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}


def configuration(name: str) -> pathlib.Path:
    """The file of a shipped configuration.

    Args:
        name: such as "probe/MTT", or its last part alone.

    Raises:
        ConfigError: there is none of this name.
    """
    files = configurations()
    files |= {file.stem: file for file in files.values()}
    if name not in files:
        raise ConfigError(
            f"{name}: expected the name of a configuration, which `mar configs` lists"
            f"{nearest(name, files)}"
        )
    return files[name]


def located(path: str | os.PathLike) -> pathlib.Path:
    """The file that `--config` means: one of this path, or a shipped one of this name.

    Raises:
        ConfigError: it is neither; files end in `.yaml` or `.yml`.
    """
    path = pathlib.Path(path)
    is_name = path.suffix not in (".yaml", ".yml") and not path.exists() and not path.is_absolute()
    return configuration(path.as_posix()) if is_name else path
