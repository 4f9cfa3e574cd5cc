"""Draws up the paper's tables, with your results beside the published ones, and figures.

    python -m mar.tables --results results/ --output tables/

Writes Tables 1 to 4 as Markdown, LaTeX, CSV and HTML. Where there are results, also tables of all
tasks and models, with their paired differences, and figures that compare them. Without any, the
published numbers.
"""

import itertools
import logging
import pathlib

from absl import flags

from mar.errors import ConfigError, InputError
from mar.util import cli
from mar.util.atomic import make_folder

FLAGS = flags.FLAGS
flags.DEFINE_string("results", "results", "Folder of all results, as mar.probe wrote them.")
flags.DEFINE_string("output", "tables", "Folder of the tables and figures.", short_name="o")
flags.DEFINE_string("probes", "configs/probe", "Folder of the probes' configurations (Table 2).")
flags.DEFINE_string("model", None, "Model to be drawn as Figure 1; by default the paper's.")
flags.DEFINE_multi_string("records", [], "Data set to be drawn as Figure 2; repeatable.")


def main(argv):
    if len(argv) > 1:
        raise ConfigError(f"expected flags alone, got {argv[1:]}")
    results, probes = pathlib.Path(FLAGS.results), pathlib.Path(FLAGS.probes)
    for name, folder in (("results", results), ("probes", probes)):
        if FLAGS[name].present and not folder.is_dir():
            raise InputError(f"--{name}: {folder}: expected a folder, found none")
    logging.getLogger("mar").setLevel(logging.INFO)
    output = pathlib.Path(FLAGS.output)
    make_folder(output)
    _write_paper(results if results.is_dir() else None, probes, output)
    if any(results.glob("*/*/result.json")):
        _write_comparison(results, output)
    _draw_paper(output)
    return 0


def _write_paper(results, probes, output):
    from mar.reporting import paper

    _write(paper.table1(), output)
    if probes.is_dir():
        _write(paper.table2(probes), output)
    else:
        print(f"Table 2 left out: {probes} is not here; --probes says where the clone has it")
    _write(paper.table3(results), output)
    _write(paper.table4(results), output)


def _write_comparison(folder, output):
    from mar.probing import results
    from mar.reporting import comparison, figures

    lines = comparison.read(folder)
    _write(comparison.overview(lines), output)
    _write(comparison.scores(lines), output)
    differences = comparison.differences(folder, progress=_log)
    if differences.rows or differences.notes:  # of more than one model
        _write(differences, output)
    _save(figures.tasks(comparison.headlines(lines)), output / "tasks.svg")
    for task in dict.fromkeys(line.task for line in lines):
        models = dict.fromkeys(line.model for line in lines if line.task == task)
        if len(results.read_run(folder / task / next(iter(models)))["labels"]) <= 2:
            continue  # the scores tell as much
        for first, second in itertools.combinations(models, 2):
            figure = figures.per_label(folder / task / first, folder / task / second)
            _save(figure, output / "per_label" / task / f"{first}_vs_{second}.svg")


def _draw_paper(output):
    from mar.reporting import diagram, figures

    network, heads = _model()
    _save(diagram.architecture(network, heads), output / "figure1.svg")
    if FLAGS.records:
        from mar.records import manifest

        counts = {name: manifest.read(name).label_counts() for name in FLAGS.records}
        _save(figures.label_density(counts), output / "figure2.svg")


def _model():
    """The network of Figure 1, and widths of its projectors by their objectives."""
    import mar
    from mar.training.objectives import ContrastiveObjective

    if FLAGS.model:
        return mar.load_model(FLAGS.model), {}
    contrastive = ContrastiveObjective()
    hidden = contrastive.projector.hidden_units
    heads = {
        "NT-Xent": [*hidden, contrastive.dimensions],
        "binary cross-entropy": [*hidden, "labels"],
    }
    return mar.SfNfNetF0().build(300), heads


def _write(table, output):
    from mar.reporting.formats import FORMATS
    from mar.util.atomic import whole

    for suffix, text in FORMATS.items():
        with whole(output / f"{table.name}{suffix}") as unfinished:
            unfinished.write_text(text(table), encoding="utf-8")
    print(f"{table.title:<12} {output / table.name}{{{','.join(FORMATS)}}}")


def _save(figure, path):
    from mar.reporting import figures

    make_folder(path.parent)
    figures.save(figure, path)
    print(f"figure       {path}")


def _log(task, model):
    logging.getLogger("mar").info("%s: resampling the test items of %s", task, model)


if __name__ == "__main__":
    cli.run(main)
