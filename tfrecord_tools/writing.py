"""What the commands that write data sets share: flags, the report, the exit code."""

import collections
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from mar.util import cli

if TYPE_CHECKING:
    from mar.records.shards import Job

FLAGS = flags.FLAGS
_LISTED = 20
_NUMBER = re.compile(r"\d+(\.\d+)?")


def define_flags() -> None:
    """Defines the flags that say where and how a data set is written."""
    flags.DEFINE_string("output", None, "Folder of the data set.", short_name="o", required=True)
    flags.DEFINE_integer("workers", len(os.sched_getaffinity(0)), "Processes.", lower_bound=1)
    cli.define_shard_flag("writes every n-th shard from the i-th")
    cli.define_ray_flag()
    flags.DEFINE_integer("shard_megabytes", 256, "About how large shards are.", lower_bound=1)
    flags.DEFINE_bool("skip_errors", False, "Exit with 0 though files could not be read.")


def write(job: "Job") -> int:
    """Writes a data set, prints what came of it, and returns the exit code."""
    from mar.records import writer

    outcome = writer.write(job, FLAGS.output, FLAGS.workers, cli.shard(), FLAGS.ray_address)
    if job.earlier:
        added = outcome.tracks - len(job.earlier.rows)
        print(f"{added} tracks added, {job.earlier.dropped} dropped")
    print(f"{FLAGS.output}: {outcome.tracks} tracks, {outcome.seconds / 3600:.2f} hours of audio")
    if outcome.missing_shards:
        print(f"{outcome.missing_shards} shards are left to others; the manifest comes last")
    for track, reason in outcome.failed[:_LISTED]:
        print(f"failed: {track}: {reason}", file=sys.stderr)
    if outcome.failed:
        print(f"{len(outcome.failed)} could not be read, see {writer.FAILED}", file=sys.stderr)
        for reason, count in _reasons(job, outcome.failed):
            print(f"{count:10d} {reason}", file=sys.stderr)
    return 2 if outcome.failed and not FLAGS.skip_errors else 0


def _reasons(job: "Job", failed: Sequence[tuple[str, str]]) -> list[tuple[str, int]]:
    """How often each reason occurs, whatever file and numbers it names; the most frequent first."""
    from mar.audio import decode

    paths = {}
    if "path" in job.tracks.column_names:
        columns = (job.tracks[name].to_pylist() for name in ("id", "path"))
        paths = dict(zip(*columns, strict=True))
    counts: collections.Counter[str] = collections.Counter()
    for track, reason in failed:
        prefix = f"{decode.shown(paths[track])}: " if track in paths else ""
        counts[_NUMBER.sub("…", reason.removeprefix(prefix))] += 1
    return counts.most_common()
