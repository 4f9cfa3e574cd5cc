"""The configurations that are shipped: `configs/` of the clone, installed as `mar/configs/`."""

import difflib
import pathlib

from mar.errors import ConfigError

_PACKAGE = pathlib.Path(__file__).parents[1]


def configuration(name: str) -> pathlib.Path:
    """The file of a shipped configuration.

    Args:
        name: its path below `configs/` without the suffix, such as "probe/MTT".

    Raises:
        ConfigError: there is none of this name.
    """
    installed, clone = _PACKAGE / "configs", _PACKAGE.parents[1] / "configs"
    folder = installed if installed.is_dir() else clone
    path = folder / f"{name}.yaml"
    if not path.is_file():
        names = [
            other.relative_to(folder).with_suffix("").as_posix() for other in folder.rglob("*.yaml")
        ]
        nearest = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        raise ConfigError(f"{name}: expected a configuration in {folder}, found none{hint}")
    return path
