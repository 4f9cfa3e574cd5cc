"""What all commands share: `--config` with `--set`, and how errors end them."""

import gc
import io
import itertools
import logging
import os
import select
import signal
import sys
from collections.abc import Callable
from typing import Any, TextIO

from absl import app, flags

from mar.errors import ConfigError, InputError
from mar.util import groups

flags.disclaim_key_flags()  # --help lists what is defined here as the calling command's own


def define_config_flags(required: bool = True) -> None:
    """Defines `--config FILE` and the repeatable `--set Class.param=value`.

    Args:
        required: whether there must be a file; without one, the defaults are used.
    """
    flags.DEFINE_string(
        "config",
        None,
        "SCOOCH configuration: a YAML file, or a name that `mar configs` lists.",
        short_name="c",
    )
    flags.DEFINE_multi_string(
        "set", [], "Override of one configuration value, Class.param=value; repeatable."
    )
    if required:
        flags.mark_flag_as_required("config")


def define_shard_flag(what: str) -> None:
    """Defines `--shard i/n`, by which n machines, or any job scheduler, share one job.

    Args:
        what: what each machine does, for the help.
    """
    flags.DEFINE_string("shard", "0/1", f"i/n, counted from 0: machine i of n {what}.")


def define_ray_flag() -> None:
    """Defines `--ray_address ADDRESS`."""
    flags.DEFINE_string("ray_address", None, "Ray cluster to run on; local starts one here.")


def define_own_task_flags() -> None:
    """Defines `--label_column`, `--label_separator` and `--separated_by`, see `own_task`."""
    flags.DEFINE_multi_string(
        "label_column",
        [],
        "Your own table: the column with the labels, where it is not called so; repeatable.",
    )
    flags.DEFINE_string(
        "label_separator",
        None,
        "Your own table: what stands between several labels of a file; of a column labels it is |.",
    )
    flags.DEFINE_enum(
        "separated_by",
        None,
        groups.SEPARATIONS,
        "Your own folder or table: what is in one split, all or nothing; default: a column artist, "
        "or album.",
    )


def own_task() -> dict[str, Any]:
    """What these flags say, as arguments of `mar.Task`."""
    names = ("label_column", "label_separator", "separated_by")
    return {name: flags.FLAGS[name].value for name in names}


def shard() -> tuple[int, int]:
    """`--shard` as `(i, n)`.

    Raises:
        ConfigError: it is not of that form.
    """
    first, _, count = flags.FLAGS.shard.partition("/")
    if not (first.isdigit() and count.isdigit() and int(first) < int(count)):
        raise ConfigError(
            f"--shard: expected i/n with i from 0 to n - 1, got {flags.FLAGS.shard!r}"
        )
    return int(first), int(count)


def run(main: Callable[[list[str]], int | None]) -> None:
    """Parses the flags and calls `main(argv)`, whose result is the exit code.

    A ConfigError or InputError is shown as one sentence and ends the command with exit code 1;
    any other exception is a defect and keeps its traceback. SIGINT and SIGTERM end it with 130 and
    143, once it has kept what must be kept, and an output that nobody reads any more ends it
    quietly with 141. Flags may follow arguments. `-h` and `--help` print the module's docstring and
    its flags, and end it with 0.
    """
    # Imports and the building of networks make hundreds of thousands of objects that stay, and by
    # default Python searches the new ones for garbage after every 700.
    gc.set_threshold(20_000)
    logging.getLogger("mar").setLevel(logging.INFO)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of any file go to a terminal of any kind
            stream.reconfigure(errors="backslashreplace")

    def guarded(argv: list[str]) -> int | None:
        try:
            code = main(argv)
            sys.stdout.flush()
            return code
        except BrokenPipeError:
            if not _is_closed(sys.stdout):
                raise
            return 128 + signal.SIGPIPE  # whoever reads it, such as head, has enough
        except (ConfigError, InputError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 128 + signal.SIGINT

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's remarks about itself
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so work is kept
    flags.FLAGS.set_gnu_getopt(True)
    options = itertools.takewhile(lambda argument: argument != "--", sys.argv[1:])
    if {"-h", "-help", "--help"} & set(options):  # absl does not know -h, and ends --help with 1
        app.usage(shorthelp=True, writeto_stdout=True)
        sys.exit(0)
    app.run(guarded)


def _is_closed(stream: TextIO) -> bool:
    """Whether nobody reads a stream any more; then what is left in it goes nowhere."""
    readers = select.poll()
    readers.register(stream.fileno(), 0)
    if not any(event & select.POLLERR for _, event in readers.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # Python flushes it at the end
    return True
