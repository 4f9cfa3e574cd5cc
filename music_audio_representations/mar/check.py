"""Tells what is wrong with a collection: decodes all that mar embed would take, and embeds nothing.

    mar check ~/Music
    mar check --output report.csv ~/Music albums.m3u

Prints a line for each thing that is wrong, and how many there are of each kind:

    unreadable   cannot be decoded at all; for this and the next three, mar embed would fail
    truncated    ends before its audio does
    damaged      part of it cannot be decoded; where that is little, mar embed leaves it out
    not finite   has samples that are NaN or infinite
    changes      changes its rate or channels on the way
    silent       nothing above −60 dB, in its channels or in their mean
    loud         its samples go beyond ten times full scale
    clipped      more than 0.1 % of the samples are at full scale, three or more in a row
    offset       the mean of the samples is more than 2 % of full scale away from 0
    short        is shorter than a window of 3 s
    same audio   has the audio of an earlier file, whatever its tags

--output writes a row of every file, with its length, rate, channels, peak and more. The exit code
is 0 where nothing is wrong, 2 where something is, or 1 where nothing could be done.
"""

import collections
import contextlib
import sys

from absl import flags

from mar.errors import ConfigError
from mar.util import cli, progress

FLAGS = flags.FLAGS
cli.define_output_flag("Table to write: .csv, .parquet or .jsonl.")
flags.DEFINE_integer(
    "workers", None, "Files that are decoded at once; one per core by default.", lower_bound=1
)


def main(argv: list[str]) -> int:
    if len(argv) < 2:
        raise ConfigError("expected audio files, folders or lists to check")

    from mar.audio.decode import shown
    from mar.embedding import checking, files

    items = files.find(argv[1:])
    audio = [item for item in items if item.expected]
    kinds: collections.Counter[str] = collections.Counter()
    wrong, seconds = 0, 0.0
    with (
        checking.report(FLAGS.output) as add,
        contextlib.closing(checking.check(audio, FLAGS.workers)) as checked_files,
        progress.Progress(len(audio), "file") as counter,
    ):
        for checked in checked_files:
            add(checked)
            for problem in checked.problems:
                line = f"{problem.kind:<11} {shown(checked.path)}: {problem.detail}"
                progress.write(line, sys.stdout)
            kinds.update({problem.kind for problem in checked.problems})
            wrong += bool(checked.problems)
            seconds += checked.measures.seconds if checked.measures else 0.0
            counter.update()
    print(
        f"{len(audio)} files, {seconds / 3600:.1f} h: {len(audio) - wrong} without fault, "
        f"{len(items) - len(audio)} skipped (not audio)"
    )
    for kind, count in kinds.most_common():
        print(f"{kind:<11} {count}")
    return 2 if wrong else 0


if __name__ == "__main__":
    cli.run(main)
