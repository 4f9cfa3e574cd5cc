"""Runs a published analysis pipeline on an audio file.

    python -m mar.analyze --config mule_embedding_timeline.yml --input_file song.mp3 \\
        --output_file song.npy

Writes a float32 array, features first: `(1728, n)` for the published timeline, `(1728, 1)` for the
average.
"""

import pathlib

from absl import flags

from mar.errors import ConfigError, InputError
from mar.util import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("input_file", None, "Audio file.", short_name="i", required=True)
flags.DEFINE_string("output_file", None, "File to write, .npy.", short_name="o", required=True)
cli.define_config_flags()


def main(argv: list[str]) -> None:
    if argv[1:]:
        raise ConfigError(f"expected flags only, got {' '.join(argv[1:])}")

    import numpy as np

    from mar.embedding.analysis import Analysis
    from mar.util.atomic import whole

    folder = pathlib.Path(FLAGS.output_file).parent
    if not folder.is_dir():
        raise InputError(f"--output_file: expected an existing folder, {folder} is none")
    feature = Analysis.load(FLAGS.config, FLAGS.set)(FLAGS.input_file)
    with whole(FLAGS.output_file) as unfinished, open(unfinished, "wb") as file:
        np.save(file, feature)
    print(f"{FLAGS.output_file}: {feature.shape[0]} × {feature.shape[1]}")


if __name__ == "__main__":
    cli.run(main)
