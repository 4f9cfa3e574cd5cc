"""What tests need beside the package: the repository's files, `../shared`, installed extras."""

import importlib.util
import pathlib
import shutil
import tarfile

import pytest

ROOT = pathlib.Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
AUDIOSET = DATA / "annotations" / "audioset"  # the official files, of a few rows


def optional(name):
    """A path in `../shared`, of official files that are not ours to hand on; None without it."""
    path = ROOT.parent / "shared" / name
    return path if path.exists() else None


def reference(name):
    """The same; the test is skipped where it is absent."""
    path = optional(name)
    if path is None:
        pytest.skip(f"needs ../shared/{name}")
    return path


def unpacked_giantsteps(folder):
    """Both repositories of GiantSteps, as they are cloned; returns the folder."""
    source = reference("datasets/giantsteps")
    for name in ("giantsteps-key-dataset", "giantsteps-mtg-key-dataset"):
        with tarfile.open(source / name / "annotations_key_genre_md5.tar.gz") as archive:
            archive.extractall(folder, filter="data")
    mtg = "giantsteps-mtg-key-dataset/annotations"
    for name in ("annotations.txt", "beatport_metadata.txt"):
        shutil.copy(source / mtg / name, folder / mtg / name)
    return folder


def needs(*packages, extra="quickstart"):
    """The test, or module, is skipped where one of an extra's packages is not installed.

    Nothing is imported: of some that takes seconds.
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            message = f"needs {package}: pip install '.[{extra}]'"
            pytest.skip(message, allow_module_level=True)
