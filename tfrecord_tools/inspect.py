"""Describes a data set: a summary, hours, some spectrograms, and how frequent its labels are.

    mar records inspect --output pictures/ records/

Writes spectrograms.png and label_counts.png (as Figure 2 of the paper).
"""

import pathlib

from absl import flags

from mar.errors import ConfigError
from mar.util import cli
from mar.util.atomic import make_folder

FLAGS = flags.FLAGS
cli.define_output_flag("Folder of the two pictures.", ".")
cli.define_json_flag()
flags.DEFINE_integer("snippet_frames", 300, "Tracks shorter than this are named.")


def main(argv: list[str]) -> int:
    """Prints the summary, draws the pictures and returns the exit code."""
    if len(argv) != 2:
        raise ConfigError("expected one data set: its folder or manifest")
    from mar.records import reader

    records = reader.RecordReader(argv[1])
    from mar.records import summary, writer
    from mar.reporting import figures

    failed = writer.read_failed(records.manifest.location)
    for line in summary.summary(records.manifest, failed, FLAGS.snippet_frames):
        cli.say(line)
    cli.summarize(**summary.facts(records.manifest, failed, FLAGS.snippet_frames))
    if len(records.manifest) == 0:
        return 0
    folder = pathlib.Path(FLAGS.output)
    make_folder(folder)
    figures.save_figure(summary.spectrograms(records), folder / "spectrograms.png")
    counts = {"tracks with each label": records.manifest.label_counts()}
    figures.save_figure(figures.plot_label_density(counts), folder / "label_counts.png")
    cli.say(f"pictures        {folder}/spectrograms.png, {folder}/label_counts.png")
    return 0


if __name__ == "__main__":
    cli.run(main)
