"""Tells how robust an embedding is to altered copies: MP3, lead-in, gain, noise, speed and others.

    mar robust --model mule --output robust/ ~/Music
    mar robust --model mule --head results/moods/mule/0 --task moods.csv --output robust/ ~/Music

Each file is copied in ten ways, and embedded as it is and as each of them; prints how alike the
embeddings of a file and its copies are. With heads and the tasks that they were trained on, whose
test items alone are embedded then, also what each probe loses. Ways that must not show, such as the
size of batches or the container, are rows of the same table.

Each kind of copy is a data set below --output, which is resumed, and robustness.md, .csv, .tex and
.html are the table. --seconds takes the middle of each file alone.

The exit code is 0; 2 where files failed; 1 where nothing could be done, and one sentence says why.
"""

from absl import flags

from mar.embedding import model_names
from mar.errors import ConfigError
from mar.util import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "mule", "A file or folder, or a name: see mar embed.")
cli.define_output_flag("Folder of the embeddings and the table.", required=True)
flags.DEFINE_multi_string("head", [], "A head, or the folder of its run; repeatable.")
flags.DEFINE_multi_string("task", [], "The task of a head; repeatable.", short_name="t")
flags.DEFINE_string("metadata", None, "Folder with the tasks' official files.")
cli.define_own_task_flags()
flags.DEFINE_float("seconds", None, "Of the middle of each file, alone.", lower_bound=1.0)
cli.define_json_flag()
cli.define_config_flags(required=False)


def main(argv: list[str]) -> int:
    if len(argv) < 2:
        raise ConfigError("expected audio files, folders or lists")
    if bool(FLAGS.head) != bool(FLAGS.task):
        raise ConfigError("expected --head and --task together: what a probe loses is its score")
    cli.check_config()
    cli.check_paths("head", "metadata")
    model_names.check(FLAGS.model)

    from mar.embedding import files
    from mar.embedding.catalogue import Catalogue

    tasks = _tasks()
    job = Catalogue.of_model(FLAGS.model, FLAGS.config, FLAGS.set)
    items, heads = _items(files.find(argv[1:]), tasks), _heads(tasks)

    from mar.embedding import robustness
    from mar.reporting import formats
    from mar.reporting.robustness import measure, robustness_table

    embedder = job.embedder(FLAGS.model)
    for head, _ in heads.values():
        head.check(embedder.provenance, "the model's embeddings")
    chosen = robustness.kinds(embedder, job.replace(batch_size=1).embedder(FLAGS.model))
    failures = robustness.embed(embedder, chosen, items, FLAGS.output, FLAGS.seconds)
    for path, reason in failures.items():
        cli.say(f"failed: {path!r}: {reason}")
    measured = measure(FLAGS.output, chosen, heads, {item.key for item in items} - {*failures})
    table = robustness_table(measured)
    formats.write(table, FLAGS.output)
    cli.say(formats.markdown(table))
    cli.summarize(
        output=FLAGS.output, copies=measured.to_dict("records"), failures=[*failures.items()]
    )
    return 2 if failures else 0


def _tasks():
    """The tasks by name."""
    from mar.tasks import Task

    tasks = [Task(name, FLAGS.metadata, **cli.own_task()) for name in FLAGS.task]
    return {task.name: task for task in tasks}


def _items(items, tasks):
    """The files; where there are tasks, their test items."""
    audio = [item for item in items if item.expected]
    if not tasks:
        return audio
    wanted = set()
    for task in tasks.values():
        located = task.locate([item.key for item in audio])
        wanted |= {located[row] for row in task.rows("test")}
    tested = [item for item in audio if item.key in wanted]
    if not tested:
        raise ConfigError(f"expected audio of test items of {', '.join(tasks)}, got none of them")
    return tested


def _heads(tasks):
    """`{name: (head, task)}`; raises ConfigError where a head's task was not given, or twice."""
    from mar.probing import tagging
    from mar.probing.head import Head

    heads = {}
    named = tagging.named([Head(source) for source in FLAGS.head])
    for source, (name, head) in zip(FLAGS.head, named.items(), strict=True):
        if name not in tasks:
            raise ConfigError(f"--head {source}: expected --task {name}, got {', '.join(tasks)}")
        task = tasks[name]
        if (head.kind, [*head.labels]) != (task.kind, [*task.labels]):
            raise ConfigError(
                f"--head {source}: expected a head of the labels of --task {name} "
                f"({task.kind}: {', '.join(task.labels)}), got one of others "
                f"({head.kind}: {', '.join(head.labels)})"
            )
        heads[name] = head, task
    return heads


if __name__ == "__main__":
    cli.run(main)
