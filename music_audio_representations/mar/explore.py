"""Shows a catalogue in the browser: a map of its tracks, to listen to, search and label.

    mar explore embeddings/
    mar explore --table tags.parquet --head results/moods/mule/0 embeddings/

Prints the address of a page, on this machine alone, and serves it until Ctrl-C. The first time, the
map of a large data set is computed, and kept in the folder .map of it; so is the index of
mar.index. Where that is interrupted, it resumes the next time; tracks that came since are placed
on the map that there is.

Tracks can be coloured by what the data set knows of them, by the columns of every --table
(.parquet, .csv or .jsonl, with a column path, such as mar tag writes) and by what every --head says
of them. Labels that are taught on the page are saved as heads for mar tag, into --output.

Files are played from where they were embedded, or from --audio. One that is dropped on the page is
embedded by the model of the data set; --model says where that is, if it was moved.
"""

from absl import flags

from mar.embedding import model_names
from mar.errors import ConfigError
from mar.util import cli

FLAGS = flags.FLAGS
flags.DEFINE_integer("port", 8765, "Port of this machine; 0 takes a free one.", lower_bound=0)
flags.DEFINE_multi_string("table", [], "Table with a column path, to colour by; repeatable.")
flags.DEFINE_multi_string("head", [], "A head, or the folder of its run; repeatable.")
cli.define_output_flag("Folder for the heads that are saved.", "heads", short_name=None)
flags.DEFINE_string("audio", None, "Folder that was embedded, if it was moved.")
flags.DEFINE_string("model", None, "Where the data set's model is, if it was moved.")


def main(argv: list[str]) -> None:
    if len(argv) != 2:
        raise ConfigError(f"expected one folder that mar embed wrote, got {argv[1:]}")
    cli.check_paths("table", "head", "audio")
    if FLAGS.model is not None:
        model_names.check(FLAGS.model)

    from mar.embedding.store import Embeddings

    embeddings = Embeddings(argv[1])

    from mar.exploring.explorer import Explorer, Sources
    from mar.exploring.server import Server

    sources = Sources(FLAGS.table, FLAGS.head, FLAGS.audio, FLAGS.model, FLAGS.output)
    server = Server(FLAGS.port)
    explorer = Explorer(embeddings, sources)
    print(server.address, flush=True)
    server.run(explorer)


if __name__ == "__main__":
    cli.run(main)
