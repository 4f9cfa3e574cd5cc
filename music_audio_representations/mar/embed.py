"""Embeds audio files into one data set; run again, it brings that up to date.

    mar embed --model mule --output embeddings/ ~/Music
    mar embed --model mule --output embeddings/ --task MTT --audio MagnaTagATune/

Models are files, runs of mar train (`models/run`, `models/run@best`), `mule` (the published
weights), the baselines logmel_mean, MTT_musicnn, MSD_musicnn and random, and encoders of others:
`package.module:name`, `hear:module`, `x.onnx?sample_rate=16000`, `command:…`, `folder?made_by=me`.
Takes audio files, folders, lists (- for standard input) and folders of buckets (s3://…); or a task,
whose items are embedded with its windows, unless --config or --set say others.

A track is its audio: what was moved, renamed or re-tagged keeps its embedding; what is gone is
marked, and left out by all that reads the data set. --prune removes it for good, --compact makes
few large files of the many small ones that runs leave; both may be given without files. The exit
code is 0, 2 where files failed (each is a row with the reason, and is tried again by the next run),
or 1 where nothing could be done.
"""

import dataclasses
import json
import sys

from absl import flags

from mar.embedding import model_names
from mar.embedding.encoders import address as addresses
from mar.errors import ConfigError
from mar.util import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "mule", "A file or folder, or a name: see above.")
flags.DEFINE_string(
    "output", None, "Folder of the data set, on a disk or in a bucket (s3://…).", short_name="o"
)
flags.DEFINE_enum("store", None, ["mean", "timeline"], "Short for --set Catalogue.store=…")
flags.DEFINE_enum("format", None, ["parquet", "npz"], "Short for --set Catalogue.format=…")
flags.DEFINE_enum(
    "precision",
    None,
    ["float32", "bfloat16", "float16", "int8"],
    "Short for --set Catalogue.precision=…",
)
flags.DEFINE_integer("workers", None, "Short for --set Catalogue.workers=…", lower_bound=1)
cli.define_shard_flag("embeds its share")
cli.define_ray_flag()
flags.DEFINE_bool("prune", False, "Remove what is gone from the data set.")
flags.DEFINE_bool("compact", False, "Make few large files of many small ones in the data set.")
flags.DEFINE_bool("dry_run", False, "Tell what would be done, and do nothing.")
cli.define_fail_on_flag()
cli.define_json_flag()
flags.DEFINE_string("task", None, "Evaluation task, or your own folder or table.", short_name="t")
flags.DEFINE_string("audio", None, "Folder that the task's audio paths are relative to.")
flags.DEFINE_string("metadata", None, "Folder with the task's official files.")
cli.define_own_task_flags()
flags.mark_flag_as_required("output")
cli.define_config_flags(required=False)

_LISTED = 50
_WORDS = {  # what became of files but the embedding of new ones
    "changed": "embedded afresh, with other audio",
    "moved": "moved or renamed",
    "copied": "with the audio of another one",
    "retagged": "changed without their audio",
    "returned": "back again",
    "taken_up": "taken up from an earlier version",
    "gone": "gone",
}


def main(argv: list[str]) -> int:
    shard = cli.shard()
    _check_flags(argv[1:], shard)
    cli.check_config()
    cli.check_paths("audio", "metadata")
    model_names.check(FLAGS.model)

    from mar.embedding import mirror, upkeep
    from mar.records import buckets

    shown = buckets.without_options(FLAGS.output)
    if FLAGS.dry_run:
        job, items = _job(argv[1:])
        return _dry_run(job, items, mirror.readable(FLAGS.output), shard)
    code, told = 0, {}
    with mirror.writable(FLAGS.output) as output:
        if (theirs := addresses.of_embeddings(FLAGS.model)) is not None:
            from mar.embedding.encoders.imported import take_over

            kept = FLAGS.store or "mean", FLAGS.format or "parquet"
            code, told = _report(take_over(theirs, output, *kept), shown)
        elif argv[1:] or FLAGS.task is not None:
            job, items = _job(argv[1:])
            code, told = _report(_embed(job, items, output, shard), shown)
        if FLAGS.prune:
            told["pruned"] = upkeep.prune(output)
            cli.say(f"{shown}: {told['pruned']} that were gone are removed")
        if FLAGS.compact:
            before, after = upkeep.compact(output)
            told["compacted"] = {"before": before, "after": after}
            cli.say(f"{shown}: {after} files of Parquet, of {before}")
    cli.summarize(output=shown, **told)
    return code


def _check_flags(inputs, shard):
    """Raises ConfigError where they cannot be meant together."""
    has_upkeep = FLAGS.prune or FLAGS.compact
    if addresses.of_embeddings(FLAGS.model) is not None:
        if inputs or FLAGS.task or FLAGS.dry_run or FLAGS.ray_address or shard != (0, 1):
            raise ConfigError(
                f"expected --output, --store and --format alone with {FLAGS.model}, which is taken "
                f"over as it is; got audio, a --task, --dry_run, --shard or --ray_address"
            )
        return
    if inputs and FLAGS.task is not None:
        raise ConfigError("expected audio files, folders or lists to embed, or a --task; got both")
    if not inputs and FLAGS.task is None and not has_upkeep:
        raise ConfigError("expected audio files, folders or lists to embed, or a --task")
    if (FLAGS.task is None) != (FLAGS.audio is None):
        raise ConfigError("expected --task and --audio together")
    if "://" in FLAGS.output and (shard != (0, 1) or FLAGS.ray_address):
        raise ConfigError("--output: expected a folder on a disk with --shard or --ray_address")
    if has_upkeep and shard != (0, 1):
        raise ConfigError("--prune and --compact: expected no --shard; run them when all are done")


def _job(inputs):
    """How files are embedded, and which."""
    shorthands = {name: FLAGS[name].value for name in ("store", "format", "precision", "workers")}
    overrides = [f"Catalogue.{name}={value}" for name, value in shorthands.items() if value]
    windows: list[str] = []

    from mar.embedding import files

    if FLAGS.task is None:
        items = files.find(inputs)
    else:
        items, of_task = _of_task()
        windows = [] if FLAGS.config else [of_task]
    from mar.embedding.catalogue import Catalogue

    given = [*windows, *FLAGS.set, *overrides]
    return Catalogue.of_model(FLAGS.model, FLAGS.config, given), items


def _embed(job, items, output, shard):
    """Brings the data set up to date; returns the summary."""
    if FLAGS.ray_address:
        from mar.embedding import cluster

        return cluster.run(job, FLAGS.model, items, output, FLAGS.ray_address, shard)
    return job.run(FLAGS.model, items, output, shard)


def _dry_run(job, items, output, shard):
    """Tells what a run would do."""
    from mar.embedding import dry_run

    planned = dry_run.estimate(job, FLAGS.model, items, output, shard)
    cli.say(
        f"{planned.files} files to embed, {planned.seconds / 3600:.1f} h, about "
        f"{planned.bytes / 1e6:.1f} MB of embeddings; {planned.unchanged} already there, "
        f"{planned.skipped} not audio, {planned.gone} gone"
    )
    if planned.unmeasured:
        cli.say(f"{planned.unmeasured} of them do not tell their length, which is not counted")
    if planned.unreadable:
        cli.say(f"{planned.unreadable} of them cannot be read; mar check tells why")
    cli.summarize(output=FLAGS.output, dry_run=True, **dataclasses.asdict(planned))
    return 0


def _of_task():
    """The items of the task, and its windows as an override."""
    from mar.embedding import files
    from mar.tasks import Task

    task = Task(FLAGS.task, FLAGS.metadata, **cli.own_task())
    items = files.named(FLAGS.audio, task.audio(FLAGS.audio))
    return items, f"Catalogue.windows={json.dumps({'Windows': task.windows})}"


def _report(summary, output):
    """Tells what became of the files; returns the exit code, and the facts."""
    new = [failure for failure in summary.failures if failure[0] not in summary.again]
    for path, reason in new[:_LISTED]:
        print(f"failed: {path!r}: {reason}", file=sys.stderr)
    if len(new) > _LISTED:
        print(f"… and {len(new) - _LISTED} more: the rows whose status is failed", file=sys.stderr)
    counts = summary.counts
    _tell(summary, output)
    facts = {
        "embedded": summary.embedded,
        **counts,
        "audio_seconds": summary.seconds,
        "remarkable": summary.remarkable,
        "silent": summary.silent,
        "failures": [
            {"path": path, "reason": reason, "new": path not in summary.again}
            for path, reason in summary.failures
        ],
    }
    return cli.exit_code(len(new), len(summary.again)), facts


def _tell(summary, output):
    """Says in words what became of the files."""
    counts = summary.counts
    if not summary.changed:
        cli.say(f"{output}: nothing to do, {counts['unchanged']} already there")
        return
    again = f" ({len(summary.again)} of them as before)" if summary.again else ""
    cli.say(
        f"{output}: {summary.embedded} embedded, {counts['unchanged']} already there, "
        f"{counts['skipped']} skipped (not audio), {counts['failed']} failed{again}"
    )
    for path, reason in summary.failures[:_LISTED]:
        if path in summary.again:
            cli.say(f"failed as before: {path!r}: {reason}")
    told = [f"{counts[change]} {words}" for change, words in _WORDS.items() if counts[change]]
    if told:
        cli.say(", ".join(told))
    if summary.remarkable:
        cli.say(
            f"{summary.remarkable} of them are damaged in part, change their rate or channels on "
            "the way, or made their decoder complain: the columns damaged_seconds and notes"
        )
    if summary.silent:
        cli.say(f"{summary.silent} of them are silent, or nearly: the column silence")


if __name__ == "__main__":
    cli.run(main)
