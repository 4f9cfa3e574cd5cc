"""`pytest --quick`, for `make check`: what takes seconds is skipped as soon as it is asked for.

No list of quick tests is kept: a test belongs to them while it neither imports TensorFlow nor
starts a Python program or an encoder of audio, nor writes a collection of its full size.
"""

import sys

import pytest

_SLOW_TO_IMPORT = {"tensorflow", "keras", "jax", "torch", "ray"}
_enabled = []


class _Finder:
    """Meets imports before all others do."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in _SLOW_TO_IMPORT:
            pytest.skip(f"--quick: imports {name}", allow_module_level=True)


def enable():
    sys.meta_path.insert(0, _Finder)
    _enabled.append(True)


def refuse(what):
    """Skips the running test in such a run."""
    if _enabled:
        pytest.skip(f"--quick: {what}")
