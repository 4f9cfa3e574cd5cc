"""Lists the tracks that sound most like one.

    python -m mar.similar --embeddings embeddings/ song.mp3 [-k 10]

The track is a path as the data set has it, or any audio file, which is embedded if need be.
Prints the cosine similarity and the path of each, best first.
"""

from absl import flags

from mar.errors import ConfigError, InputError
from mar.util import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("embeddings", None, "Folder that mar.embed wrote.", required=True)
flags.DEFINE_integer("k", 10, "Number of tracks.", lower_bound=1)
flags.DEFINE_string(
    "model", None, "Model that embeds a new file; that of the data set where none is given."
)


def main(argv):
    if len(argv) != 2:
        raise ConfigError(f"expected one track, got {argv[1:]}")
    track, folder = argv[1], FLAGS.embeddings

    from mar.audio import decode
    from mar.embedding import neighbours

    found = neighbours.stored(folder, track)
    key, query = found or (None, _embed(track, folder))
    for similarity, path in neighbours.nearest(folder, query, FLAGS.k, without={key}):
        print(f"{similarity:.4f}  {decode.shown(path)}")


def _embed(track, folder):
    """The mean embedding of a file, made as those of the data set were."""
    import mar
    from mar.audio import decode
    from mar.embedding import store
    from mar.models.saving import fingerprint

    made = store.provenance(folder)
    decode.info(track)  # what is neither in the data set nor audio is refused at once
    source = FLAGS.model or made["model_source"]
    try:
        model = mar.load_model(source)
    except InputError as error:
        raise InputError(f"{error}. --model says where the model of {folder} is") from None
    if fingerprint(model) != made["model"]:
        raise InputError(f"{source}: another model than that of {folder}; give its --model")
    names = ("window_seconds", "hop_seconds", "first_centre_seconds")
    windows = mar.Windows(**{name: made[name] for name in names})
    return mar.Embedder(model, windows, precision=made["precision"])(track).mean


if __name__ == "__main__":
    cli.run(main)
