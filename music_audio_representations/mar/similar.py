"""Lists the tracks that sound most like one, or a way from one to another.

    mar similar --embeddings embeddings/ song.mp3 [-k 10]
    mar similar --embeddings embeddings/ song.mp3 --at 1:23
    mar similar --embeddings embeddings/ --like a.mp3 --like b.mp3 --unlike c.mp3
    mar similar --embeddings embeddings/ --from a.mp3 --to b.mp3

A track is a path as the data set has it, or any audio file, which is embedded if need be. --at
means a moment of it, as minutes and seconds; several --like are averaged, and what is --unlike is
avoided; --from and --to make a way of -k tracks between two.

--folder, --duration 60-300 (seconds; either may be left out) and --label, which --tags, a table of
mar tag, gives, say which tracks are searched; --diverse takes one of a folder at most.

Prints the cosine similarity and the path of each, best first; or, as --format says, JSON, CSV, or a
playlist (m3u), whose paths are below --audio, the folder that was embedded.
"""

import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from mar.embedding import model_names
from mar.errors import ConfigError
from mar.util import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("embeddings", None, "Folder that mar embed wrote.", required=True)
flags.DEFINE_integer("k", 10, "Number of tracks.", lower_bound=1)
flags.DEFINE_string("at", None, "Moment of the track that is meant, as 83, 1:23 or 1:02:03.")
flags.DEFINE_multi_string("like", [], "Track that the others shall be like; repeatable.")
flags.DEFINE_multi_string("unlike", [], "Track that they shall be unlike; repeatable.")
flags.DEFINE_string("from", None, "Track that a way begins at.")
flags.DEFINE_string("to", None, "Track that it leads to.")
flags.DEFINE_string("folder", None, "Folder in the data set that is searched.")
flags.DEFINE_string("duration", None, "Seconds that tracks may last, as 60-300, 60- or -300.")
flags.DEFINE_multi_string("label", [], "Label that tracks must have; repeatable.")
flags.DEFINE_string("tags", None, "Table of labels: .parquet, .csv or .jsonl.")
flags.DEFINE_bool("diverse", False, "Take at most one track of a folder.")
flags.DEFINE_enum("format", "text", ["text", "json", "csv", "m3u"], "What is printed.")
flags.DEFINE_string("audio", None, "Folder that was embedded, for the paths of a playlist.")
flags.DEFINE_string(
    "model", None, "Model that embeds a new file; that of the data set where none is given."
)


def main(argv: list[str]) -> None:
    way = _way(argv[1:])
    likes = [*argv[1:], *FLAGS.like]
    if not way and (len(argv) > 2 or not likes):
        raise ConfigError(f"expected one track, --like, or --from and --to; got {argv[1:]}")
    at = None if FLAGS.at is None else _seconds(FLAGS.at)
    conditions = _conditions()
    if FLAGS.model is not None:
        model_names.check(FLAGS.model)

    from mar.embedding import listing
    from mar.embedding.store import Embeddings

    embeddings = Embeddings(FLAGS.embeddings)
    among = embeddings.select(**conditions) if conditions else None
    if way:
        tracks = embeddings.between(*way, FLAGS.k, FLAGS.model, among=among)
    else:
        tracks = embeddings.nearest(
            likes,
            FLAGS.k,
            FLAGS.model,
            at=at,
            unlike=FLAGS.unlike,
            among=among,
            diverse=FLAGS.diverse,
        )
    listing.write(sys.stdout, tracks, FLAGS.format, FLAGS.audio)


def _way(tracks: Sequence[str]) -> tuple[str, str] | None:
    """Where a way begins and ends; None where none is asked for."""
    start, end = FLAGS["from"].value, FLAGS["to"].value
    if start is None and end is None:
        return None
    if start is None or end is None:
        raise ConfigError("expected --from and --to together")
    if tracks or FLAGS.like or FLAGS.unlike or FLAGS.at or FLAGS.diverse:
        raise ConfigError("--from and --to: expected no other track, --at or --diverse with them")
    return start, end


def _conditions() -> dict[str, Any]:
    """The arguments of `mar.Embeddings.select`; empty where all tracks are searched."""
    if bool(FLAGS.label) != bool(FLAGS.tags):
        raise ConfigError("expected --label and --tags, the table that gives it, together")
    conditions: dict[str, Any] = {}
    if FLAGS.folder is not None:
        conditions["folder"] = FLAGS.folder
    if FLAGS.duration is not None:
        least, dash, most = FLAGS.duration.partition("-")
        if not dash or not (least or most):
            raise ConfigError(f"--duration: expected 60-300, 60- or -300, got {FLAGS.duration!r}")
        conditions["min_seconds"] = _seconds(least) if least else None
        conditions["max_seconds"] = _seconds(most) if most else None
    if FLAGS.label:
        conditions |= {"labels": FLAGS.label, "tags": FLAGS.tags}
    return conditions


def _seconds(text: str) -> float:
    """A time as people write it: 83, 1:23, 1:02:03.5."""
    try:
        numbers = [float(part) for part in text.split(":")]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 3 or not all(0 <= number < float("inf") for number in numbers):
        raise ConfigError(f"expected a time such as 83, 1:23 or 1:02:03, got {text!r}")
    seconds = 0.0
    for number in numbers:
        seconds = 60 * seconds + number
    return seconds


if __name__ == "__main__":
    cli.run(main)
