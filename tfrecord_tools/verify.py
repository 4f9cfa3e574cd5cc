"""Checks a data set: every CRC and checksum, manifest against shards, NaN and infinity.

    python -m tfrecord_tools.verify records/

Each problem is one line with file, record and byte. Exit code 1 if there is one.
"""

import tqdm
from absl import app, flags

from mar.util import cli

FLAGS = flags.FLAGS
flags.DEFINE_integer("threads", 4, "Shards checked at a time.", lower_bound=1)


def main(argv):
    """Prints the problems; returns the exit code."""
    if len(argv) != 2:
        raise app.UsageError("expected one data set: its folder or manifest")
    from mar.records import manifest, verify

    rows = manifest.read(argv[1])
    shards, found = len(rows.header.shards), 0
    checked = verify.verify(rows, FLAGS.threads)
    for problems in tqdm.tqdm(checked, total=shards, unit="shard"):
        found += len(problems)
        for problem in problems:
            tqdm.tqdm.write(str(problem))
    print(f"{argv[1]}: {len(rows)} tracks in {shards} shards, {found or 'no'} problems")
    return 1 if found else 0


if __name__ == "__main__":
    cli.run(main)
