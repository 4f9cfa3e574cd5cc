"""One random excerpt of each track, as a data set of its own.

    mar records excerpt --output excerpts/ records/

Excerpts of 10 s make the data of the paper's Musicset-USmall. Tracks that are shorter are left out
and counted. Resumes, and divides the work, as tfrecord_tools.write does.
"""

from absl import flags

from mar.errors import ConfigError, InputError
from mar.util import cli
from tfrecord_tools import writing

FLAGS = flags.FLAGS
flags.DEFINE_float("seconds", 10.0, "Length of the excerpts.", lower_bound=0.01)
flags.DEFINE_integer("seed", 0, "Other seeds give other excerpts.", lower_bound=0)
writing.define_flags()


def main(argv: list[str]) -> int:
    """Writes the data set and returns the exit code."""
    if len(argv) != 2:
        raise ConfigError("expected one data set: its folder or manifest")
    writing.check_flags()
    from mar.data import excerpts
    from mar.records import manifest, shards, storage

    source = manifest.read(argv[1])
    header = source.header
    frames = round(FLAGS.seconds / header.hop_seconds)
    tracks = excerpts.excerpts(source, frames, FLAGS.seed)
    short = len(source) - len(tracks)
    if len(tracks) == 0:
        raise InputError(f"{argv[1]}: no track has {FLAGS.seconds:g} s")
    job = shards.Job(
        tracks,
        excerpts.ExcerptSource(storage.absolute(source.location), frames, header.hop_seconds),
        header.front_end,
        header.dtype,
        header.vocabulary,
        FLAGS.shard_megabytes * 1_000_000,
    )
    cli.say(f"{short} of {len(source)} tracks are shorter than {FLAGS.seconds:g} s and left out")
    return writing.write(job, too_short=short)


if __name__ == "__main__":
    cli.run(main)
