"""Checks a data set: every CRC and checksum, manifest against shards, NaN and infinity.

    python -m tfrecord_tools.verify records/

Each problem is one line with file, record and byte. Exit code 1 if there is one.
"""

import sys

from absl import flags

from mar.errors import ConfigError
from mar.util import cli

FLAGS = flags.FLAGS
flags.DEFINE_integer("threads", 4, "Shards checked at a time.", lower_bound=1)


def main(argv: list[str]) -> int:
    """Prints the problems; returns the exit code."""
    if len(argv) != 2:
        raise ConfigError("expected one data set: its folder or manifest")
    from mar.records import manifest, verify
    from mar.util.progress import Progress, write

    data_set = manifest.read(argv[1])
    shards, count = len(data_set.header.shards), 0
    checked = verify.verify(data_set, FLAGS.threads)
    with Progress(shards, "shard") as progress:
        for problems in checked:
            count += len(problems)
            for problem in problems:
                write(str(problem), sys.stdout)
            progress.update()
    print(f"{argv[1]}: {len(data_set)} tracks in {shards} shards, {count or 'no'} problems")
    return 1 if count else 0


if __name__ == "__main__":
    cli.run(main)
