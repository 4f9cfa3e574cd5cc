"""Runs a published analysis pipeline on audio files.

    mar analyze --config mule_embedding_timeline.yml --input_file song.mp3 \\
        --output_file song.npy
    mar analyze --config mule_embedding_average.yml --output_folder vectors/ \\
        ~/Music song.mp3

Writes float32 arrays, features first: `(1728, n)` for the published timeline, `(1728, 1)` for the
average. In a folder, that of `album/song.mp3` is `album/song.mp3.npy`. Inputs are audio files,
folders and lists of files. The exit code is 0, 2 where some of several files failed, which are
named, or 1 where nothing could be done.
"""

import pathlib
import sys

from absl import flags

from mar.errors import ConfigError, InputError
from mar.util import cli

FLAGS = flags.FLAGS
flags.DEFINE_multi_string(
    "input_file", [], "Audio file, folder or list; repeatable, or without the flag.", short_name="i"
)
cli.define_output_flag("File to write, .npy, of one input.", name="output_file")
cli.define_output_flag(
    "Folder to write into, one .npy per input.", name="output_folder", short_name=None
)
cli.define_config_flags()


def main(argv: list[str]) -> int:
    inputs = [*FLAGS.input_file, *argv[1:]]
    if not inputs:
        raise ConfigError("expected audio files: --input_file song.mp3, or song.mp3 alone")
    if (FLAGS.output_file is None) == (FLAGS.output_folder is None):
        raise ConfigError("expected --output_file, or --output_folder for several inputs")

    cli.check_config()
    from mar.embedding import files

    items = [item for item in files.on_disks(files.find(inputs)) if item.expected]
    if not items:
        raise InputError(f"{inputs}: hold no audio files")
    if FLAGS.output_folder is not None:
        names = [f"{item.key.lstrip('/')}.npy" for item in items]
        outputs = [pathlib.Path(FLAGS.output_folder, name) for name in names]
        _refuse_shared(items, outputs)
    elif len(items) == 1:
        outputs = [pathlib.Path(FLAGS.output_file)]
        if not outputs[0].parent.is_dir():
            raise InputError(
                f"--output_file: expected an existing folder, {outputs[0].parent} is none"
            )
    else:
        raise ConfigError(
            f"--output_file: expected one input, got {len(items)} files; --output_folder takes all"
        )
    return _analyse(items, outputs)


def _refuse_shared(items, outputs):
    """Raises InputError where two files would be written to one."""
    by_output: dict = {}
    for item, output in zip(items, outputs, strict=True):
        other = by_output.setdefault(output, item)
        if other is not item:
            raise InputError(
                f"{other.path!r} and {item.path!r} would both be written to {output}; analyze them "
                f"into different folders"
            )


def _analyse(items, outputs):
    """Writes all features; returns the exit code."""
    from mar.embedding.analysis import Analysis

    pipeline, failures = Analysis.load(FLAGS.config, FLAGS.set), 0
    for item, output in zip(items, outputs, strict=True):
        try:
            feature = pipeline(item.path)
        except InputError as error:
            if len(items) == 1:
                raise
            print(f"failed: {error}", file=sys.stderr)
            failures += 1
        else:
            _write(output, feature)
    return (1 if failures == len(items) else 2) if failures else 0


def _write(output, feature):
    import numpy as np

    from mar.util.atomic import make_folder, whole

    make_folder(output.parent)
    with whole(output) as unfinished, open(unfinished, "wb") as file:
        np.save(file, feature)
    print(f"{output}: {feature.shape[0]} × {feature.shape[1]}")


if __name__ == "__main__":
    cli.run(main)
