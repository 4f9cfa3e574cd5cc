"""Puts the report together."""

import hashlib
import importlib.metadata
import importlib.resources
import json
import pathlib
import platform
import re

import jinja2
import markupsafe

from mar.atomic import whole
from mar.errors import InputError
from mar.evaluation import results
from mar.evaluation.report import figures, map, scores

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
    templates = importlib.resources.files(__package__) / "templates"
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    tracks = map.read_tracks(quickstart / "data")
    folders = {
        name: quickstart / "embeddings" / name
        for name in scores.NAMES
        if (quickstart / "embeddings" / name).is_dir()
    }
    return environment.get_template("report.html").render(
        css=markupsafe.Markup((templates / "report.css").read_text(encoding="utf-8")),
        script=markupsafe.Markup((templates / "report.js").read_text(encoding="utf-8")),
        names=scores.NAMES,
        measures=scores.read(quickstart / "results"),
        map=map.build(tracks, folders, quickstart / "data" if sound else None),
        losses={
            scores.NAMES[name]: markupsafe.Markup(figures.losses(quickstart / "models" / name))
            for name in ("supervised", "contrastive")
        },
        cards={
            scores.NAMES[name]: _card(quickstart / "models" / name / "model_card.md")
            for name in ("supervised", "contrastive")
        },
        made=_made(quickstart),
    )


def _card(path):
    """The table of a model card, pairs of text."""
    if not path.exists():
        return []
    head, _, _ = path.read_text(encoding="utf-8").partition("\n## ")
    return re.findall(r"^\| (\S.*?) \| (.+?) \|$", head, re.MULTILINE)


def _made(quickstart):
    """How the numbers came about, pairs of text."""
    runs = [results.read_run(path.parent) for path in quickstart.glob("results/*/*/result.json")]
    times = quickstart / "times.json"
    data = hashlib.sha256((quickstart / "data" / "tracks.csv").read_bytes()).hexdigest()
    models = {run["model"]: run["embeddings"]["model"] for run in runs}
    return {
        "dates": sorted({run["date"][:10] for run in runs}),
        "machine": f"{platform.machine()}, {runs[0]['cpus']} CPUs, Python "
        f"{platform.python_version()}",
        "times": json.loads(times.read_text()) if times.exists() else {},
        "versions": [f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES],
        "hashes": {"data/tracks.csv": data, **{f"model {k}": v for k, v in models.items()}},
    }
