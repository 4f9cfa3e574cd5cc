"""Downloads the annotations and splits of evaluation tasks, as far as they are free to download.

    mar fetch MTT Jam-50

Every file is verified. What has to be had elsewhere, the audio always, is listed.
"""

from mar.errors import ConfigError
from mar.util import cli


def more_help() -> str:
    """The tasks, for `--help`."""
    from mar.tasks import TASKS

    return "Tasks: " + ", ".join(TASKS)


def main(argv: list[str]) -> int:
    from mar.tasks import TASKS, fetched_folder, fetching, find_task, paper_task
    from mar.tasks.folder import is_own

    if len(argv) < 2:
        raise ConfigError(f"expected tasks to fetch, of {', '.join(TASKS)}")
    for name in argv[1:]:
        if paper_task(name) is None and is_own(name):
            raise ConfigError(f"{name}: expected one of {', '.join(TASKS)}, got a path")
    tasks = [find_task(name) for name in argv[1:]]
    for task in tasks:
        paths = fetching.fetch(task.name)
        print(f"{task.name}: {len(paths)} files in {fetched_folder(task.name)}")
        print(f"  Licence: {task.licence}\n  Please cite: {task.citation}")
        print("  To be had elsewhere:")
        for sentence in fetching.elsewhere(task.name):
            print(f"  - {sentence}")
    return 0


if __name__ == "__main__":
    cli.run(main)
