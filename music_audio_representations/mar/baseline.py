"""Embeds the audio of tasks with a baseline, or writes the untrained network.

    python -m mar.baseline --features MSD_musicnn --task AMM --audio DIR --output emb/
    python -m mar.baseline --features random --output random.keras

Features are `logmel_mean`, `MTT_musicnn` and `MSD_musicnn`. The data set is probed with mar.probe;
the untrained network is a model for mar.embed.
"""

import sys

from absl import flags

from mar.errors import ConfigError
from mar.util import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("features", None, "random, logmel_mean, MTT_musicnn or MSD_musicnn.")
flags.DEFINE_multi_string(
    "task", None, "Task, or path of your own folder or table; repeatable.", short_name="t"
)
flags.DEFINE_string("metadata", None, "Folder with the task's official files.")
flags.DEFINE_string("audio", None, "Folder that the tasks' audio paths are relative to.")
flags.DEFINE_string("output", None, "Folder to embed into; for random, a file.", short_name="o")
flags.DEFINE_string("wheel", None, "MusiCNN's wheel; by default pip downloads it.")
flags.DEFINE_integer("seed", 0, "Of the untrained network.", lower_bound=0)
flags.DEFINE_bool("skip_errors", False, "Exit with 0 though some files could not be embedded.")
flags.mark_flags_as_required(["features", "output"])


def main(argv):
    if len(argv) > 1:
        raise ConfigError(f"expected flags alone, got {argv[1:]}")
    from mar.embedding import representations
    from mar.tasks import Task

    if FLAGS.features == "random":
        representations.random_network(FLAGS.output, FLAGS.seed)
        return 0
    if FLAGS.features not in representations.FEATURES:
        known = ", ".join(("random", *representations.FEATURES))
        raise ConfigError(f"--features: expected one of {known}, got {FLAGS.features}")
    if FLAGS.task is None or FLAGS.audio is None:
        raise ConfigError("expected --task and --audio, which say what to embed")
    import tqdm

    if FLAGS.features == "logmel_mean":
        features = representations.LogMelMean()
    else:
        features = representations.MusiCNNWindows(FLAGS.features, FLAGS.wheel)
    tasks = [Task(name, FLAGS.metadata) for name in FLAGS.task]
    paths = list({path: None for task in tasks for path in task.audio(FLAGS.audio)})
    failures = representations.embed(features, FLAGS.audio, paths, FLAGS.output, tqdm.tqdm)
    for path, reason in failures.items():
        print(f"failed: {path}: {reason}", file=sys.stderr)
    print(f"{len(paths) - len(failures)} of {len(paths)} files in {FLAGS.output}")
    return 2 if failures and not FLAGS.skip_errors else 0


if __name__ == "__main__":
    cli.run(main)
