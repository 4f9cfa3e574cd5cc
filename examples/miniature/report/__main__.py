"""Writes the page on a miniature: `mar report`'s, with what there is to say of its six tasks.

    python -m examples.miniature.report quickstart --output quickstart/report.html

The folder is what `make quickstart` filled. `--nosound` leaves out the five seconds of every test
track that the map plays.
"""

from absl import flags

from mar.errors import ConfigError
from mar.util import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("output", None, "HTML file to write.", short_name="o", required=True)
flags.DEFINE_bool("sound", True, "Whether the map plays the test tracks.")


def main(argv: list[str]) -> int:
    if len(argv) != 2:
        raise ConfigError(f"expected the folder that make filled, got {argv[1:]}")
    from examples.miniature.report import content
    from mar.reporting import page

    page.write(content.render(argv[1], FLAGS.sound), FLAGS.output)
    print(FLAGS.output)
    return 0


if __name__ == "__main__":
    cli.run(main)
