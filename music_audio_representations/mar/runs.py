"""Compares runs of `mar train`: how far they are, what they score, which settings differ.

    mar runs models/*/ [--output runs.png] [--format csv]

A column a run, finished or not, or with --format csv a line. Scores are the last that were logged
in `metrics.jsonl`, settings are called as --set takes them. --output draws the losses.
"""

import csv
import json
import os
import pathlib
import sys
from typing import Any

from absl import flags

from mar.errors import ConfigError, InputError
from mar.util import cli
from mar.util.atomic import whole

FLAGS = flags.FLAGS
cli.define_output_flag("Picture of the losses by step (.png, .svg, .pdf).")
flags.DEFINE_enum("format", "text", ["text", "csv", "json"], "What is printed.")
_PICTURES = (".png", ".svg", ".pdf")


def main(argv: list[str]) -> None:
    folders = argv[1:]
    if not folders:
        raise ConfigError("expected folders of runs, got none")
    if FLAGS.output is not None and pathlib.Path(FLAGS.output).suffix not in _PICTURES:
        raise ConfigError(
            f"--output: expected a name in {', '.join(_PICTURES)}, got {FLAGS.output}"
        )
    for folder in folders:
        if not os.path.isdir(folder):
            raise InputError(f"{folder}: expected a folder of a run, found none")

    from mar.training import comparison, history

    rows = comparison.rows(folders)
    if FLAGS.format == "json":
        print(json.dumps(rows, ensure_ascii=False, indent=1))
    elif FLAGS.format == "csv":
        writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        print(_text(rows))
    if FLAGS.output is not None:
        drawn = history.draw_losses({folder: history.read(folder) for folder in folders})
        with whole(FLAGS.output) as unfinished:
            suffix = pathlib.Path(FLAGS.output).suffix[1:]
            drawn.savefig(unfinished, format=suffix, dpi=150)


def _text(rows: list[dict[str, Any]]) -> str:
    """A table with a column for each run, as names of settings are long."""
    lines = [[name, *(_shown(row[name]) for row in rows)] for name in rows[0]]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    cli.run(main)
