"""Checks a data set: every CRC and checksum, manifest against shards, NaN and infinity.

    mar records verify records/

Each problem is one line with file, record and byte. The exit code is 1 where there is one, or where
there is no data set, and else 0.
"""

import sys

from absl import flags

from mar.errors import ConfigError
from mar.util import cli

FLAGS = flags.FLAGS
cli.define_json_flag()
flags.DEFINE_integer("threads", 4, "Shards checked at a time.", lower_bound=1)


def main(argv: list[str]) -> int:
    """Prints the problems; returns the exit code."""
    if len(argv) != 2:
        raise ConfigError("expected one data set: its folder or manifest")
    from mar.records import manifest, verify
    from mar.util.progress import Progress, write

    data_set = manifest.read(argv[1])
    shards, found = len(data_set.header.shards), []
    checked = verify.verify(data_set, FLAGS.threads)
    with Progress(shards, "shard") as progress:
        for problems in checked:
            for problem in map(str, problems):
                found.append(problem)
                if not FLAGS.json:
                    write(problem, sys.stdout)
            progress.update()
    count = len(found) or "no"
    cli.say(f"{argv[1]}: {len(data_set)} tracks in {shards} shards, {count} problems")
    cli.summarize(data_set=argv[1], tracks=len(data_set), shards=shards, problems=found)
    return 1 if found else 0


if __name__ == "__main__":
    cli.run(main)
