"""The notebooks, executed as they are but for the paths in their first cell."""

import json
import re
import shutil

import numpy as np
import pytest
import soundfile

import mar
from helpers import quick
from helpers.miniature import NOISE, write_miniature
from helpers.networks import plain_network
from helpers.resources import ROOT
from helpers.signals import music

nbclient = pytest.importorskip("nbclient", reason="needs the extra `notebooks`")
nbformat = pytest.importorskip("nbformat", reason="needs the extra `notebooks`")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def execute(name, folder, **parameters):
    """Runs a notebook in a folder with other parameters; returns its cells."""
    quick.refuse("a kernel")
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    (cell,) = [cell for cell in notebook.cells if cell.metadata.get("tags") == ["parameters"]]
    names = [line.split(" = ")[0] for line in cell.source.splitlines()]
    assert names == list(parameters)
    values = {
        name: value if type(value) is tuple else str(value) for name, value in parameters.items()
    }
    cell.source = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    nbclient.NotebookClient(
        notebook, timeout=3000, resources={"metadata": {"path": folder}}
    ).execute()
    return notebook.cells


def displayed(cells, kind):
    """What the code cells displayed in this MIME type."""
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [output.data[kind] for output in outputs if kind in output.get("data", {})]


def row(table, name):
    """The row of a Markdown table that begins with a name."""
    (found,) = [line for line in table.splitlines() if line.startswith(f"| {name} |")]
    return found


def accuracy(run):
    return json.loads((run / "result.json").read_text())["test"]["accuracy"]["value"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_notebooks_are_small_silent_and_whole(path):
    text = path.read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    assert "audio/" not in text  # rendered audio is not passed on
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]


@pytest.mark.slow
def test_results_become_tables_and_figures(tmp_path):
    write_miniature(tmp_path)
    results = tmp_path / "results"
    copy = shutil.copytree(results / "genre" / "random" / "0", results / "GTZAN" / "mule" / "0")
    facts = json.loads((copy / "result.json").read_text())
    facts |= {"task": "GTZAN", "model": "mule", "protocol": "paper"}
    facts["embeddings"]["model_source"] = "mule"
    (copy / "result.json").write_text(json.dumps(facts))
    pair = ("contrastive", "random")
    cells = execute("reproduce_tables", tmp_path, RESULTS=results, PAIR=pair)
    tables = displayed(cells, "text/markdown")
    assert [re.match(r"\*\*(.+?)\.\*\*", table)[1] for table in tables] == [
        *("Overview", "Scores", "Differences", "Table 1", "Table 2", "Table 3", "Table 4")
    ]
    overview, scores, differences = tables[:3]
    for model in NOISE:
        name = model.replace("_", r"\_")
        assert f"{accuracy(results / 'genre' / model / '0'):.3f}" in row(overview, name)
        assert name in scores
    models = {cell.strip() for line in differences.splitlines()[4:] for cell in line.split("|")}
    assert models & set(NOISE) == set(pair)
    assert len(displayed(cells, "image/png")) >= 3
    assert "0.413" in row(tables[5], "Musicset-Sup")  # on MTT
    difference = accuracy(copy) - 0.735  # Musicset-ULarge's
    assert f"({difference:+.3f})".replace("-", "−") in row(tables[5], "mule (measured)")


def test_a_folder_of_music_becomes_a_map_and_neighbours(tmp_path):
    for number in range(6):
        folder = tmp_path / "music" / ("loud", "quiet")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{number}.flac", music(7.0, 16000, 1, number), 16000)
    (tmp_path / "music" / "broken.mp3").write_bytes(b"no audio")
    model = tmp_path / "model.keras"
    mar.save(plain_network(), model)
    cells = execute(
        "embed_and_search",
        tmp_path,
        MUSIC=tmp_path / "music",
        MODEL=model,
        EMBEDDINGS=tmp_path / "embeddings",
    )
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    printed = "".join(output.text for output in outputs if output.get("name") == "stdout")
    assert "6 tracks, 173 numbers each" in printed
    assert "failed: broken.mp3: not recognised as audio" in printed
    assert len(displayed(cells, "image/png")) == 2
    query, *found = printed[printed.index("quiet/") :].splitlines()[:6]
    embedder = mar.Embedder(str(model))
    means = {
        path.relative_to(tmp_path / "music").as_posix(): embedder(path).mean
        for path in (tmp_path / "music").rglob("*.flac")
    }
    unit = {path: mean / np.linalg.norm(mean) for path, mean in means.items()}
    similarities = {path: unit[query] @ vector for path, vector in unit.items() if path != query}
    listed = {path: float(similarity) for similarity, path in map(str.split, found)}
    assert list(listed) == sorted(similarities, key=similarities.get, reverse=True)
    assert listed == pytest.approx(similarities, abs=1e-3)
    whole, moment = printed.split("the whole file:\n")[1].split("3 s around 4 s:\n")
    assert whole.split()[:2] == ["1.000", query]
    assert len(moment.splitlines()) == 4
