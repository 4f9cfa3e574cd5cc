"""Runs a module where little is installed: `python -m helpers.without_tensorflow mar.embed …`.

What is not in requirements-onnx.txt cannot be imported.
"""

import runpy
import sys

ABSENT = {
    *("tensorflow", "keras", "jax", "torch", "h5py", "sklearn", "scipy", "librosa", "numba"),
    *("scooch", "sphinx", "pandas", "matplotlib", "optuna", "mir_eval", "onnx", "jinja2", "pooch"),
}


class _Without:
    """A finder that does not find them: whoever looks for one is told that there is none."""

    def __init__(self, finder):
        self._finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            return None
        return self._finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self._finder, name)


def block():
    """From now on they are missing in this process."""
    sys.meta_path[:] = [_Without(finder) for finder in sys.meta_path]


if __name__ == "__main__":
    block()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
