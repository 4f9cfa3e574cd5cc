"""Labels a catalogue: applies trained probes to its embeddings.

    mar tag --head results/MTT/mule/0 --output tags.parquet embeddings/
    mar tag --head results/moods/mule/0 --output tags.csv --top 5 ~/Music
    mar tag --head results/moods/mule/0 --output tags.parquet --timeline embeddings/

Takes a folder that mar embed wrote; or audio files, folders and lists of files, which are embedded
first as mar embed would, into --embeddings, by the model that the head was trained with. --output
ends in .parquet, .csv or .jsonl, and has the columns path, head, label, probability and decision;
for keys also camelot and open_key, for values also value and unit.

--timeline labels every window, with its start and end, and writes where a label is given into one
more table: segments beside tags.parquet is tags.segments.parquet. Where it was interrupted, the
same command goes on; what is finished waits in a hidden folder beside the output. The exit code is
0, 2 where audio files have no embedding (they are named), or 1 where nothing could be done.

    mar tag --head results/moods/mule/0 --files ~/Music embeddings/
    mar tag --head results/moods/mule/0 --files ~/Music --write embeddings/
    mar tag --remove --files ~/Music --write

--files, what was embedded, prints which labels would come into the tags of the files themselves;
with --write they are written, with --remove ours are taken out. A field is called MAR_ and the
task's name; --field TASK=genre, TASK=key or TASK=tempo takes the standard one, whose values are
replaced. All else in the files stays; one that cannot be written is named, and the exit code 2.
"""

import os
import pathlib
import sys

from absl import flags

from mar.embedding import files, model_names
from mar.errors import ConfigError, InputError
from mar.util import cli, table_files

FLAGS = flags.FLAGS
flags.DEFINE_multi_string("head", None, "A head, or the folder of its run; repeatable.")
cli.define_output_flag("Table to write: .parquet, .csv or .jsonl.")
flags.DEFINE_integer("top", None, "The most probable labels of a head alone.", lower_bound=1)
flags.DEFINE_bool("timeline", False, "Label every window, and write segments.")
flags.DEFINE_float(
    "smoothing_seconds", 10.0, "Over which segments' probabilities are averaged.", lower_bound=0.0
)
flags.DEFINE_multi_string("files", None, "The files to label: a folder, file or list; repeatable.")
flags.DEFINE_multi_string("field", [], "TASK=genre, key or tempo: a standard field; repeatable.")
flags.DEFINE_bool("write", False, "Change the files; otherwise what would change is printed.")
flags.DEFINE_bool("remove", False, "Take the fields that this command wrote out of --files.")
flags.DEFINE_string("embeddings", None, "Folder for the embeddings of audio that is given.")
flags.DEFINE_string("model", None, "Where the head's model is, if it was moved.")
cli.define_shard_flag("labels its share of the files, into a table of its own")
cli.define_ray_flag()

_LISTED = 50


def main(argv: list[str]) -> int:
    inputs, (shard, shards) = argv[1:], cli.shard()
    _check_flags(inputs)
    if FLAGS.remove:
        return _remove((shard, shards))
    from mar.probing import tagging
    from mar.probing.head import Head

    heads = tagging.named([Head(path) for path in FLAGS.head])
    if FLAGS.files:
        return _into_files(heads, inputs, (shard, shards))
    from mar.probing.labelling import Labelling

    output = pathlib.Path(FLAGS.output)
    if shards > 1:
        output = output.with_stem(f"{output.stem}-{shard}-of-{shards}")
    embeddings = _embeddings(heads, inputs, (shard, shards))
    paths = _share(embeddings, shard, shards)
    job = Labelling(heads, FLAGS.top, FLAGS.timeline, FLAGS.smoothing_seconds)
    rows = job.run(embeddings, output, paths, FLAGS.ray_address)
    count = len(embeddings) if paths is None else len(paths)
    return _report(output, rows, count, embeddings)


def _check_flags(inputs):
    """Raises ConfigError where they cannot be meant together."""
    if FLAGS.remove:
        if FLAGS.head or FLAGS.output or FLAGS.field or inputs or not FLAGS.files:
            raise ConfigError("--remove: expected --files and, at most, --write and --shard")
        cli.check_paths("files")
        return
    if not FLAGS.head:
        raise ConfigError("expected --head, which mar probe prints at its end")
    if bool(FLAGS.output) == bool(FLAGS.files):
        raise ConfigError("expected --output, for a table, or --files, for tags in the files")
    if FLAGS.files and FLAGS.timeline:
        raise ConfigError("--timeline: expected --output; tags are of whole tracks")
    if not FLAGS.files and (FLAGS.write or FLAGS.field):
        raise ConfigError("--write and --field: expected --files, the files to label")
    if not inputs:
        raise ConfigError("expected a folder of embeddings, or audio files, folders or lists")
    cli.check_paths("head", "files")
    if FLAGS.model is not None:
        model_names.check(FLAGS.model)
    if FLAGS.output is not None:
        table_files.check_name(FLAGS.output)
    for given in inputs:
        if given != files.STDIN and not os.path.lexists(given):
            raise InputError(f"{given}: no such file or folder")
    if _are_embeddings(inputs) and FLAGS.embeddings is not None:
        raise ConfigError(f"--embeddings: {inputs[0]} has embeddings; leave the flag out")
    if not _are_embeddings(inputs) and FLAGS.embeddings is None:
        raise ConfigError(
            f"expected --embeddings, a folder for the embeddings of {' '.join(inputs)}, by which "
            f"they are computed once"
        )


def _are_embeddings(inputs):
    """Whether what is given is a folder that mar embed wrote, rather than audio."""
    return len(inputs) == 1 and any(pathlib.Path(inputs[0]).glob("[!.]*.parquet"))


def _into_files(heads, inputs, shard):
    """Labels into the tags of the files; returns the exit code."""
    from mar.embedding import changes
    from mar.probing import file_labels

    named = file_labels.fields(heads, FLAGS.field)
    items = changes.share(files.find(FLAGS.files), *shard)
    embeddings = _embeddings(heads, inputs, shard)
    paths = _share(embeddings, *shard)
    wanted = file_labels.wanted(heads, named, embeddings, paths, FLAGS.top)
    located = {item.key: item.path for item in items}
    if wanted and located.keys().isdisjoint(wanted):
        raise InputError(
            f"--files {' '.join(FLAGS.files)}: has none of the {len(wanted)} files that were "
            f"embedded, such as {min(wanted)!r}; expected what mar embed was given"
        )
    outcome = file_labels.Outcome()
    for item in items:
        if item.expected and item.key not in wanted:
            outcome.failures[item.key] = embeddings.failures.get(item.key, "has no embedding")
    return _tag(outcome, located, wanted)


def _remove(shard):
    """Our fields out of the files; returns the exit code."""
    from mar.embedding import changes
    from mar.probing import file_labels

    items = changes.share(files.find(FLAGS.files), *shard)
    located = {item.key: item.path for item in items if item.expected}
    return _tag(file_labels.Outcome(), located, dict.fromkeys(located))


def _tag(outcome, located, wanted):
    """Changes files, or prints what would change."""
    for path, changes in outcome.of(located, wanted, FLAGS.write):
        for field, (now, then) in changes.items() if not FLAGS.write else ():
            print(f"{path}: {field}: {'; '.join(now) or '–'} → {'; '.join(then) or '–'}")
    _list("not labelled" if not FLAGS.remove else "not cleaned", outcome.failures)
    done = "changed" if FLAGS.write else "would change (--write changes them)"
    print(
        f"{outcome.changed} files {done}, {outcome.unchanged} are as they should be, "
        f"{len(outcome.failures)} failed"
    )
    return 2 if outcome.failures else 0


def _share(embeddings, shard, shards):
    """Which of the embedded files this machine labels; None for all."""
    if shards == 1:
        return None
    return [path for path in embeddings.paths if files.shard_of(path, shards) == shard]


def _embeddings(heads, inputs, shard):
    """The data set that is labelled; audio is embedded into it first."""
    from mar.embedding.store import Embeddings

    if _are_embeddings(inputs):
        return Embeddings(inputs[0])
    first, *others = heads.values()
    for other in others:
        other.check(first.about["embeddings"], f"the head of {first.about['task']}")
    from mar.embedding import cluster
    from mar.embedding.catalogue import Catalogue

    made = first.about["embeddings"]
    windows = ("window_seconds", "hop_seconds", "first_centre_seconds")
    needs_windows = FLAGS.timeline or any(head.reads_windows for head in heads.values())
    settings = {
        "windows": {
            "Windows": {name: made[name] for name in windows if made.get(name) is not None}
        },
        "store": "timeline" if needs_windows else "mean",
        **({"precision": made["precision"]} if "precision" in made else {}),
    }
    job = Catalogue.from_config({"Catalogue": settings})
    items, model = files.find(inputs), FLAGS.model or made["model_source"]
    for head in heads.values():
        head.check(job.embedder(model).provenance, f"--model {model}")
    if FLAGS.ray_address:
        cluster.run(job, model, items, FLAGS.embeddings, FLAGS.ray_address, shard)
    else:
        job.run(model, items, FLAGS.embeddings, shard)
    return Embeddings(FLAGS.embeddings)


def _report(output, rows, count, embeddings):
    """Prints what was labelled; returns the exit code."""
    skipped = set(embeddings.skipped)
    failures = {path: why for path, why in embeddings.failures.items() if path not in skipped}
    _list("no embedding", failures)
    print(
        f"{os.fspath(output)}: {rows} rows of {count} files, {len(failures)} without embedding, "
        f"{len(skipped)} skipped (not audio)"
    )
    return 2 if failures else 0


def _list(what, failures):
    """Names the files of which something failed."""
    for path, reason in list(failures.items())[:_LISTED]:
        print(f"{what}: {path!r}: {reason}", file=sys.stderr)
    if len(failures) > _LISTED:
        print(f"… and {len(failures) - _LISTED} more", file=sys.stderr)


if __name__ == "__main__":
    cli.run(main)
