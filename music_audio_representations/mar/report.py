"""Writes the report of a quickstart: one HTML file that needs nothing else.

    python -m mar.report --quickstart quickstart/ --output quickstart/report.html

The folder is what `make quickstart` filled. `--nosound` leaves out the five seconds of every test
track that the map plays.
"""

from absl import flags

from mar.errors import ConfigError
from mar.util import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("quickstart", "quickstart", "Folder that `make quickstart` filled.")
flags.DEFINE_string("output", None, "HTML file to write.", short_name="o", required=True)
flags.DEFINE_bool("sound", True, "Whether the map plays the test tracks.")


def main(argv):
    if len(argv) > 1:
        raise ConfigError(f"expected flags alone, got {argv[1:]}")
    from mar.reporting.report import page

    page.write(FLAGS.quickstart, FLAGS.output, FLAGS.sound)
    print(FLAGS.output)


if __name__ == "__main__":
    cli.run(main)
