"""Runs a module where little is installed: `python -m helpers.without_tensorflow mar.embed …`.

What is not in requirements-onnx.txt cannot be imported.
"""

import runpy
import sys

ABSENT = {
    *("tensorflow", "keras", "jax", "torch", "h5py", "sklearn", "scipy", "librosa", "numba"),
    *("scooch", "sphinx", "pandas", "matplotlib", "optuna", "mir_eval", "onnx", "jinja2", "pooch"),
}


class _Absence:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


if __name__ == "__main__":
    sys.meta_path.insert(0, _Absence())
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
