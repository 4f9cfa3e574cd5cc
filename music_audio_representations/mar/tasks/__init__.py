"""The paper's fifteen evaluation tasks, and anyone's own."""

import difflib
import pathlib

from mar.errors import InputError
from mar.tasks import (
    amm,
    emomusic,
    giantsteps,
    gtzan,
    jamendo,
    magnatagatune,
    msd,
    msd_cleaned,
    mumu,
    nsynth,
)
from mar.tasks.folder import folder_task
from mar.util.download import cache_folder

_COLLECTIONS = (
    *(msd, msd_cleaned, amm, mumu, magnatagatune),
    *(nsynth, gtzan, emomusic, giantsteps, jamendo),
)
TASKS = {task.name: task for collection in _COLLECTIONS for task in collection.TASKS}


def find_task(name):
    """The `Task` of this name, in whatever case, or of a folder or table of one's own.

    Raises:
        InputError: there is none.
    """
    by_name = {_plain(known): task for known, task in TASKS.items()}
    if _plain(name) in by_name:
        return by_name[_plain(name)]
    if pathlib.Path(name).exists():
        return folder_task(name)
    nearest = difflib.get_close_matches(name, TASKS, n=1)
    raise InputError(
        f"{name}: expected a task ({', '.join(TASKS)}), or a folder of class folders, or a table "
        f"of labels{f'; did you mean {nearest[0]}?' if nearest else ''}"
    )


def task(name, folder=None):
    """A task with its items.

    Args:
        name: of the task, or the path of one's own folder or table.
        folder: where its official files lie; None for where `python -m mar.fetch` puts them.

    Returns:
        A `LoadedTask`.

    Raises:
        InputError: see `find_task` and `Task.load`.
    """
    found = find_task(name)
    if TASKS.get(found.name) is not found:
        return found.load(name)
    return found.load(folder or fetched_folder(found.name))


def fetched_folder(name):
    """Where the official files of a task are put by `python -m mar.fetch`."""
    return cache_folder() / "tasks" / name


def _plain(name):
    return str(name).lower().replace("_", "").replace("-", "")
