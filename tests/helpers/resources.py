"""What tests need beside the package: the repository's files, `../shared`, installed extras."""

import importlib.util
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"


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
