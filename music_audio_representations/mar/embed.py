"""Embeds audio files into one data set; run again, it does only what is missing.

    python -m mar.embed --model mule --output embeddings/ ~/Music
    python -m mar.embed --model mule --output embeddings/ --task NSynth_P --audio nsynth/
    python -m mar.embed --model logmel_mean --output baseline/ ~/Music

Models are files, runs of mar.train (`models/run`, `models/run@best`, `models/run@12000`), `mule`
(the published weights), and the baselines `logmel_mean`, `MTT_musicnn`, `MSD_musicnn` and `random`
(`random:1` of another seed).

Takes audio files, folders and lists of files; or an evaluation task, whose items are embedded with
its windows, unless --config or --set say others. The exit code is 0, 2 where files failed (each is
a row with the reason, and is tried again by the next run), or 1 where nothing could be done.
"""

import json
import os
import sys

from absl import flags

from mar.embedding import model_names
from mar.errors import ConfigError
from mar.util import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "mule", "A file or folder, or a name: see above.")
flags.DEFINE_string("output", None, "Folder of the data set.", short_name="o")
flags.DEFINE_enum("store", None, ["mean", "timeline"], "Short for --set Catalogue.store=…")
flags.DEFINE_enum("format", None, ["parquet", "npz"], "Short for --set Catalogue.format=…")
flags.DEFINE_enum(
    "precision", None, ["float32", "bfloat16"], "Short for --set Catalogue.precision=…"
)
flags.DEFINE_integer("workers", None, "Short for --set Catalogue.workers=…", lower_bound=1)
cli.define_shard_flag("embeds its share of the files")
cli.define_ray_flag()
flags.DEFINE_bool("skip_errors", False, "Exit with 0 where files failed.")
flags.DEFINE_string("task", None, "Evaluation task, or your own folder or table.", short_name="t")
flags.DEFINE_string("audio", None, "Folder that the task's audio paths are relative to.")
flags.DEFINE_string("metadata", None, "Folder with the task's official files.")
cli.define_own_task_flags()
flags.mark_flag_as_required("output")
cli.define_config_flags(required=False)

_LISTED = 50


def main(argv: list[str]) -> int:
    if (len(argv) < 2) == (FLAGS.task is None):
        raise ConfigError("expected audio files, folders or lists to embed, or a --task")
    if (FLAGS.task is None) != (FLAGS.audio is None):
        raise ConfigError("expected --task and --audio together")
    shorthands = {name: FLAGS[name].value for name in ("store", "format", "precision", "workers")}
    overrides = [f"Catalogue.{name}={value}" for name, value in shorthands.items() if value]
    windows: list[str] = []
    shard = cli.shard()
    cli.check_config()
    cli.check_paths("audio", "metadata")
    model_names.check(FLAGS.model)

    from mar.embedding import files

    if FLAGS.task is None:
        items = files.find(argv[1:])
    else:
        items, of_task = _of_task()
        windows = [] if FLAGS.config else [of_task]
    from mar.embedding.catalogue import Catalogue

    job = Catalogue.load(FLAGS.config, [*windows, *FLAGS.set, *overrides])
    if FLAGS.ray_address:
        from mar.embedding import cluster

        address = FLAGS.ray_address
        summary = cluster.run(job, FLAGS.model, items, FLAGS.output, address, shard)
    else:
        summary = job.run(FLAGS.model, items, FLAGS.output, shard)
    return _report(summary, FLAGS.output)


def _of_task():
    """The items of the task, and its windows as an override."""
    from mar.embedding.files import AudioItem
    from mar.tasks import Task

    task = Task(FLAGS.task, FLAGS.metadata, **cli.own_task())
    items = [AudioItem(path, os.path.join(FLAGS.audio, path)) for path in task.audio(FLAGS.audio)]
    return items, f"Catalogue.windows={json.dumps({'Windows': task.windows})}"


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
    if summary.remarkable:
        print(
            f"{summary.remarkable} of them are damaged in part, or change their rate or channels "
            "on the way: the columns damaged_seconds and notes"
        )
    return 2 if summary.failures and not FLAGS.skip_errors else 0


if __name__ == "__main__":
    cli.run(main)
