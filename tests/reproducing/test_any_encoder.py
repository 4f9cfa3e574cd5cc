"""Whoever made an encoder, it gets its column; the published one gets its own probes."""

import dataclasses
import pathlib
import re
import shlex
import sys

import numpy as np
import pandas as pd
import pytest
import yaml

import mar
from examples.encoders import spectrum
from helpers import reproduction
from mar.embedding import model_names
from mar.probing.results import read_run
from mar.reporting import paper
from mar.reproducing import collections, probes
from mar.reproducing import reproduction as reproducing
from mar.reproducing.request import Request
from mar.tasks import fetched_folder, fetching
from mar.util.checksums import sha256


@pytest.fixture
def small(tmp_path, monkeypatch):
    """GTZAN, made small; a function reproduces it with a model, in this process."""
    reproduction.write_probes(tmp_path / "small")
    reproduction.write_collections(tmp_path, ["GTZAN"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(reproducing, "workers", reproduction.in_this_process)
    request = Request(
        *(pathlib.Path("out"), "", "", collections.read("collections.yaml"), ["GTZAN"]),
        probes.chosen("small", 0),
    )

    def run(model, row, **others):
        asked = dataclasses.replace(request, model=model, row=row, **others)
        made = reproducing.Reproduction(asked)
        assert made.run(), made.states["GTZAN"]
        return read_run(asked.results / "GTZAN" / row / "0").facts

    return run


HEARD = """
import types
import numpy as np
from examples.encoders import spectrum

def load_model(path=""):
    return types.SimpleNamespace(sample_rate=16000)

def get_scene_embeddings(audio, model):
    return np.stack([spectrum.encode(each)[1].mean(axis=0) for each in np.asarray(audio)])

def get_timestamp_embeddings(audio, model):
    raise NotImplementedError
"""


def assert_same_column(facts, expected):
    """The same encoder has the same scores, whichever way it is given."""
    assert facts["missing"] == 0
    for metric, score in expected["test"].items():
        assert facts["test"][metric] == pytest.approx(score, abs=1e-6)


def test_encoders_of_others_get_their_columns(small):
    """As a function, as a HEAR module, and as embeddings that others made, without audio."""
    function = small("examples.encoders.spectrum:encode", "function")
    assert function["embeddings"]["pooling"] == "mean"
    pathlib.Path("heard_of_others.py").write_text(HEARD)
    assert_same_column(small("hear:heard_of_others", "module"), function)
    made = mar.Embeddings("out/embeddings/function/GTZAN")
    for path, vector in zip(made.paths, made.means(made.paths), strict=True):
        theirs = pathlib.Path("theirs/GTZAN", path).with_suffix(".npz")
        theirs.parent.mkdir(parents=True, exist_ok=True)
        np.savez(theirs, embedding=vector)
    places = {**collections.read("collections.yaml")}
    places["GTZAN"] = dataclasses.replace(places["GTZAN"], audio=None)
    folder = small("theirs?made_by=others", "folder", places=places)
    assert folder["embeddings"]["interface"] == "imported"
    assert_same_column(folder, function)
    page = pathlib.Path("out/index.html").read_text()
    table = page[page.index('id="table3"') :]
    for row in ("function", "module", "folder"):
        assert re.search(rf"<th scope=\"row\">[^<]*{row}", table)
    # Other embeddings of the same names are measured again.
    np.savez(theirs, embedding=-vector)
    again = small("theirs?made_by=others", "folder", places=places)
    assert again["asked"] != folder["asked"]


@pytest.mark.slow
def test_a_program_gets_its_column(small):
    function = small("examples.encoders.spectrum:encode", "function")
    command = shlex.join([sys.executable, spectrum.__file__])
    assert_same_column(small(f"command:{command}?sample_rate=16000", "program"), function)


def test_a_search_begins_with_the_probe_of_table_2(small, monkeypatch):
    """Whose steps are few here."""
    few = pathlib.Path("small").absolute()
    monkeypatch.setattr(
        probes.shipped, "configuration", lambda name: few / f"{pathlib.Path(name).name}.yaml"
    )
    facts = small("examples.encoders.spectrum:encode", "a", choice=probes.chosen("search", 2))
    assert facts["trials"] == 2
    trials = pd.read_csv("out/results/search/GTZAN/a/0/trials.csv")
    assert len(trials) == 2
    schedule = yaml.safe_load((few / "GTZAN.yaml").read_text())["MLP"]["optimizer"]["ScoochAdam"]
    rate = schedule["schedule"]["WarmupSchedule"]["warm_learning_rate"]
    assert trials["learning_rate"][0] == pytest.approx(float(rate)) != trials["learning_rate"][1]


def test_the_published_model_gets_its_own_probes(small, tmp_path, monkeypatch):
    """It is known by its file, and its row stands below the published one."""
    reproduction.write_model(tmp_path / "some.keras")
    monkeypatch.setattr(model_names, "_MULE", (sha256(tmp_path / "some.keras"),))
    monkeypatch.setenv("MAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetching, "official_files", lambda task: [])  # they are there
    probe = fetched_folder("probes") / "GTZAN" / "Musicset_ULarge.yml"
    probe.parent.mkdir(parents=True)
    config = yaml.safe_load((tmp_path / "small" / "GTZAN.yaml").read_text())
    config["MLP"]["l2_regularization"] = 0.125
    probe.write_text(yaml.safe_dump(config))
    facts = small("some.keras", "ours", choice=probes.chosen("published", 0))
    assert facts["config"]["MLP"]["l2_regularization"] == 0.125
    measured = paper.measured("out/results/published")
    assert set(measured["source"]) == {"Musicset-ULarge"}
    with pytest.raises(mar.InputError, match="--probes published: expected the published model"):
        small("examples.encoders.spectrum:encode", "x", choice=probes.chosen("published", 0))
