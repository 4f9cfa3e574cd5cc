"""Puts the report together."""

import dataclasses
import hashlib
import importlib.metadata
import importlib.resources
import pathlib
import platform
import re

import jinja2
from markupsafe import Markup

import mar
from mar.errors import InputError
from mar.probing import results
from mar.reporting import comparison, diagram, formats, paper
from mar.reporting import figures as paper_figures
from mar.reporting.report import figures, map
from mar.reporting.report.scores import NAMES, PAIRS, TASKS, contrasts, lowest, reach
from mar.util.atomic import whole

_LIMIT_BYTES = 5_000_000
_LIBRARIES = ("music-audio-representations", "tensorflow", "keras", "numpy", "scikit-learn")


def write(quickstart, output, sound=True):
    """Writes the report of a quickstart as one HTML file.

    Args:
        quickstart: folder that `make quickstart` filled.
        output: the file.
        sound: whether it holds five seconds of every test track.

    Raises:
        InputError: the folder lacks what the report shows, or the file would exceed 5 MB.
    """
    html = render(pathlib.Path(quickstart), sound).encode("utf-8")
    if len(html) > _LIMIT_BYTES:
        raise InputError(
            f"{output}: would be {len(html) / 1e6:.1f} MB, expected at most "
            f"{_LIMIT_BYTES / 1e6:.0f} MB; leave the sound out with --nosound"
        )
    with whole(output) as unfinished:
        unfinished.write_bytes(html)


def render(quickstart, sound=True):
    """The report as text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "sort_keys": True}
    environment.filters["table"] = _table
    return environment.get_template("report.html").render(
        css=_template("report.css"),
        script=_template("report.js"),
        names=NAMES,
        pairs=PAIRS,
        **_scores(quickstart / "results"),
        map=_map(quickstart, sound),
        architecture=_architecture(quickstart / "models" / PAIRS[0][0] / "model.keras"),
        models=[_model(quickstart / "models" / name) for name in PAIRS[0]],
        made=_made(quickstart),
    )


def _template(name):
    source = importlib.resources.files(__package__) / "templates" / name
    return Markup(source.read_text(encoding="utf-8"))


def _table(table):
    """A table as HTML, with the report's names of the representations."""
    rows = [
        [dataclasses.replace(cell, text=NAMES.get(cell.text, cell.text)) for cell in cells]
        for cells in table.rows
    ]
    return Markup(formats.html(dataclasses.replace(table, rows=rows, notes=[])))


def _scores(folder):
    """Everything that is shown of the results."""
    lines = comparison.read(folder, TASKS, list(NAMES))
    headlines = comparison.headlines(lines)
    differences = comparison.differences(folder, TASKS, list(NAMES))
    runs = {line.task: results.read_run(folder / line.task / line.model) for line in lines}
    found = contrasts(headlines, differences)
    return {
        "headlines": headlines,
        "lows": {column: lowest(lines.values()) for column, lines in headlines.items()},
        "runs": runs,
        "seeds": max(len(line.seeds) for line in lines),
        "contrasts": found,
        "reach": reach(found),
        "tables": {
            "overview": comparison.overview(lines),
            "scores": comparison.scores(lines),
            "differences": differences,
            "paper": [paper.table3(), paper.table4()],
        },
        "by_label": {
            task: _svg(paper_figures.per_label, *(folder / task / name for name in PAIRS[0]))
            for task, run in runs.items()
            if len(run["labels"]) > 2
        },
    }


def _map(quickstart, sound):
    folders = {name: quickstart / "embeddings" / name for name in NAMES}
    folders = {name: folder for name, folder in folders.items() if folder.is_dir()}
    tracks = map.read_tracks(quickstart / "data")
    return map.build(tracks, folders, quickstart / "data" if sound else None)


def _architecture(path):
    """The network as a drawing, empty where there is none."""
    return _svg(diagram.architecture, mar.load_model(path)) if path.exists() else ""


def _model(folder):
    """Name, picture of the losses and the model card's table, pairs of text."""
    card = folder / "model_card.md"
    head = card.read_text(encoding="utf-8").partition("\n## ")[0] if card.exists() else ""
    rows = re.findall(r"^\| (\S.*?) \| (.+?) \|$", head, re.MULTILINE)
    return {"name": NAMES[folder.name], "losses": _svg(figures.losses, folder), "card": rows}


def _svg(draw, *arguments):
    return Markup(figures.svg(draw, *arguments))


def _made(quickstart):
    """How the numbers came about."""
    runs = [results.read_run(path.parent) for path in quickstart.glob("results/*/*/result.json")]
    data = hashlib.sha256((quickstart / "data" / "tracks.csv").read_bytes()).hexdigest()
    models = {run["model"]: run["embeddings"]["model"] for run in runs}
    return {
        "dates": sorted({run["date"][:10] for run in runs}),
        "machine": f"{platform.machine()}, {runs[0]['cpus']} CPUs, Python "
        f"{platform.python_version()}",
        "versions": [f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES],
        "hashes": {
            "data/tracks.csv": data,
            **{f"model {name}": value for name, value in models.items() if name in PAIRS[0]},
        },
    }
