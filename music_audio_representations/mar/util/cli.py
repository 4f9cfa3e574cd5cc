"""What all commands share: `--config` with `--set`, and how errors end them."""

import gc
import io
import itertools
import json
import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from absl import flags

from mar.errors import ConfigError, InputError
from mar.util import groups, overrides, shipped, terminal, usage, yaml_file
from mar.util.backends import needed_by
from mar.util.names import printable


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


class _OnDisk(flags.ArgumentParser):
    """The path of what is written on a disk alone; `~` is the home folder."""

    def parse(self, argument: str) -> str:
        return os.path.expanduser(argument)


def define_output_flag(
    text: str,
    default: str | None = None,
    name: str = "output",
    short_name: str | None = "o",
    required: bool = False,
) -> None:
    """Defines a flag for what is written on a disk of this machine: an address is refused.

    Args:
        text: for the help.
        default: its value where it is not given.
        name: of the flag.
        short_name: of one letter.
        required: whether it must be given.
    """
    serializer: flags.ArgumentSerializer[str] = flags.ArgumentSerializer()
    flags.DEFINE(
        _OnDisk(), name, default, text, serializer=serializer, short_name=short_name,
        required=required,
    )  # fmt: skip


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
        "Your own table: its column of labels, where not called so; repeatable.",
    )
    flags.DEFINE_string(
        "label_separator",
        None,
        "Your own table: what is between a file's labels; | in a column labels.",
    )
    flags.DEFINE_enum(
        "separated_by",
        None,
        groups.SEPARATIONS,
        "Your own: what one split has as a whole; default: a column artist, album.",
    )


def own_task() -> dict[str, Any]:
    """What these flags say, as arguments of `mar.Task`."""
    names = ("label_column", "label_separator", "separated_by")
    return {name: flags.FLAGS[name].value for name in names}


def check_paths(*names: str) -> None:
    """That the files and folders which flags name are there; those on other machines may be.

    Raises:
        InputError: one is not.
    """
    for name in names:
        values = flags.FLAGS[name].value or []
        for value in [values] if isinstance(values, str) else values:
            elsewhere = value == "-" or "://" in value
            if not elsewhere and not os.path.lexists(os.path.expanduser(value)):
                raise InputError(f"--{name}: {value}: no such file or folder")


def check_distinct(flag: str, given: Sequence[str], names: Sequence[str]) -> None:
    """Refuses what would have one name.

    Args:
        flag: that it was given by.
        given: its values.
        names: of these.

    Raises:
        ConfigError: two have the same one.
    """
    for name in names:
        if names.count(name) > 1:
            alike = [path for path, other in zip(given, names, strict=True) if other == name]
            raise ConfigError(
                f"--{flag}: {' and '.join(alike)} are both called {name}, and so would what is "
                f"made of them; rename one, or give them to commands with another --output"
            )


def check_config() -> None:
    """That `--config` and `--set` can be read; what they name is known when the classes are there.

    Raises:
        ConfigError: they cannot.
    """
    if flags.FLAGS.config is not None:
        yaml_file.document(shipped.located(flags.FLAGS.config))
    for override in flags.FLAGS.set:
        overrides.parse(override)


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


def define_common_flags() -> None:
    """Defines what every command has: `--verbose`."""
    flags.DEFINE_bool("verbose", False, "Show what libraries write about themselves, too.")


def define_json_flag() -> None:
    """Defines `--json`, see `say` and `summarize`."""
    flags.DEFINE_bool(
        "json", False, "Print one JSON object, the summary, alone to standard output."
    )


def define_fail_on_flag() -> None:
    """Defines `--fail_on`, see `exit_code`."""
    flags.DEFINE_enum(
        "fail_on",
        "any",
        ["new", "any", "none"],
        "Which failed files make the exit code 2.",
    )
    define_gone_flag("skip_errors", "--fail_on none does that")


def define_gone_flag(name: str, remedy: str, takes_value: bool = False) -> None:
    """Defines a flag that there was in an earlier version, and is refused now.

    Args:
        remedy: what to do instead.
        takes_value: whether it had one, rather than being there or not.
    """
    define = flags.DEFINE_string if takes_value else flags.DEFINE_bool
    define(name, None, f"{usage.GONE}{remedy}")


def exit_code(new: int, again: int) -> int:
    """2 where files failed that `--fail_on` counts, or else 0.

    Args:
        new: how many failed that had not failed before, or have changed since.
        again: how many others failed.
    """
    counted = {"new": new, "any": new + again, "none": 0}
    return 2 if counted[flags.FLAGS.fail_on] else 0


def say(line: object) -> None:
    """Prints a line of a command's results; nothing with `--json`."""
    if not flags.FLAGS.json:
        print(line, flush=True)


def summarize(**facts: Any) -> None:
    """With `--json`, prints what became of the whole command, at its end."""
    if flags.FLAGS.json:
        print(json.dumps(facts, ensure_ascii=False))


def run(main: Callable[[list[str]], int | None]) -> None:
    """Parses the flags and calls `main(argv)`, whose result is the exit code.

    A ConfigError or InputError, or a wrong flag, is shown as one sentence and ends the command with
    exit code 1, and so is what the system says of a file that was removed, or a disk that failed,
    under way; any other exception is a defect and keeps its traceback. SIGINT and SIGTERM end it
    with 130 and 143, once it has kept what must be kept, and an output that nobody reads any more
    ends it quietly with 141. Flags may follow arguments. `-h` and `--help` print what
    `mar.util.usage` makes of `main`'s module, and end it with 0. Standard error is the command's
    own, see `mar.util.terminal`.
    """
    # Imports and the building of networks make hundreds of thousands of objects that stay, and by
    # default Python searches the new ones for garbage after every 700.
    gc.set_threshold(20_000)
    # TensorFlow turns oneDNN on by itself only where the processor has AVX-512.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    if sys.platform != "linux":
        print(f"mar is tested on Linux, and untested on {sys.platform}", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of any file go to a terminal of any kind
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so work is kept
    define_common_flags()
    flags.FLAGS.set_gnu_getopt(True)
    sys.exit(_guarded(main, sys.argv))


def _guarded(main, argv):
    """The exit code of a command."""
    try:
        options = itertools.takewhile(lambda argument: argument != "--", argv[1:])
        if {"-h", "--help"} & set(options):
            print(usage.of(main.__globals__, usage.own_flags()))
            code = 0
        else:
            arguments = flags.FLAGS(argv)
            terminal.take(flags.FLAGS.verbose)
            _refuse_gone_flags()
            _refuse_addresses()
            with needed_by("this command"):
                code = main(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        if not _is_closed(sys.stdout):
            raise
        return 128 + signal.SIGPIPE  # whoever reads it, such as head, has enough
    except (ConfigError, InputError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if not isinstance(error.filename, str | bytes):
            raise
        name = printable(os.fsdecode(error.filename))
        print(f"error: {name}: {error.strerror}", file=sys.stderr)
        return 1
    except flags.Error as error:
        print(f"error: {error} (--help lists the flags)", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 128 + signal.SIGINT


def _refuse_gone_flags():
    for flag in usage.own_flags():
        if flag.present and flag.help.startswith(usage.GONE):
            raise ConfigError(f"--{flag.name} is gone: {flag.help.removeprefix(usage.GONE)}")


def _refuse_addresses():
    """As outputs; what comes behind their scheme may be a secret, and is not shown."""
    for flag in usage.own_flags():
        scheme, separator, _ = str(flag.value).partition("://")
        if separator and isinstance(flag.parser, _OnDisk):
            raise ConfigError(
                f"--{flag.name}: expected a place on a disk to write to, got {scheme}://…; copy "
                "it to the bucket afterwards"
            )


def _is_closed(stream: TextIO) -> bool:
    """Whether nobody reads a stream any more; then what is left in it goes nowhere."""
    readers = select.poll()
    readers.register(stream.fileno(), 0)
    if not any(event & select.POLLERR for _, event in readers.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # Python flushes it at the end
    return True
