"""Audio files and a table of labels to TFRecords of log-mel spectrograms.

    python -m tfrecord_tools.write --table tracks.csv --audio ~/Music --output records/
    python -m tfrecord_tools.write --table balanced_train_segments.csv \
        --vocabulary class_labels_indices.csv --audio clips/ --output audioset/

An interrupted run goes on where it stopped, to the same bytes, when the command is given again. n
machines that share the output folder write one data set with --shard 0/n … --shard n-1/n. Exit
code 2: some files could not be read; failed.csv in the output folder says which and why.
"""

import os
import sys

from absl import flags

from mar import command
from mar.errors import ConfigError

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "table",
    None,
    "CSV, TSV or Parquet with the columns id, path and (optional) labels; or a segment file of "
    "AudioSet.",
    required=True,
)
flags.DEFINE_string("output", None, "Folder of the data set.", short_name="o", required=True)
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
flags.DEFINE_string("config", None, "LogMel configuration (YAML); default: the paper's.")
flags.DEFINE_multi_string("set", [], "Override of one value of --config, LogMel.param=value.")
flags.DEFINE_enum("dtype", "float16", ["float16", "float32"], "Type of the stored log-mel.")
flags.DEFINE_integer("workers", len(os.sched_getaffinity(0)), "Processes.", lower_bound=1)
flags.DEFINE_string("shard", "0/1", "i/n: this machine writes every n-th shard from the i-th.")
flags.DEFINE_integer("shard_megabytes", 256, "About how large shards are.", lower_bound=1)
flags.DEFINE_bool("skip_errors", False, "Exit with 0 though files could not be read.")


def main(argv):
    """Writes the data set, says what came of it, and returns the exit code."""
    if len(argv) > 1:
        raise ConfigError(f"unexpected argument {argv[1]!r}; files are named by --table")
    share = parse_share(FLAGS.shard)
    from mar.records import sources, table, writer

    vocabulary = table.read_vocabulary(FLAGS.vocabulary) if FLAGS.vocabulary else None
    root = FLAGS.audio or os.path.dirname(os.path.abspath(FLAGS.table))
    items = table.read_items(
        FLAGS.table, vocabulary, FLAGS.label_separator, FLAGS.audio, FLAGS.clip_name
    )
    front_end = _front_end().resolved()
    job = writer.Job(
        items.table,
        sources.AudioSource(os.path.abspath(root), front_end, FLAGS.dtype),
        front_end,
        FLAGS.dtype,
        items.names,
        FLAGS.shard_megabytes * 1_000_000,
    )
    return report(writer.write(job, FLAGS.output, FLAGS.workers, share), FLAGS.output)


def report(outcome, folder):
    """Prints what was written; returns the exit code."""
    print(f"{folder}: {outcome.tracks} tracks, {outcome.seconds / 3600:.2f} hours of audio")
    if outcome.missing_shards:
        print(f"{outcome.missing_shards} shards are left to others; the manifest comes last")
    for track, reason in outcome.failed[:20]:
        print(f"failed: {track}: {reason}", file=sys.stderr)
    if outcome.failed:
        print(f"{len(outcome.failed)} could not be read, see failed.csv", file=sys.stderr)
    return 2 if outcome.failed and not FLAGS.skip_errors else 0


def parse_share(text):
    """'i/n' as `(i, n)`, with i from 0 to n − 1."""
    first, _, count = text.partition("/")
    if not (first.isdigit() and count.isdigit() and int(first) < int(count)):
        raise ConfigError(f"--shard: expected i/n with i from 0 to n - 1, got {text!r}")
    return int(first), int(count)


def _front_end():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from mar import config
    from mar.audio.logmel import LogMel

    if FLAGS.config:
        return LogMel(config.load(FLAGS.config, FLAGS.set))
    if FLAGS.set:
        raise ConfigError("--set changes values of --config, which was not given")
    return LogMel()


if __name__ == "__main__":
    command.run(main)
