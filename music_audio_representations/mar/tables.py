"""Draws up the paper's tables, with your results beside the published ones, and figures.

    mar tables --results results/ --output tables/

Writes Tables 1 to 4 as Markdown, LaTeX, CSV and HTML. Where there are results, also tables of all
tasks and models, with their paired differences, and figures that compare them. Without any, the
published numbers. `--field` adds a table of what others publish on the data sets since then.
"""

import os
import pathlib

from absl import flags

from mar.embedding import model_names
from mar.errors import ConfigError, InputError
from mar.util import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("results", "results", "Folder of all results, as mar probe wrote them.")
cli.define_output_flag("Folder of the tables and figures.", "tables")
flags.DEFINE_string("probes", None, "Probes' configurations of Table 2; by default the shipped.")
flags.DEFINE_bool("field", False, "Also what others publish on the data sets, protocols apart.")
flags.DEFINE_string("model", None, "Model to be drawn as Figure 1; by default the paper's.")
flags.DEFINE_multi_string("records", [], "Data set to be drawn as Figure 2; repeatable.")


def main(argv: list[str]) -> int:
    if len(argv) > 1:
        raise ConfigError(f"expected flags alone, got {argv[1:]}")
    results = pathlib.Path(FLAGS.results)
    for name in ("results", "probes"):
        if FLAGS[name].present and not os.path.isdir(str(FLAGS[name].value)):
            raise InputError(f"--{name}: {FLAGS[name].value}: expected a folder, found none")
    cli.check_paths("records")
    if FLAGS.model is not None:
        model_names.check(FLAGS.model)
    from mar.reporting import writing

    found = results if results.is_dir() else None
    wanted = FLAGS.probes, FLAGS.model, FLAGS.records, FLAGS.field
    written = writing.write_all(FLAGS.output, found, *wanted)
    for title, path in written:
        print(f"{title:<12} {path}")
    return 0


if __name__ == "__main__":
    cli.run(main)
