"""What others publish on the paper's data sets, beside the paper's numbers and those measured here.

The published numbers are data, `field_results.csv`: one row per task, protocol, model and metric,
with the value as printed and its source. None of them was measured here. Protocols are kept apart:
only rows of one task, protocol and metric compare, and those "of the source" not even these.
"""

import importlib.resources
import itertools
from collections.abc import Iterator

import pandas as pd

from mar.probing.results import Results
from mar.reporting import comparison, paper
from mar.reporting.formats import Cell, Table, interval_of, number
from mar.tasks import NAMED

OF_THE_SOURCE = "of the source"
_CAPTION = (
    "The field: as published, not measured here, and measured [95 % interval]. Numbers compare "
    "where data set, protocol and metric are the same."
)
_ABOUT_SOURCES = (
    f"Protocol {OF_THE_SOURCE}: its items, split and probe are not the paper's in every detail."
)


def published() -> pd.DataFrame:
    """What others publish: `task`, `protocol`, `model`, `metric`, `value` as printed, `source`."""
    file = importlib.resources.files("mar.reporting") / "field_results.csv"
    with file.open(encoding="utf-8") as opened:
        return pd.read_csv(opened, dtype=str)


def field_table(results: Results | None = None) -> Table:
    """A row for every number, by task, protocol and metric.

    Args:
        results: what was measured, of which the paper's data sets are shown, under whichever
            protocol; None for what is published alone.
    """
    ours = [] if results is None else list(_measured(results))
    known = {task for (task, *_), _ in ours} | set(published()["task"])
    entries = [*_of_paper(known), *_of_field(), *ours]
    order = {task: place for place, task in enumerate(NAMED)}
    groups = dict.fromkeys(group for group, _ in entries)
    rows = [
        [*map(Cell, (group[0], group[1], comparison.metric_name(group[2]))), *cells]
        for group in sorted(groups, key=lambda group: order[group[0]])
        for other, cells in entries
        if other == group
    ]
    columns = ["Data set", "Protocol", "Metric", "Model", "Published", "Measured", "Source"]
    notes = [_ABOUT_SOURCES, *comparison.protocol_notes(dict.fromkeys(row[0].text for row in rows))]
    return Table("field", "The field", _CAPTION, columns, rows, notes)


_Entry = tuple[tuple[str, str, str], list[Cell]]


def _of_paper(tasks: set[str]) -> Iterator[_Entry]:
    for row in itertools.chain(paper.published(3), paper.published(4)):
        if row.task in tasks:
            source = row.reference or f"the paper, Table {row.table}"
            cells = [Cell(row.source), Cell(row.value, float(row.value)), Cell(), Cell(source)]
            yield (row.task, "paper", row.metric), cells


def _of_field() -> Iterator[_Entry]:
    for row in published().itertuples():
        value = Cell(row.value, float(row.value))
        cells = [Cell(row.model), value, Cell(), Cell(row.source)]
        yield (row.task, row.protocol, row.metric), cells


def _measured(results: Results) -> Iterator[_Entry]:
    summary = comparison.summarize(results)
    runs = comparison.runs_by_model(results)
    for row in summary[summary["task"].isin(NAMED)].itertuples():
        protocol = runs[row.task][row.model].facts["protocol"]
        value = number(row.value, interval=interval_of(row.low, row.high))
        cells = [Cell(row.model), Cell(), value, Cell("measured")]
        yield (row.task, protocol, row.metric), cells
