"""Lists the tracks that sound most like one.

    python -m mar.similar --embeddings embeddings/ song.mp3 [-k 10]

The track is a path as the data set has it, or any audio file, which is embedded if need be.
Prints the cosine similarity and the path of each, best first.
"""

from absl import flags

from mar.embedding import model_names
from mar.errors import ConfigError
from mar.util import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("embeddings", None, "Folder that mar.embed wrote.", required=True)
flags.DEFINE_integer("k", 10, "Number of tracks.", lower_bound=1)
flags.DEFINE_string(
    "model", None, "Model that embeds a new file; that of the data set where none is given."
)


def main(argv: list[str]) -> None:
    if len(argv) != 2:
        raise ConfigError(f"expected one track, got {argv[1:]}")
    if FLAGS.model is not None:
        model_names.check(FLAGS.model)

    from mar.audio import decode
    from mar.embedding.store import Embeddings

    for track in Embeddings(FLAGS.embeddings).nearest(argv[1], FLAGS.k, FLAGS.model):
        print(f"{track.similarity:.4f}  {decode.shown(track.path)}")


if __name__ == "__main__":
    cli.run(main)
