"""Results as one HTML file that needs nothing else."""

import dataclasses
import importlib.metadata
import importlib.resources
import itertools
import os
import pathlib
import platform
from collections.abc import Mapping, Sequence

import jinja2
import pandas as pd
from markupsafe import Markup

from mar.errors import InputError
from mar.probing.results import Results
from mar.reporting import comparison, formats
from mar.reporting.figures import inline_svg, label_metric, plot_labels
from mar.util.atomic import whole

_LIMIT_BYTES = 5_000_000
_CLIPS = '"clips": ['  # of a map with sound, as JSON
_MOST_MODELS = 3  # of which every two are compared in drawings
_LIBRARIES = ("music-audio-representations", "tensorflow", "keras", "numpy", "scikit-learn")

Pairs = Sequence[tuple[str, str]]


def write(html: str, path: str | os.PathLike) -> None:
    """Writes a report.

    Raises:
        InputError: it would exceed 5 MB.
    """
    content = html.encode("utf-8", "backslashreplace")
    if len(content) > _LIMIT_BYTES:
        has_sound = _CLIPS in html
        raise InputError(
            f"{path}: would be {len(content) / 1e6:.1f} MB, expected at most "
            f"{_LIMIT_BYTES / 1e6:.0f} MB; "
            + ("leave the sound out" if has_sound else "show fewer tasks or models")
        )
    with whole(path) as unfinished:
        unfinished.write_bytes(content)


def render(
    results: Results,
    item_map: dict | None = None,
    *,
    tasks: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    names: Mapping[str, str] | None = None,
    pairs: Pairs | None = None,
    labelled: Pairs | None = None,
    template: str | os.PathLike | None = None,
    **more: object,
) -> str:
    """The report of results as HTML.

    Args:
        results: what is shown.
        item_map: as `mar.reporting.item_map.build` makes it; None for a page without a map.
        tasks: names, in the order to be shown; None for all.
        models: names, in the order to be shown; None for all.
        names: `{model: what it is called}`, where that is not its name.
        pairs: models whose differences are drawn; None for every two of three models, and for the
            first with each other one of more.
        labelled: those of them that are drawn label by label; None for all.
        template: a Jinja template that extends `report.html`; None for that itself.
        **more: what this template shows besides.

    Raises:
        InputError: there is no result of these, or none of a pair.
    """
    names = _Names(names or {})
    summary = comparison.summarize(results, tasks, models)
    differences = comparison.differences(results, tasks, models)
    headlines = comparison.headlines(summary)
    pairs = _pairs(headlines["model"].unique()) if pairs is None else pairs
    runs = comparison.runs_by_model(results, tasks, models)
    contrasts = _contrasts(headlines, differences, pairs)
    return _template(template).render(
        css=source("report.css"),
        script=source("report.js"),
        map_script=source("item_map.js"),
        tasks=list(runs),
        models=list(headlines["model"].unique()),
        names=names,
        pairs=pairs,
        metrics=set(summary["metric"]),
        seeds=summary["seeds"].max(),
        charts=_charts(results, runs, headlines),
        contrasts=contrasts,
        reach=_reach(contrasts),
        tables={
            "overview": comparison.overview_table(_renamed(summary, names)),
            "scores": comparison.scores_table(_renamed(summary, names)),
            "differences": comparison.differences_table(_renamed(differences, names)),
        },
        by_label=_by_label(runs, pairs if labelled is None else labelled),
        map=item_map,
        made=_made(results),
        **more,
    )


class _Names(dict):
    """What models are called: by their own names where nothing else is said."""

    def __missing__(self, model):
        return model

    def spoken(self, model):
        """Within a sentence."""
        return self[model].lower() if model in self else model


def environment(folder: str | os.PathLike | None = None) -> jinja2.Environment:
    """What pages are made with: the templates that are shipped, and those in a folder.

    Tables become HTML by the filter `table`.
    """
    loaders: list[jinja2.BaseLoader] = [jinja2.PackageLoader("mar.reporting")]
    if folder is not None:
        loaders.append(jinja2.FileSystemLoader(folder))
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {"allow_nan": False, "sort_keys": True}
    made.filters["table"] = _table
    return made


def _template(path):
    if path is None:
        return environment().get_template("report.html")
    return environment(pathlib.Path(path).parent).get_template(pathlib.Path(path).name)


def source(name: str) -> Markup:
    """The text of a style or script that is shipped."""
    text = importlib.resources.files("mar.reporting") / "templates" / name
    return Markup(text.read_text(encoding="utf-8"))


def _renamed(table, names):
    """A data frame with what the models are called."""
    columns = [name for name in ("model", "first", "second") if name in table]
    return table.assign(**{name: table[name].map(names.__getitem__) for name in columns})


def _table(table):
    """A table as HTML; its notes stand below it."""
    return Markup(formats.html(dataclasses.replace(table, notes=[])))


def _charts(results, runs, headlines):
    """What is drawn of the scores: a chart for each task and metric, a dot for each model."""
    scores = comparison.selected_scores(results, list(runs))
    seeds = scores.groupby(["task", "metric", "model"])["value"].apply(list)
    charts = []
    for (task, metric), group in headlines.groupby(["task", "metric"], sort=False):
        facts = next(iter(runs[task].values())).facts
        ends = group[["value", "low", "high"]].min().min()
        dots = [
            {
                "model": row.model,
                "value": row.value,
                "interval": formats.interval_of(row.low, row.high),
                "seeds": seeds[task, metric, row.model],
            }
            for row in group.itertuples()
        ]
        charts.append(
            {
                "task": task,
                "metric": comparison.metric_name(metric),
                "classes": None if facts["kind"] == "regression" else len(facts["labels"]),
                "kinds": "labels" if facts["kind"] == "multilabel" else "classes",
                "items": facts["items"]["test"],
                "low": min(0.0, ends),  # where the axis begins
                "guess": group["guess"].iloc[0],
                "dots": dots,
            }
        )
    return charts


def _pairs(models):
    pairs = list(itertools.combinations(models, 2))
    return pairs if len(models) <= _MOST_MODELS else pairs[: len(models) - 1]


def _contrasts(headlines: pd.DataFrame, differences: pd.DataFrame, pairs: Pairs) -> list[dict]:
    """The differences of pairs in the headlines' metrics, those that have an interval."""
    columns = headlines[["task", "metric"]].drop_duplicates()
    shown = columns.merge(differences.dropna(subset=["low", "high"]), on=["task", "metric"])
    contrasts = []
    for first, second in pairs:
        rows = shown[(shown["first"] == first) & (shown["second"] == second)]
        dots = [
            {
                "task": row.task,
                "metric": comparison.metric_name(row.metric),
                "balanced": row.metric == "balanced_accuracy",
                "value": row.difference,
                "interval": (row.low, row.high),
            }
            for row in rows.itertuples()
        ]
        if dots:
            contrasts.append({"first": first, "second": second, "dots": dots})
    return contrasts


def _reach(contrasts):
    """How far an axis has to reach to either side of 0 to show the intervals: at most 1."""
    ends = [abs(end) for each in contrasts for dot in each["dots"] for end in dot["interval"]]
    return min(1.0, max(ends, default=1.0))


def _by_label(runs, pairs):
    """Drawings of tasks with more than two labels: fewer tell no more than the scores."""
    drawings = []
    for (task, of_task), (first, second) in itertools.product(runs.items(), pairs):
        sides = [of_task[model] for model in (first, second) if model in of_task]
        labels = [run.facts["labels"] for run in sides]
        if len(sides) < 2 or labels[0] != labels[1] or len(labels[0]) <= 2:
            continue
        if label_metric(sides[0]) is not None:
            drawing = Markup(inline_svg(plot_labels, *sides))
            pair = {"task": task, "first": first, "second": second}
            drawings.append({**pair, "drawing": drawing})
    return drawings


def _made(results):
    """How the numbers came about."""
    facts = [run.facts for run in results.runs]
    made_by = [(f"model {each['model']}", each["embeddings"]["model"]) for each in facts]
    return {
        "dates": sorted({each["date"][:10] for each in facts}),
        "cpus": sorted({each["cpus"] for each in facts}),
        "hashes": list(dict.fromkeys(made_by)),  # of several weights under one name, all
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "versions": [f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES],
    }
