"""What the commands that write data sets share: flags, the report, the exit code."""

import collections
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from mar.util import cli

if TYPE_CHECKING:
    from mar.records.shards import Job

FLAGS = flags.FLAGS
_LISTED = 20
_NUMBER = re.compile(r"\d+(\.\d+)?")


def define_flags() -> None:
    """Defines the flags that say where and how a data set is written."""
    cli.define_output_flag("Folder of the data set.", required=True)
    flags.DEFINE_integer("workers", len(os.sched_getaffinity(0)), "Processes.", lower_bound=1)
    cli.define_shard_flag("writes every n-th shard from the i-th")
    cli.define_ray_flag()
    flags.DEFINE_integer("shard_megabytes", 256, "About how large shards are.", lower_bound=1)
    cli.define_fail_on_flag()
    cli.define_json_flag()


def check_flags() -> None:
    """Refuses what cannot be meant before anything is read.

    Raises:
        ConfigError: --shard is no share.
    """
    cli.shard()


def write(job: "Job", **facts: Any) -> int:
    """Writes a data set, tells what came of it, and returns the exit code.

    Args:
        job: what is written.
        **facts: more for the summary of `--json`.
    """
    from mar.records import manifest, writer

    before = set(writer.read_failed(manifest.manifest_location(FLAGS.output)))
    outcome = writer.write(job, FLAGS.output, FLAGS.workers, cli.shard(), FLAGS.ray_address)
    if job.earlier:
        facts["added"] = outcome.tracks - len(job.earlier.rows)
        facts["dropped"] = job.earlier.dropped
        cli.say(f"{facts['added']} tracks added, {facts['dropped']} dropped")
    cli.say(f"{FLAGS.output}: {outcome.tracks} tracks, {outcome.seconds / 3600:.2f} hours of audio")
    if outcome.missing_shards:
        cli.say(f"{outcome.missing_shards} shards are left to others; the manifest comes last")
    new = [failure for failure in outcome.failed if failure not in before]
    for track, reason in new[:_LISTED]:
        print(f"failed: {track}: {reason}", file=sys.stderr)
    if outcome.failed:
        again = f" ({len(new)} of them new)" if len(new) < len(outcome.failed) else ""
        print(
            f"{len(outcome.failed)} could not be read{again}, see {writer.FAILED}", file=sys.stderr
        )
        for reason, count in _reasons(job, outcome.failed):
            print(f"{count:10d} {reason}", file=sys.stderr)
    cli.summarize(
        output=FLAGS.output,
        tracks=outcome.tracks,
        audio_seconds=outcome.seconds,
        missing_shards=outcome.missing_shards,
        failed=[
            {"id": track, "reason": reason, "new": (track, reason) not in before}
            for track, reason in outcome.failed
        ],
        **facts,
    )
    return cli.exit_code(len(new), len(outcome.failed) - len(new))


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
