"""Lists the tracks that are the same recording: under other names, bit rates and lead-ins.

    mar duplicates --embeddings embeddings/ [--format json]

A group a paragraph, the largest first: its distance, then its paths. The distance is the largest by
which the group was found, as a share of that of any two tracks of the data set: 0 for equal
embeddings. docs/design/search.md has the precision and recall of the default --threshold.
"""

import csv
import json
import sys

from absl import flags

from mar.errors import ConfigError
from mar.util import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("embeddings", None, "Folder that mar embed wrote.", required=True)
flags.DEFINE_float(
    "threshold", None, "Largest distance; more finds more, and more that is wrong.", lower_bound=0.0
)
flags.DEFINE_enum("format", "text", ["text", "json", "csv"], "What is printed.")


def main(argv: list[str]) -> None:
    if argv[1:]:
        raise ConfigError(f"expected flags alone, got {argv[1:]}")

    from mar.audio import decode
    from mar.embedding.store import Embeddings

    settings = {} if FLAGS.threshold is None else {"threshold": FLAGS.threshold}
    groups = Embeddings(FLAGS.embeddings).duplicates(**settings)
    if FLAGS.format == "json":
        json.dump([group._asdict() for group in groups], sys.stdout, ensure_ascii=False, indent=1)
        print()
    elif FLAGS.format == "csv":
        rows = csv.writer(sys.stdout, lineterminator="\n")
        rows.writerow(["group", "distance", "path"])
        for number, group in enumerate(groups):
            rows.writerows((number, f"{group.distance:.6f}", path) for path in group.paths)
    else:
        for group in groups:
            print(f"{group.distance:.4f}", *map(decode.shown, group.paths), sep="\n", end="\n\n")


if __name__ == "__main__":
    cli.run(main)
