"""What all commands share: `--config` with `--set`, and how errors end them."""

import sys

from absl import app, flags

from mar.errors import ConfigError, InputError


def define_config_flags(default=None):
    """Defines `--config FILE` and the repeatable `--set Class.param=value`.

    Args:
        default: the configuration used when none is given; without one the flag is required.
    """
    flags.DEFINE_string("config", default, "SCOOCH configuration (YAML).", short_name="c")
    flags.DEFINE_multi_string(
        "set", [], "Override of one configuration value, Class.param=value; repeatable."
    )
    if default is None:
        flags.mark_flag_as_required("config")


def run(main):
    """Parses the flags and calls `main(argv)`, whose result is the exit code.

    A ConfigError or InputError is shown as one sentence and ends the command with exit code 1;
    any other exception is a defect and keeps its traceback. Flags may stand after arguments.
    """

    def guarded(argv):
        try:
            return main(argv)
        except (ConfigError, InputError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1

    flags.FLAGS.set_gnu_getopt(True)
    app.run(guarded)
