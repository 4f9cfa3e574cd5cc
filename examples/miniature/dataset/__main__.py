"""Builds a labelled data set of music from what pip installs, with no download of audio.

    python -m examples.miniature.dataset --output quickstart/data

Compositions from the corpus of music21, played with the soundfont of pretty_midi; README.md in the
output says what they are and are not. The same command resumes an interrupted build.
"""

from absl import flags

from mar.errors import ConfigError
from mar.util import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("output", None, "Folder of the data set.", short_name="o", required=True)
flags.DEFINE_integer("tracks", 1280, "Tracks of 20 s.", lower_bound=24)
flags.DEFINE_integer("notes", 2000, "Single notes of 3 s.", lower_bound=55)
flags.DEFINE_integer("seed", 0, "Of all that is drawn.", lower_bound=0)
flags.DEFINE_integer("workers", None, "Processes; one for each core by default.", lower_bound=1)


def main(argv: list[str]) -> int:
    if len(argv) > 1:
        raise ConfigError(f"expected flags alone, got {argv[1:]}")
    from examples.miniature.dataset import build

    built = build.build(FLAGS.output, FLAGS.tracks, FLAGS.notes, FLAGS.seed, FLAGS.workers)
    print(f"{FLAGS.output}: {'built' if built else 'is whole already'}; see README.md there")
    return 0


if __name__ == "__main__":
    cli.run(main)
