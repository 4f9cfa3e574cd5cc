"""Trains and tests a probe on embeddings.

    python -m mar.probe --task MTT --embeddings emb/ --config configs/probe/MTT.yaml

The task is one of the paper's fifteen, a folder of class folders, or a table `path,label[,split]`.
Its official files are read from `--metadata`, or from where `python -m mar.fetch TASK` put them.
Results are written to `results/<task>/<model>/<seed>/`.

`--task`, `--embeddings` and `--seed` may be repeated: every task is probed on all embeddings with
each seed.
"""

import itertools
import logging
import pathlib

from absl import flags

from mar.config import load
from mar.errors import ConfigError
from mar.util import cli

FLAGS = flags.FLAGS
flags.DEFINE_multi_string(
    "task", None, "Task, or path of your own folder or table; repeatable.", short_name="t"
)
flags.DEFINE_multi_string(
    "embeddings", None, "Folder that mar.embed wrote; repeatable.", short_name="e"
)
flags.DEFINE_string("metadata", None, "Folder with the task's official files.")
flags.DEFINE_string("output", "results", "Folder of all results.", short_name="o")
flags.DEFINE_string("model", None, "Row in the tables; by default the embeddings' folder's name.")
flags.DEFINE_integer("trials", 0, "Trials of a search on the validation set.", lower_bound=0)
flags.DEFINE_multi_integer(
    "seed", [0], "Of search, training and bootstrap; repeatable.", lower_bound=0
)
flags.DEFINE_integer("resamples", 1000, "Of the confidence intervals.", lower_bound=0)
flags.DEFINE_bool("allow_missing", False, "Go on without items that have no embedding.")
cli.define_config_flags()
flags.mark_flags_as_required(["task", "embeddings"])


def main(argv):
    if len(argv) > 1:
        raise ConfigError(f"expected flags alone, got {argv[1:]}")
    logging.getLogger("mar").setLevel(logging.INFO)
    from mar.tasks import task

    if FLAGS.model is not None and len(FLAGS.embeddings) > 1:
        raise ConfigError(f"--model: expected one for each of {FLAGS.embeddings}; leave it out")
    models = [pathlib.Path(folder).resolve().name for folder in FLAGS.embeddings]
    models = models if FLAGS.model is None else [FLAGS.model]
    _check_distinct("embeddings", FLAGS.embeddings, models)
    loaded = [task(name, FLAGS.metadata) for name in FLAGS.task]
    _check_distinct("task", FLAGS.task, [each.name for each in loaded])

    from mar.embedding.embeddings import open_embeddings
    from mar.probing import experiment  # with TensorFlow, which takes seconds
    from mar.probing.probe import MLP

    mlp = MLP(load(FLAGS.config, FLAGS.set))
    opened = [open_embeddings(folder) for folder in FLAGS.embeddings]
    for each, (embeddings, model), seed in itertools.product(
        loaded, zip(opened, models, strict=True), FLAGS.seed
    ):
        result = experiment.run(
            each,
            embeddings,
            mlp,
            FLAGS.output,
            model,
            trials=FLAGS.trials,
            seed=seed,
            allow_missing=FLAGS.allow_missing,
            resamples=FLAGS.resamples,
            progress=_Progress(),
        )
        print(summary(result), flush=True)
    return 0


def _check_distinct(flag, given, names):
    """Refuses what would be written into one folder."""
    for name in names:
        if names.count(name) > 1:
            alike = [path for path, other in zip(given, names, strict=True) if other == name]
            raise ConfigError(
                f"--{flag}: {' and '.join(alike)} are both called {name}, and so would their "
                f"results be; rename one, or give them to commands with another --output"
            )


def summary(result):
    """The result in a few lines."""
    lines = [f"{result['task']}, {result['model']}, seed {result['seed']}:"]
    for name, score in result["test"].items():
        interval = "" if score["low"] is None else f"  [{score['low']:.4f}, {score['high']:.4f}]"
        lines.append(f"  {name:<22} {score['value']:.4f}{interval}")
    items = " / ".join(str(count) for count in result["items"].values())
    lines.append(f"  {items} items to train / validate / test, {result['missing']} missing")
    if result["undefined_labels"]:
        lines.append(f"  undefined, left out: {', '.join(result['undefined_labels'])}")
    lines.append(
        f"  {result['steps']} steps in {result['probe_seconds']:.0f} s on {result['cpus']} CPUs, "
        f"after {result['trials']} trials"
    )
    return "\n".join(lines)


class _Progress:
    """Logs the loss ever more rarely."""

    def __init__(self):
        self._next = 0

    def __call__(self, done, loss):
        if done >= self._next:
            logging.getLogger("mar").info("step %d: loss %.4f", done, loss)
            self._next = 1.5 * done


if __name__ == "__main__":
    cli.run(main)
