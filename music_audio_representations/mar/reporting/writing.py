"""All tables and figures that there is data for, as files."""

import itertools
import os
import pathlib
from collections.abc import Iterator, Sequence

import mar
from mar.probing.results import Results, refuse_earlier_layout, run_folders
from mar.records import manifest
from mar.reporting import comparison, diagram, field, figures, formats, paper
from mar.training.objectives import ContrastiveObjective
from mar.util.atomic import make_folder


def write_all(
    output: str | os.PathLike,
    results: str | os.PathLike | None = None,
    probes: str | os.PathLike | None = None,
    model: str | None = None,
    records: Sequence[str] = (),
    others: bool = False,
) -> Iterator[tuple[str, str]]:
    """Writes tables and figures one by one.

    Args:
        output: folder for them, is made if there is none.
        results: folder of results; None for the published numbers alone.
        probes: folder of the probes' configurations, for Table 2; None for those that are shipped.
        model: to be drawn as Figure 1; None for the paper's.
        records: data sets to be drawn as Figure 2.
        others: whether there is a table of what others publish, see `mar.reporting.field`.

    Yields:
        What was written: a title, and where it is.

    Raises:
        InputError: a file cannot be read or written.
        ConfigError: a probe's configuration is wrong.
    """
    output = pathlib.Path(output)
    make_folder(output)
    if results is not None:
        refuse_earlier_layout(results)
    yield formats.write(paper.table1(), output)
    yield formats.write(paper.table2(probes), output)
    yield formats.write(paper.table3(results), output)
    yield formats.write(paper.table4(results), output)
    measured = None if results is None or not run_folders(results) else Results(results)
    if measured is not None:
        yield from _write_comparison(measured, output)
    if others:
        yield formats.write(field.field_table(measured), output)
    yield _draw(diagram.plot_network(*_network(model)), output / "figure1.svg")
    if records:
        counts = {name: manifest.read(name).label_counts() for name in records}
        yield _draw(figures.plot_label_density(counts), output / "figure2.svg")


def _write_comparison(results, output):
    summary = comparison.summarize(results)
    yield formats.write(comparison.overview_table(summary), output)
    yield formats.write(comparison.scores_table(summary), output)
    differences = comparison.differences(results)
    if len(differences):  # of more than one model
        yield formats.write(comparison.differences_table(differences), output)
    yield _draw(figures.plot_tasks(comparison.headlines(summary)), output / "tasks.svg")
    for task, runs in comparison.runs_by_model(results).items():
        for first, second in itertools.combinations(runs.values(), 2):
            if len(first.facts["labels"]) > 2:  # the scores of fewer tell as much
                name = f"{first.model}_vs_{second.model}.svg"
                figure = figures.plot_labels(first, second)
                yield _draw(figure, output / "per_label" / task / name)


def _network(model):
    """The network of Figure 1, and widths of its projectors by their objectives."""
    if model is not None:
        return mar.load_model(model), {}
    contrastive = ContrastiveObjective()
    hidden = contrastive.projector.hidden_units
    heads = {
        "NT-Xent": [*hidden, contrastive.dimensions],
        "binary cross-entropy": [*hidden, "labels"],
    }
    return mar.SfNfNetF0().build(300), heads


def _draw(figure, path):
    make_folder(path.parent)
    figures.save_figure(figure, path)
    return "figure", str(path)
