"""Trains and tests a probe on embeddings.

    mar probe --task MTT --embeddings emb/

The task is one of the paper's fifteen, a folder of class folders, a table `path,label[,split]`, or
`tags:genre:FOLDER`: what the files' own tags say. `--label_column` names the columns of a table
that has its labels elsewhere, `--label_separator` what stands between several labels of a file.
Its official files are read from `--metadata`, or from where `mar fetch TASK` put them.
The probe is that of the paper's Table 2, or a linear one for a task of your own; `--config` names
another, `--set` changes one of its values.
Results are written to `results/<task>/<model>/<seed>/`, with the head, which `mar.Head` applies.

`--task`, `--embeddings` and `--seed` may be repeated: every task is probed on all embeddings with
each seed.
"""

import itertools
import pathlib

from absl import flags

from mar.errors import ConfigError
from mar.util import cli
from mar.util.backends import require_tensorflow
from mar.util.names import printable

FLAGS = flags.FLAGS
flags.DEFINE_multi_string(
    "task",
    None,
    "Task, your own folder or table, or tags:genre:FOLDER; repeatable.",
    short_name="t",
)
flags.DEFINE_multi_string(
    "embeddings", None, "Folder that mar embed wrote; repeatable.", short_name="e"
)
cli.define_own_task_flags()
flags.DEFINE_string("metadata", None, "Folder with the task's official files.")
cli.define_output_flag("Folder of all results.", "results")
flags.DEFINE_string("model", None, "Row in the tables; by default the embeddings' folder's name.")
flags.DEFINE_integer("trials", 0, "Trials of a search on the validation set.", lower_bound=0)
flags.DEFINE_bool("search_dropout", False, "Search over dropout too, which Table 2 has fixed.")
flags.DEFINE_float("precision", None, "Of labels that are given: what thresholds shall reach.")
flags.DEFINE_float("recall", None, "Of labels: as --precision; by default the best F1.")
flags.DEFINE_multi_integer(
    "seed", [0], "Of search, training and intervals; repeatable.", lower_bound=0
)
flags.DEFINE_integer(
    "resamples",
    1000,
    "Random halves of the test items, for the intervals.",
    lower_bound=0,
)
flags.DEFINE_bool("allow_missing", False, "Go on without items that have no embedding.")
flags.DEFINE_list("curve", [], "Train on 5,10,20 examples of a label, too: what would more bring?")
cli.define_json_flag()
cli.define_config_flags(required=False)
flags.mark_flags_as_required(["task", "embeddings"])


def main(argv: list[str]) -> int:
    if len(argv) > 1:
        raise ConfigError(f"expected flags alone, got {argv[1:]}")
    require_tensorflow("training")
    cli.check_config()
    cli.check_paths("embeddings", "metadata")
    if FLAGS.precision is not None and FLAGS.recall is not None:
        raise ConfigError("expected --precision or --recall, got both")
    curve = _curve()
    from mar.embedding.store import Embeddings
    from mar.tasks import Task

    if FLAGS.model is not None and len(FLAGS.embeddings) > 1:
        raise ConfigError(f"--model: expected one for each of {FLAGS.embeddings}; leave it out")
    models = [pathlib.Path(folder).resolve().name for folder in FLAGS.embeddings]
    models = [*map(printable, models if FLAGS.model is None else [FLAGS.model])]
    cli.check_distinct("embeddings", FLAGS.embeddings, models)
    opened = [Embeddings(folder) for folder in FLAGS.embeddings]
    tasks = [Task(name, FLAGS.metadata, **cli.own_task()) for name in FLAGS.task]
    cli.check_distinct("task", FLAGS.task, [task.name for task in tasks])

    from mar.probing import results
    from mar.probing.head_file import FILE

    aim, told = _aim(), []
    probes = [_probe(task) for task in tasks]
    for probe, (embeddings, model), seed in itertools.product(
        probes, zip(opened, models, strict=True), FLAGS.seed
    ):
        task = probe.task
        result = probe.run(
            embeddings,
            model=model,
            trials=FLAGS.trials,
            search_dropout=FLAGS.search_dropout,
            seed=seed,
            resamples=FLAGS.resamples,
            aim=aim,
            curve=curve,
            allow_missing=FLAGS.allow_missing,
            scratch=results.prepare(FLAGS.output, task.name, model, task.hash()),
        )
        run = result.save(FLAGS.output)
        cli.say(f"{result}\n  head: {run.folder / FILE}")
        told.append({"folder": str(run.folder), "head": str(run.folder / FILE), **result.facts})
    cli.summarize(runs=told)
    return 0


def _probe(task):
    """The one that the flags describe; without --config the one that the task comes with."""
    from mar.probing.experiment import MLP, Probe  # with TensorFlow, which takes seconds

    if FLAGS.config:
        return Probe(MLP.load(FLAGS.config, FLAGS.set), task)
    return Probe.for_task(task, FLAGS.set)


def _aim():
    """What the thresholds are for."""
    from mar.probing.fitting import Aim

    if FLAGS.precision is not None:
        return Aim("precision", FLAGS.precision)
    return Aim() if FLAGS.recall is None else Aim("recall", FLAGS.recall)


def _curve():
    """The numbers of examples of `--curve`."""
    if wrong := [size for size in FLAGS.curve if not (size.isdecimal() and int(size))]:
        raise ConfigError(f"--curve: expected numbers from 1 on, such as 5,10,20, got {wrong}")
    return [*map(int, FLAGS.curve)]


if __name__ == "__main__":
    cli.run(main)
