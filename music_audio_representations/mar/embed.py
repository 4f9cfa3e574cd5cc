"""Embeds audio files into one data set; run again, it does only what is missing.

    python -m mar.embed --model mule --output embeddings/ ~/Music

Takes audio files, folders and lists of files. The exit code is 0, 2 where files failed (each is a
row with the reason, and is tried again by the next run), or 1 where nothing could be done.
"""

import sys

from absl import flags

from mar import command
from mar.errors import ConfigError

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "mule", "A model file or folder, or mule: the published weights.")
flags.DEFINE_string("output", None, "Folder of the data set.", short_name="o")
flags.DEFINE_enum("store", None, ["mean", "timeline"], "Short for --set Catalogue.store=…")
flags.DEFINE_enum("format", None, ["parquet", "npz"], "Short for --set Catalogue.format=…")
flags.DEFINE_enum(
    "precision", None, ["float32", "bfloat16"], "Short for --set Catalogue.precision=…"
)
flags.DEFINE_integer("workers", None, "Short for --set Catalogue.workers=…", lower_bound=1)
flags.DEFINE_string("shard", None, "i/n: only the files of machine i of n, counted from 0.")
flags.DEFINE_string("ray_address", None, "Ray cluster to run on; local starts one here.")
flags.DEFINE_bool("skip_errors", False, "Exit with 0 where files failed.")
flags.mark_flag_as_required("output")
command.define_config_flags(required=False)

_LISTED = 50


def main(argv):
    if len(argv) < 2:
        raise ConfigError("expected audio files, folders or lists to embed")
    shorthands = {name: FLAGS[name].value for name in ("store", "format", "precision", "workers")}
    overrides = [f"Catalogue.{name}={value}" for name, value in shorthands.items() if value]
    shard = _shard(FLAGS.shard)

    from mar.embedding import catalogue, files

    job = command.configured(catalogue.Catalogue, overrides)
    items = catalogue.part_of(files.find(argv[1:]), *shard)
    if FLAGS.ray_address:
        from mar.embedding import cluster

        summary = cluster.run(job, FLAGS.model, items, FLAGS.output, FLAGS.ray_address)
    else:
        summary = job.run(FLAGS.model, items, FLAGS.output)
    return _report(summary, FLAGS.output)


def _report(summary, output):
    """Prints what became of the files; returns the exit code."""
    for path, reason in summary.failures[:_LISTED]:
        print(f"failed: {path!r}: {reason}", file=sys.stderr)
    if len(summary.failures) > _LISTED:
        more = len(summary.failures) - _LISTED
        print(f"… and {more} more: the rows whose status is failed", file=sys.stderr)
    counts = summary.counts
    print(
        f"{output}: {counts['ok']} embedded, {summary.already} already there, "
        f"{counts['skipped']} skipped (not audio), {counts['failed']} failed"
    )
    return 2 if summary.failures and not FLAGS.skip_errors else 0


def _shard(text):
    """`i/n` as two numbers."""
    if text is None:
        return 0, 1
    shard, _, shards = text.partition("/")
    if not (shard.isdigit() and shards.isdigit() and int(shard) < int(shards)):
        raise ConfigError(f"--shard {text!r}: expected i/n with 0 ≤ i < n, such as 0/4")
    return int(shard), int(shards)


if __name__ == "__main__":
    command.run(main)
