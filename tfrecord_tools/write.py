"""Audio files and a table of labels to TFRecords of log-mel spectrograms.

    mar records write --table tracks.csv --audio ~/Music --output records/
    mar records write --table balanced_train_segments.csv --audio clips/ \\
        --vocabulary class_labels_indices.csv --output records/audioset

An interrupted run resumes, to the same bytes, when the same command is given again. --append adds
the tracks that are new in the table, tries again those that could not be read, reads those again
that have other labels, and drops those that it no longer has; the data set as it was stays beside
it, as manifest-….parquet. The exit code is 0, 2 where files could not be read (failed.csv in the
output folder says which and why), or 1 where nothing could be done.
"""

import os
from typing import TYPE_CHECKING

from absl import flags

from mar.errors import ConfigError, InputError
from mar.util import cli, groups
from tfrecord_tools import writing

if TYPE_CHECKING:
    from mar.records.table import Tracks

FLAGS = flags.FLAGS
flags.DEFINE_multi_string(
    "table",
    None,
    "CSV, TSV or Parquet with columns id, path and, where there are any, labels, artist, album; or "
    "a segment file of AudioSet; repeatable.",
    required=True,
)
flags.DEFINE_string("audio", None, "Folder of the audio files; default: where the table lies.")
flags.DEFINE_string(
    "vocabulary",
    None,
    "Labels in order, one a line, or AudioSet's; default: all of the table, sorted.",
)
flags.DEFINE_string("label_separator", "|", "What stands between two labels of a track.")
flags.DEFINE_enum(
    "separated_by",
    None,
    groups.SEPARATIONS,
    "What is held out as a whole; default: a column artist, or album.",
)
flags.DEFINE_string(
    "clip_name",
    None,
    "Names of AudioSet's clips without suffix, of {id}, {start}, {end} (s), {start_ms} and "
    "{end_ms}; default: {id}, {id}_{start}, {id}_{start}_{end} and so on, also with Y in front.",
)
flags.DEFINE_string("label_quality", None, "AudioSet's qa_true_counts.csv.")
flags.DEFINE_float(
    "minimum_quality",
    0.5,
    "With label_quality: drops labels right less often.",
    lower_bound=0,
    upper_bound=1,
)
flags.DEFINE_string("ontology", None, "AudioSet's ontology.json.")
flags.DEFINE_multi_string(
    "classes",
    [],
    "With ontology: takes these classes, and all below them, alone; repeatable.",
)
flags.DEFINE_bool("append", False, "Bring the data set up to date with the table.")
flags.DEFINE_enum("dtype", "float16", ["float16", "float32"], "Type of the stored log-mel.")
cli.define_config_flags(required=False)  # of LogMel
writing.define_flags()


def main(argv: list[str]) -> int:
    """Writes the data set and returns the exit code."""
    if len(argv) > 1:
        raise ConfigError(f"unexpected argument {argv[1]!r}; files are named by --table")
    writing.check_flags()
    if bool(FLAGS.ontology) != bool(FLAGS.classes):
        raise ConfigError("expected --ontology and --classes together")
    cli.check_config()
    cli.check_paths("table", "vocabulary", "label_quality", "ontology")
    root = _root()
    tracks = _tracks()
    from mar.audio.logmel import LogMel
    from mar.records import growth, manifest, shards, sources

    front_end = LogMel.load(FLAGS.config, FLAGS.set).resolved()
    job = shards.Job(
        tracks.rows,
        sources.AudioSource(root, front_end, FLAGS.dtype),
        front_end,
        FLAGS.dtype,
        tracks.vocabulary,
        FLAGS.shard_megabytes * 1_000_000,
    )
    if FLAGS.append and os.path.exists(manifest.manifest_location(FLAGS.output)):
        job = growth.added(job, FLAGS.output, ordered=FLAGS.vocabulary is not None)
    return writing.write(job)


def _root() -> str:
    """The folder that paths are relative to."""
    folders = {os.path.dirname(os.path.abspath(table)) for table in FLAGS.table}
    if FLAGS.audio is None and len(folders) > 1:
        raise ConfigError("expected --audio, since the tables lie in several folders")
    root = os.path.abspath(FLAGS.audio or folders.pop())
    if not os.path.isdir(root):
        raise InputError(f"{FLAGS.audio}: no such folder")
    return root


def _tracks() -> "Tracks":
    """The tracks of the tables, of the labels that were asked for."""
    from mar.records import audioset, table

    vocabulary = table.read_vocabulary(FLAGS.vocabulary) if FLAGS.vocabulary else None
    tracks = table.read_tracks(
        FLAGS.table,
        vocabulary,
        FLAGS.label_separator,
        FLAGS.audio,
        FLAGS.clip_name,
        FLAGS.separated_by,
    )
    keys = list(vocabulary.keys) if vocabulary else list(tracks.vocabulary)
    wanted = set(keys)
    if FLAGS.classes:
        wanted &= audioset.descendants(FLAGS.ontology, FLAGS.classes)
    if FLAGS.label_quality:
        wanted &= audioset.well_labelled(FLAGS.label_quality, FLAGS.minimum_quality, keys)
    if len(wanted) == len(keys):
        return tracks
    chosen = tracks.of_labels([number for number, key in enumerate(keys) if key in wanted])
    cli.say(
        f"{len(wanted)} of {len(keys)} labels are taken; {len(tracks.rows) - len(chosen.rows)} of "
        f"{len(tracks.rows)} tracks have none of them and are left out"
    )
    if not len(chosen.rows):
        raise InputError(f"{' '.join(FLAGS.table)}: no track has a label that was asked for")
    return chosen


if __name__ == "__main__":
    cli.run(main)
