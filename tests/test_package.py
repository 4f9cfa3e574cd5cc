"""The package as it is installed: names, imports, the two source folders."""

import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import yaml

import mar
from helpers.processes import run_python
from helpers.resources import ROOT
from mar.errors import ConfigError
from mar.util import shipped


def test_importing_mar_imports_nothing_heavy():
    code = "import sys, mar; print({'tensorflow', 'keras', 'numpy', 'pandas'} & {*sys.modules})"
    process = run_python("-c", code, fresh=True)
    assert process.stdout.strip() == "set()", process.stderr


@pytest.mark.parametrize("name", mar.__all__)
def test_public_names_exist_and_are_no_modules(name):
    assert callable(getattr(mar, name))
    assert not (pathlib.Path(mar.__file__).parent / f"{name}.py").exists()


def test_all_that_name_the_version_name_the_same():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == mar.__version__
    (latest, *_) = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert latest == mar.__version__


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="No mar attribute lod_model"):
        mar.lod_model  # noqa: B018


def files_below(folder):
    found = (path.relative_to(folder) for path in folder.rglob("*.*") if path.is_file())
    return {path for path in found if "__pycache__" not in path.parts}


def test_a_shipped_configuration_is_found_by_name():
    assert shipped.configuration("probe/Jam-All") == ROOT / "configs" / "probe" / "Jam-All.yaml"
    with pytest.raises(ConfigError, match=r"did you mean 'probe/Jam-All'\?"):
        shipped.configuration("probe/Jam-Alll")


@pytest.mark.slow
def test_both_packages_are_installed_and_work_outside_the_clone(tmp_path):
    """A wheel, unpacked elsewhere, has everything that the clone has."""
    source = tmp_path / "source"
    kept = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, ignore=kept)
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*wheel, "--wheel-dir", str(tmp_path), str(source)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(site)], check=True)
    assert files_below(site / "tfrecord_tools") == files_below(ROOT / "tfrecord_tools")
    configurations = {"configs" / path for path in files_below(ROOT / "configs")}
    package = files_below(ROOT / "music_audio_representations" / "mar")
    assert files_below(site / "mar") == package | configurations
    assert not (site / "examples").exists()
    code = "import mar, tfrecord_tools; print(mar.__file__, mar.__version__);"
    code += "from mar.util import shipped; print(shipped.configuration('probe/MTT'))"
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.startswith(str(site))
    assert process.stdout.splitlines()[1] == str(site / "mar" / "configs" / "probe" / "MTT.yaml")
    assert mar.__version__ in wheel.name


@pytest.mark.parametrize("command", ["train --config c.yaml", "probe --task GTZAN --embeddings e"])
@pytest.mark.parametrize("by", ["variable", "file"])
def test_training_needs_tensorflow(tmp_path, command, by):
    """Whatever says another backend, and whether that is installed; nothing is made."""
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    said = {"KERAS_BACKEND": "jax"} if by == "variable" else {"KERAS_BACKEND": ""}
    process = run_python(
        "-m", *f"mar.{command}".split(), cwd=tmp_path, KERAS_HOME=str(tmp_path), **said
    )
    assert process.returncode == 1
    name = "KERAS_BACKEND says jax" if by == "variable" else "keras.json says torch"
    assert re.fullmatch(
        rf"error: training needs TensorFlow, .*{name}: set KERAS_BACKEND=tensorflow\n",
        process.stderr,
    )
    assert [path.name for path in tmp_path.iterdir()] == ["keras.json"]
