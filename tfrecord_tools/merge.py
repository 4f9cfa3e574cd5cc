"""Several data sets as one, with the labels of all.

    mar records merge --output records/all records/mine records/yours

All must have the same front end. A track that several have is taken once. Copies the records, and
checks them; tracks that were dropped are not copied. Resumes, and divides the work, as
tfrecord_tools.write does.
"""

from absl import flags

from mar.errors import ConfigError
from mar.util import cli
from tfrecord_tools import writing

FLAGS = flags.FLAGS
writing.define_flags()


def main(argv: list[str]) -> int:
    """Writes the data set and returns the exit code."""
    if len(argv) < 2:
        raise ConfigError("expected data sets: their folders or manifests")
    writing.check_flags()
    from mar.records import merging

    job, repeated = merging.merged(argv[1:], FLAGS.shard_megabytes * 1_000_000)
    cli.say(
        f"{len(argv) - 1} data sets with {len(job.vocabulary)} labels; {repeated} tracks that "
        "several of them have are taken once"
    )
    return writing.write(job, repeated=repeated)


if __name__ == "__main__":
    cli.run(main)
