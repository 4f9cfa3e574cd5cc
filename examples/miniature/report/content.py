"""What there is to say of the miniature's six tasks, on the page of `mar report`."""

import csv
import hashlib
import json
import os
import pathlib

from markupsafe import Markup

import mar
from mar.errors import InputError
from mar.models.runs import CARD_FACTS
from mar.reporting import item_map, page, paper
from mar.reporting.diagram import plot_network
from mar.reporting.figures import inline_svg
from mar.reporting.item_map import Colouring
from mar.training import history

NAMES = {
    "supervised": "Supervised",
    "contrastive": "Contrastive",
    "contrastive_paper": "Contrastive (paper)",
    "random": "Untrained",
    "logmel_mean": "Mean log-mel",
}
TASKS = ("key", "instrument", "genre", "meter", "tempo", "pitch")
PAIRS = (
    ("supervised", "contrastive"),
    ("supervised", "logmel_mean"),
    ("contrastive", "logmel_mean"),
    ("contrastive", "contrastive_paper"),  # where it was trained too, see rules.mk
)
_PRETRAINED = PAIRS[0]
_TEMPLATE = pathlib.Path(__file__).with_name("miniature.html")
_LABELS = ("key", "instrument", "genre", "meter", "tempo_bpm")
_FIFTHS = ("Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B")


def render(folder: str | os.PathLike, sound: bool = True) -> str:
    """The page as HTML.

    Args:
        folder: that `make quickstart` or `make miniature` filled.
        sound: whether it holds five seconds of every test track.

    Raises:
        InputError: the folder lacks what the page shows.
    """
    folder = pathlib.Path(folder)
    return page.render(
        mar.Results(folder / "results"),
        tracks_map(folder, sound),
        tasks=TASKS,
        models=list(NAMES),
        names=NAMES,
        pairs=PAIRS,
        labelled=[_PRETRAINED],
        template=_TEMPLATE,
        training=[training(folder / "models" / name) for name in _PRETRAINED],
        architecture=_architecture(folder / "models" / _PRETRAINED[0] / "model.keras"),
        paper=[paper.table3(), paper.table4()],
        data_sha256=hashlib.sha256((folder / "data" / "tracks.csv").read_bytes()).hexdigest(),
    )


def training(folder: pathlib.Path) -> dict:
    """What the page says of a pre-training run: its name, its losses, and facts as text."""
    path = folder / CARD_FACTS
    card = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {
        "name": NAMES[folder.name],
        "losses": Markup(inline_svg(history.draw_losses, {folder.name: history.read(folder)})),
        "facts": {
            name.replace("_", " "): f"{value:,.1f}" if isinstance(value, float) else str(value)
            for name, value in card.items()
            if isinstance(value, (str, int, float))  # neither measures nor the front end
        },
    }


def _architecture(path):
    """The network as a drawing, empty where there is none."""
    return Markup(inline_svg(plot_network, mar.load_model(path))) if path.exists() else ""


# -------------------------------------------------------------------------------------------- map


def tracks_map(folder: pathlib.Path, sound: bool = True) -> dict:
    """The map of the test tracks, as `mar.reporting.item_map` has it."""
    tracks = read_tracks(folder / "data")
    paths = [track["path"] for track in tracks]
    embeddings = {name: folder / "embeddings" / name for name in NAMES}
    return item_map.build(
        titles=[track["title"] for track in tracks],
        colourings=[colouring(name, [track[name] for track in tracks]) for name in _LABELS],
        representations={
            name: mar.Embeddings(place).means(paths)
            for name, place in embeddings.items()
            if place.is_dir()
        },
        clips=item_map.read_clips([folder / "data" / path for path in paths]) if sound else None,
        noun="track",
    )


def read_tracks(data: pathlib.Path) -> list[dict[str, str]]:
    """The rows of `tracks.csv` of the test part, ordered by id.

    Of many, some, evenly among the ids and so among the genres.

    Raises:
        InputError: there is no such table.
    """
    path = data / "tracks.csv"
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    except (OSError, KeyError) as error:
        raise InputError(f"{path}: not the table of tracks: {error}") from None
    return item_map.evenly(sorted(rows, key=lambda row: row["id"]), item_map.MOST_ITEMS)


def colouring(name: str, values: list[str]) -> Colouring:
    """How a column of `tracks.csv` colours the tracks."""
    if name == "tempo_bpm":
        return Colouring("tempo", [round(float(value)) for value in values], unit="BPM")
    order = _around_the_fifths if name == "key" else str
    return Colouring(name, values, sorted(set(values) - {""}, key=order))


def _around_the_fifths(key):
    """Neighbours are related: every major key is followed by its relative minor."""
    tonic, mode = key.split()
    fifths = _FIFTHS.index(tonic) - (3 if mode == "minor" else 0)
    return fifths % len(_FIFTHS), mode
