"""Makes a manifest for TFRecords that others wrote, so that they can be used without rewriting.

    mar records index --manifest records/manifest.parquet --dtype float32 \\
        --spectrogram_feature log_mel --id_feature id --labels_feature labels records/*.tfrecord

Each record must be a tf.train.Example with one whole spectrogram, row-major [frame, mel], as raw
bytes (bytes_list) or as floats (float_list). The files must not be compressed.
"""

import os

from absl import flags

from mar.errors import ConfigError, InputError
from mar.util import cli

FLAGS = flags.FLAGS
cli.define_output_flag("Parquet file to be written.", name="manifest", required=True)
flags.DEFINE_string("spectrogram_feature", None, "Name of that feature.", required=True)
flags.DEFINE_string("id_feature", None, "Name of that feature; without it, file:number.")
flags.DEFINE_string("labels_feature", None, "Name of that feature: ints or strings.")
flags.DEFINE_enum("dtype", None, ["float16", "float32"], "Type of the values.", required=True)
flags.DEFINE_string("vocabulary", None, "Labels in order, one a line; default: all that occur.")
cli.define_config_flags(required=False)  # of the LogMel that made them
cli.define_json_flag()
flags.DEFINE_integer("threads", 4, "Files read at a time.", lower_bound=1)


def main(argv: list[str]) -> int:
    """Writes the manifest and returns the exit code."""
    if len(argv) < 2:
        raise ConfigError("expected TFRecords")
    cli.check_config()
    cli.check_paths("vocabulary")
    for path in argv[1:]:
        if "://" not in path and not os.path.exists(path):
            raise InputError(f"{path}: no such file")
    from mar.audio.logmel import LogMel
    from mar.records import index, schema, table

    named = {
        "spectrogram": FLAGS.spectrogram_feature,
        "id": FLAGS.id_feature,
        "labels": FLAGS.labels_feature,
    }
    features = {role: named.get(role) for role in schema.FEATURES}
    front_end = LogMel.load(FLAGS.config, FLAGS.set).resolved()
    vocabulary = table.read_vocabulary(FLAGS.vocabulary).names if FLAGS.vocabulary else None
    layout = index.Layout(features, FLAGS.dtype, front_end)
    count = index.index(argv[1:], layout, FLAGS.manifest, vocabulary, FLAGS.threads)
    cli.say(f"{FLAGS.manifest}: {count} tracks in {len(argv) - 1} files")
    if not FLAGS.config and not FLAGS.set:
        cli.say("taken to be made with the paper's front end; --config or --set says otherwise")
    cli.summarize(manifest=FLAGS.manifest, tracks=count, files=len(argv) - 1)
    return 0


if __name__ == "__main__":
    cli.run(main)
