"""Downloads the annotations and splits of evaluation tasks, as far as they are free to download.

    mar fetch MTT Jam-50

Every file is verified. What has to be had elsewhere, the audio always, is listed.
"""

from mar.errors import ConfigError
from mar.util import cli


def more_help() -> str:
    """The tasks, for `--help`."""
    from mar.tasks import PROTOCOLS, TASKS

    return f"Tasks: {', '.join(TASKS)}; other protocols: {', '.join(PROTOCOLS)}"


def main(argv: list[str]) -> int:
    from mar.tasks import NAMED, fetched_folder, fetching, find_task, paper_task
    from mar.tasks.folder import is_own

    if len(argv) < 2:
        raise ConfigError(f"expected tasks to fetch, of {', '.join(NAMED)}")
    for name in argv[1:]:
        if paper_task(name) is None and is_own(name):
            raise ConfigError(f"{name}: expected one of {', '.join(NAMED)}, got a path")
    tasks = [find_task(name) for name in argv[1:]]
    for task in tasks:
        paths = fetching.fetch(task.name)
        print(f"{task.name}: {len(paths)} files in {fetched_folder(task.name)}")
        print(f"  Licence: {task.licence}\n  Please cite: {task.citation}")
        if task.differs:
            print(f"  Protocol: {task.protocol}. {task.differs}")
        print("  To be had elsewhere:")
        for sentence in fetching.elsewhere(task.name):
            print(f"  - {sentence}")
    return 0


if __name__ == "__main__":
    cli.run(main)
