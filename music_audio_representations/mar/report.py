"""Writes a report of results: one HTML file that needs nothing else.

    mar report --results results/ --output report.html
    mar report --results results/ --embeddings emb/mule/ --task MTT \\
        --audio MagnaTagATune/ --output report.html

Scores with their intervals and seeds, differences of models, and what each is better at, label by
label. With embeddings, and the tasks that they were probed on, also a map of the test items, which
the tasks' labels colour; with their audio, five seconds of each can be heard.
"""

import os
import pathlib

from absl import flags

from mar.errors import ConfigError, InputError
from mar.util import cli
from mar.util.names import printable

FLAGS = flags.FLAGS
flags.DEFINE_string("results", "results", "Folder of all results, as mar probe wrote them.")
flags.DEFINE_multi_string(
    "embeddings", [], "Folder that mar embed wrote, for the map; repeatable.", short_name="e"
)
flags.DEFINE_multi_string(
    "task", [], "Task, or your own folder or table, for the map; repeatable.", short_name="t"
)
cli.define_own_task_flags()
flags.DEFINE_string("metadata", None, "Folder with the tasks' official files.")
flags.DEFINE_string("audio", None, "Folder that the audio paths are relative to, to be heard.")
cli.define_output_flag("HTML file to write.", required=True)
cli.define_gone_flag(
    "quickstart",
    "python -m examples.miniature.report FOLDER, in the clone, writes that report",
    takes_value=True,
)
cli.define_gone_flag("sound", "--audio says where the sound is")


def main(argv: list[str]) -> int:
    if len(argv) > 1:
        raise ConfigError(f"expected flags alone, got {argv[1:]}")
    if bool(FLAGS.embeddings) != bool(FLAGS.task):
        raise ConfigError("expected --embeddings and --task together: they make the map")
    if FLAGS.audio and not FLAGS.task:
        raise ConfigError("--audio: expected --embeddings and --task, which make the map")
    if not os.path.isdir(FLAGS.results):
        raise InputError(
            f"--results: {FLAGS.results}: expected results as TASK/MODEL/SEED/result.json, found no"
            f" such folder"
        )
    cli.check_paths("embeddings", "metadata", "audio")
    from mar.tasks import Task

    tasks = [Task(name, FLAGS.metadata, **cli.own_task()) for name in FLAGS.task]
    from mar.probing.results import Results
    from mar.reporting import page

    results = Results(FLAGS.results)
    page.write(page.render(results, _item_map(tasks) if tasks else None), FLAGS.output)
    print(FLAGS.output)
    return 0


def _item_map(tasks: list) -> dict:
    from mar.embedding.store import Embeddings
    from mar.reporting import item_map

    names = [printable(pathlib.Path(folder).resolve().name) for folder in FLAGS.embeddings]
    cli.check_distinct("embeddings", FLAGS.embeddings, names)
    embeddings = dict(zip(names, map(Embeddings, FLAGS.embeddings), strict=True))
    return item_map.of_tasks(tasks, embeddings, FLAGS.audio)


if __name__ == "__main__":
    cli.run(main)
