"""Downloads the annotations and splits of evaluation tasks, as far as they are free to download.

    mar fetch MTT Jam-50
    mar fetch probes

`probes` are the configurations of the paper's ninety probes, as they were published. Every file is
verified. What has to be had elsewhere, the audio always, is listed.
"""

from mar.errors import ConfigError, nearest
from mar.util import cli


def more_help() -> str:
    """The tasks, for `--help`."""
    from mar.tasks import PROTOCOLS, TASKS

    return f"Tasks: {', '.join(TASKS)}; other protocols: {', '.join(PROTOCOLS)}"


def main(argv: list[str]) -> int:
    from mar.tasks import NAMED, fetching

    known = [*NAMED, fetching.PROBES]
    if len(argv) < 2:
        raise ConfigError(f"expected what to fetch, of {', '.join(known)}")
    tasks = [_task(name, known) for name in argv[1:] if name != fetching.PROBES]
    if fetching.PROBES in argv[1:]:
        _fetch(fetching.PROBES, fetching.PROBES_LICENCE, fetching.PROBES_CITATION)
    for task in tasks:
        _fetch(task.name, task.licence, task.citation)
        if task.differs:
            print(f"  Protocol: {task.protocol}. {task.differs}")
        print("  To be had elsewhere:")
        for sentence in fetching.elsewhere(task.name):
            print(f"  - {sentence}")
    return 0


def _task(name, known):
    """The task of a name; raises ConfigError where there is none."""
    from mar.tasks import paper_task

    if (task := paper_task(name)) is None:
        raise ConfigError(f"{name}: expected one of {', '.join(known)}{nearest(name, known)}")
    return task


def _fetch(name, licence, citation):
    from mar.tasks import fetched_folder, fetching

    paths = fetching.fetch(name)
    print(f"{name}: {len(paths)} files in {fetched_folder(name)}")
    print(f"  Licence: {licence}\n  Please cite: {citation}")


if __name__ == "__main__":
    cli.run(main)
