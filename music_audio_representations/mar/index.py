"""Makes the index by which mar similar answers in milliseconds, or brings it up to date.

    mar index embeddings/

Run it again after mar embed: it adds what is new and drops what is gone. What an index lacks
is compared one by one, so that nothing is left out meanwhile.
"""

from mar.errors import ConfigError
from mar.util import cli


def main(argv: list[str]) -> None:
    if len(argv) != 2:
        raise ConfigError(f"expected one folder that mar embed wrote, got {argv[1:]}")

    from mar.embedding import indexing
    from mar.embedding.store import Embeddings

    embeddings = Embeddings(argv[1])
    summary = embeddings.index()
    if summary is None:
        print(
            f"{argv[1]}: no index: {len(embeddings)} tracks are compared one by one within a "
            f"second; from {indexing.SMALLEST} on there is one"
        )
    else:
        print(
            f"{argv[1]}: {summary.tracks} tracks in the index, {summary.added} added, "
            f"{summary.removed} removed"
        )


if __name__ == "__main__":
    cli.run(main)
