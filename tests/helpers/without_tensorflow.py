"""Runs a module where little is installed: `python -m helpers.without_tensorflow mar.embed …`.

Of what is installed, only what requirements-onnx.txt lists, and what that needs, can be imported.
"""

import importlib.metadata
import re
import runpy
import sys
import sysconfig

from helpers.resources import ROOT

_INSTALLED = tuple({sysconfig.get_path(name) for name in ("purelib", "platlib")})


def listed() -> set[str]:
    """Names of the modules that requirements-onnx.txt brings."""
    lines = (ROOT / "requirements-onnx.txt").read_text(encoding="utf-8").splitlines()
    wanted, seen, modules = [line for line in lines if line[:1] not in ("", "#")], set(), set()
    while wanted:
        name = re.match(r"[\w.-]+", wanted.pop())[0]
        if name in seen:
            continue
        seen.add(name)
        try:
            package = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for other systems
        modules |= {file.parts[0].partition(".")[0] for file in package.files or ()}
        needed = package.requires or ()
        wanted += [line for line in needed if "extra ==" not in line]
    return modules


class _Without:
    """A finder that finds no other installed module: whoever looks for one hears that it is absent.

    Args:
        finder: that is asked.
        modules: that are found all the same.
    """

    def __init__(self, finder, modules):
        self._finder, self._modules = finder, modules

    def find_spec(self, name, path=None, target=None):
        spec = self._finder.find_spec(name, path, target)
        if spec is None or name.partition(".")[0] in self._modules:
            return spec
        places = [spec.origin or "", *(spec.submodule_search_locations or ())]
        return None if any(place.startswith(_INSTALLED) for place in places) else spec

    def __getattr__(self, name):
        return getattr(self._finder, name)


def block():
    """From now on they are missing in this process."""
    modules = listed()
    sys.meta_path[:] = [_Without(finder, modules) for finder in sys.meta_path]


if __name__ == "__main__":
    block()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
