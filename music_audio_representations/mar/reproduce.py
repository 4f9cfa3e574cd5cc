"""Reproduces the paper's tables from audio, and keeps a page on how far it is.

    mar reproduce --audio collections.yaml --model mule --output reproduction/

The first call writes `collections.yaml`, in which you say where which collection's audio lies; what
is left empty is left out. Annotations are fetched, the audio is checked and embedded, each file
once however many tasks share it, and the tasks are probed. `reproduction/index.html` has Tables 1
to 4 with what was measured, what runs, what is missing and why.

`--model` is what mar embed takes; of a folder of embeddings that others made, THEIRS?made_by=NAME,
those of GTZAN lie in THEIRS/GTZAN/, and so on, and audio is not needed.

The same command resumes a run that was interrupted; nothing is done twice.
`--probes` are those of Table 2 (table2), the published model's own (published), searched within
what Table 2 allows (search), or in a folder with a TASK.yaml of each task. The exit code is 0, 2
where a task whose audio is given was not measured, or 1 where nothing could be done.
"""

import pathlib

from absl import flags

from mar.embedding import model_names
from mar.embedding.encoders import address as addresses
from mar.errors import ConfigError
from mar.util import cli
from mar.util.backends import require_tensorflow
from mar.util.names import check_folder, printable

FLAGS = flags.FLAGS
flags.DEFINE_string("audio", None, "File that says where which collection's audio lies.")
flags.DEFINE_string("model", "mule", "What mar embed takes.")
flags.DEFINE_string("name", None, "Row in the tables; by default the model's own name.")
cli.define_output_flag("Folder of all that is made.", "reproduction")
flags.DEFINE_list("tasks", [], "Tasks, separated by commas; by default all whose audio is given.")
flags.DEFINE_string("probes", "table2", "table2, published, search, or a folder: see above.")
flags.DEFINE_integer("trials", 50, "Trials of each search.", lower_bound=1)
flags.DEFINE_bool("allow_missing", False, "Go on without items that have no embedding.")
flags.DEFINE_integer("workers", None, "Files that are decoded at once.", lower_bound=1)
flags.DEFINE_integer("jobs", 1, "Probes or searches that run side by side.", lower_bound=1)
cli.define_shard_flag("embeds its share, and probes nothing")
cli.define_ray_flag()
cli.define_json_flag()
flags.mark_flag_as_required("audio")


def main(argv: list[str]) -> int:
    if len(argv) > 1:
        raise ConfigError(f"expected flags alone, got {argv[1:]}")
    shard = cli.shard()
    require_tensorflow("training")
    from mar.reproducing import collections, probes

    choice = probes.chosen(FLAGS.probes, FLAGS.trials)
    tasks = _tasks()
    model_names.check(FLAGS.model)
    name = printable(FLAGS.name or _name_of(FLAGS.model))
    check_folder("--name", name)
    if not pathlib.Path(FLAGS.audio).exists():
        collections.write_template(FLAGS.audio)
        cli.say(f"{FLAGS.audio}: written; say in it where the audio lies, then run this again")
        cli.summarize(template=FLAGS.audio)
        return 0
    places = collections.read(FLAGS.audio)
    if addresses.of_embeddings(FLAGS.model) is not None:
        if shard != (0, 1) or FLAGS.ray_address:
            raise ConfigError(
                f"expected no --shard or --ray_address with {FLAGS.model}, which is taken over"
            )
    elif not any(place.audio for place in places.values()):
        raise ConfigError(f"{FLAGS.audio}: expected the folder of some collection, as `audio`")

    from mar.reproducing.reproduction import Reproduction
    from mar.reproducing.request import Request

    request = Request(
        pathlib.Path(FLAGS.output),
        FLAGS.model,
        name,
        places,
        tasks,
        choice,
        FLAGS.allow_missing,
        FLAGS.workers,
        FLAGS.jobs,
        shard,
        FLAGS.ray_address,
    )
    reproduction = Reproduction(request)
    is_done = reproduction.run()
    _tell(reproduction)
    return 0 if is_done else 2


def _name_of(model):
    """The last part of a model's path or address, without its options."""
    return model.partition("?")[0].rstrip("/").rpartition("/")[2]


def _tasks():
    """The paper's tasks that are asked for, in its order."""
    from mar.reproducing.collections import TASKS
    from mar.tasks import find_task

    wanted = [find_task(name).name for name in FLAGS.tasks] or TASKS
    for name in wanted:
        if name not in TASKS:
            raise ConfigError(f"--tasks: expected tasks of the paper's tables, got {name}")
    return [name for name in TASKS if name in wanted]


def _tell(reproduction):
    """Says what became of the tasks that were asked for."""
    states = {name: reproduction.states[name] for name in reproduction.request.tasks}
    for name, state in states.items():
        if state.stage != "left out":
            cli.say(f"{name:<9} {state.stage}{': ' if state.why else ''}{state.why}")
    page = reproduction.request.output / "index.html"
    cli.say(page)
    told = {name: {"state": state.stage, "why": state.why} for name, state in states.items()}
    cli.summarize(page=str(page), tasks=told)


if __name__ == "__main__":
    cli.run(main)
