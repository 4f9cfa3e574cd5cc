"""The page that tells how far a reproduction is, and what was measured."""

import datetime
from typing import TYPE_CHECKING

import pandas as pd

import mar
from mar.errors import InputError
from mar.probing.results import Results, run_folders
from mar.reporting import formats, paper
from mar.reporting import page as report
from mar.reporting.comparison import metric_name
from mar.reporting.formats import Cell, Table
from mar.reproducing.collections import TASKS, of_task
from mar.reproducing.state import DataSet, probing_seconds
from mar.util.atomic import whole

if TYPE_CHECKING:
    from mar.reproducing.reproduction import Reproduction

NAME = "index.html"


def write(reproduction: "Reproduction", is_running: bool = True) -> None:
    """Writes the page, whole or not at all.

    Args:
        reproduction: what it tells of.
        is_running: whether more is to come; the page then loads itself again and again.

    Raises:
        InputError: a result is damaged, or the page cannot be written.
    """
    html = render(reproduction, is_running)
    with whole(reproduction.request.output / NAME) as unfinished:
        unfinished.write_text(html, "utf-8", "backslashreplace")


def render(reproduction: "Reproduction", is_running: bool) -> str:
    """The page as HTML."""
    request = reproduction.request
    measured = paper.measured(request.results)
    stages = [reproduction.states[name].stage for name in request.tasks]
    return (
        report.environment()
        .get_template("reproduction.html")
        .render(
            css=report.source("report.css"),
            script=report.source("report.js"),
            model=request.row,
            source=reproduction.source,
            hashes=_hashes(reproduction),
            probes=request.choice.name,
            counts={stage: stages.count(stage) for stage in dict.fromkeys(stages)},
            is_running=is_running,
            left=_time_left(reproduction, measured) if is_running else [],
            reasons=[(name, s.stage, s.why) for name, s in reproduction.states.items() if s.why],
            tasks=_tasks_table(reproduction, measured),
            audio=_audio_table(reproduction),
            problems=[
                (name, check.problems)
                for name, check in reproduction.checks.items()
                if check.problems
            ],
            tables=[
                paper.table1(),
                paper.table2(request.choice.folder),
                paper.table3(request.results),
                paper.table4(request.results),
            ],
            written=datetime.datetime.now().astimezone().isoformat(" ", "seconds"),
            version=mar.__version__,
        )
    )


def _tasks_table(reproduction: "Reproduction", measured: pd.DataFrame) -> Table:
    """A row for each task and metric of the paper's Tables 3 and 4."""
    entries = [*paper.published(3), *paper.published(4)]
    columns = dict.fromkeys((entry.task, entry.metric) for entry in entries)
    printed = {
        (entry.task, entry.metric): float(entry.value)
        for entry in entries
        if entry.source == reproduction.source
    }
    ours = {
        (row.task, row.metric): row
        for row in measured[measured["model"] == reproduction.request.row].itertuples()
    }
    told = {name: _stage(reproduction, name) for name in TASKS}
    rows = []
    for task, metric in columns:
        row, published = ours.get((task, metric)), printed.get((task, metric))
        if row is not None:
            difference = None if published is None else row.value - published
            interval = formats.interval_of(row.low, row.high)
            score = formats.number(row.value, difference=difference, interval=interval)
        scores = [Cell() if row is None else score]
        scores += [formats.number(published)] if printed else []
        texts = task, told[task], metric_name(metric)
        rows.append([*map(Cell, texts), *scores, Cell(of_task(task).name)])
    caption = "Measured on the official test items: (difference) [95 % interval over them]."
    names = ["Task", "State", "Metric", "Measured", *(["Published"] if printed else []), "Audio"]
    return Table("tasks", "Tasks", caption, names, rows)


def _stage(reproduction: "Reproduction", name: str) -> str:
    """What becomes of a task, in a few words."""
    stage = reproduction.states[name].stage
    if stage != "embedding":
        return stage
    each = next(each for each in reproduction.sets if name in _names(each))
    return f"embedding, {len(each.paths) - len(each.left()):,} of {len(each.paths):,} files"


def _names(each: DataSet) -> list[str]:
    return [located.task.name for located in each.located]


def _audio_table(reproduction: "Reproduction") -> Table:
    rows = [
        [Cell(name), *map(_count, (check.expected, check.there, check.readable, check.right))]
        for name, check in reproduction.checks.items()
    ]
    caption = (
        "Files that the tasks need: how many are there, can be read, and are as long as they "
        "should be."
    )
    columns = ["Collection", "Expected", "There", "Readable", "Right length"]
    return Table("audio", "Audio", caption, columns, rows)


def _count(value: int) -> Cell:
    return Cell(f"{value:,}", float(value))


def _time_left(reproduction: "Reproduction", measured: pd.DataFrame) -> list[str]:
    """Sentences on how long it will take."""
    request, remaining = reproduction.request, reproduction.remaining
    if remaining is None:
        return []
    embedding = remaining.seconds()
    sentences = ["Embedding: not known before the first files are embedded."]
    if embedding is not None:
        sentences = [f"Embedding: about {_duration(embedding)}."] if embedding else []
    left = [
        name
        for name, state in reproduction.states.items()
        if state.stage in ("waiting", "embedding", "probing")
    ]
    if left:
        folder = request.results
        runs = Results(folder).runs if run_folders(folder) else []
        took = {r.task: r.facts["probe_seconds"] for r in runs if r.model == request.row}
        seconds = probing_seconds(left, took, request.choice.trials, request.jobs)
        sentences.append(f"Probes: about {_duration(seconds)} more.")
    return sentences


def _duration(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes / 60:.0f} h" if minutes < 60 * 48 else f"{minutes / 60 / 24:.0f} days"


def _hashes(reproduction: "Reproduction") -> dict[str, str]:
    """SHA-256 of the weights, by the data sets that were made with them."""
    hashes = {}
    for each in reproduction.sets:
        try:
            embeddings = each.opened()
        except InputError:
            continue
        if embeddings is not None:
            hashes[each.folder.name] = str(embeddings.provenance["model"])
    return hashes
