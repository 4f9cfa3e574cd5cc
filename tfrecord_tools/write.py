"""Audio files and a table of labels to TFRecords of log-mel spectrograms.

    python -m tfrecord_tools.write --table tracks.csv --audio ~/Music --output records/
    python -m tfrecord_tools.write --table balanced_train_segments.csv \
        --vocabulary class_labels_indices.csv --audio clips/ --output audioset/

An interrupted run resumes, to the same bytes, when the same command is given again. n
machines that share the output folder write one data set with --shard 0/n … --shard n-1/n. Exit
code 2: some files could not be read; failed.csv in the output folder says which and why.

--append brings a data set up to date with its table: it adds the tracks that are new in it, tries
again those that could not be read, and drops those that it no longer has. What has another label is
read again. The data set as it was stays beside it, as manifest-….parquet.
"""

import os

from absl import flags

from mar.errors import ConfigError, InputError
from mar.util import cli
from tfrecord_tools import writing

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "table",
    None,
    "CSV, TSV or Parquet with the columns id, path and (optional) labels; or a segment file of "
    "AudioSet.",
    required=True,
)
flags.DEFINE_string("audio", None, "Folder of the audio files; default: where the table lies.")
flags.DEFINE_string(
    "vocabulary",
    None,
    "Labels in order, one a line, or AudioSet's class_labels_indices.csv; default: all labels of "
    "the table, sorted.",
)
flags.DEFINE_string("label_separator", "|", "What stands between two labels of a track.")
flags.DEFINE_string(
    "clip_name",
    "{ytid}",
    "File names of AudioSet's clips without suffix, of {ytid}, {start} and {end} in seconds: "
    "'Y{ytid}', '{ytid}_{start:.0f}'.",
)
flags.DEFINE_bool("append", False, "Bring the data set up to date with the table.")
flags.DEFINE_enum("dtype", "float16", ["float16", "float32"], "Type of the stored log-mel.")
cli.define_config_flags(required=False)  # of LogMel
writing.define_flags()


def main(argv: list[str]) -> int:
    """Writes the data set and returns the exit code."""
    if len(argv) > 1:
        raise ConfigError(f"unexpected argument {argv[1]!r}; files are named by --table")
    cli.shard()  # refuses a wrong one before anything is read
    from mar.audio.logmel import LogMel
    from mar.records import growth, manifest, shards, sources, table

    vocabulary = table.read_vocabulary(FLAGS.vocabulary) if FLAGS.vocabulary else None
    tracks = table.read_tracks(
        FLAGS.table, vocabulary, FLAGS.label_separator, FLAGS.audio, FLAGS.clip_name
    )
    front_end = LogMel.load(FLAGS.config, FLAGS.set).resolved()
    root = os.path.abspath(FLAGS.audio or os.path.dirname(os.path.abspath(FLAGS.table)))
    if not os.path.isdir(root):
        raise InputError(f"{FLAGS.audio}: no such folder")
    job = shards.Job(
        tracks.rows,
        sources.AudioSource(root, front_end, FLAGS.dtype),
        front_end,
        FLAGS.dtype,
        tracks.vocabulary,
        FLAGS.shard_megabytes * 1_000_000,
    )
    if not FLAGS.append or not os.path.exists(manifest.manifest_location(FLAGS.output)):
        return writing.write(job)
    job = growth.added(job, FLAGS.output, ordered=vocabulary is not None)
    return writing.write(job)


if __name__ == "__main__":
    cli.run(main)
