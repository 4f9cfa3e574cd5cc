"""Embeds deformed copies of a set: a data set of embeddings for each kind of copy.

    robust/original/       the files themselves, as 16-bit WAV
    robust/mp3_128/, …     their copies, see `mar.audio.deformations`
    robust/batch_of_1/, …  the same audio in other ways, which must not show

A copy that is there already, of a file that is as it was, is not made again.
"""

import contextlib
import dataclasses
import os
import pathlib
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mar.audio import decode, isolated
from mar.audio.deformations import CONTAINERS, DEFORMATIONS, Samples, write_wav
from mar.embedding import files
from mar.embedding.embedder import Embedder
from mar.embedding.files import AudioItem
from mar.embedding.rows import Row
from mar.embedding.writer import Writer
from mar.errors import InputError
from mar.util.progress import Progress

ORIGINAL = "original"
TWO_SHARDS = "two_shards"
_SHARDED = 8  # files that are embedded in two shards too
Embed = Callable[[pathlib.Path, Samples, int, np.random.Generator], np.ndarray]


class Kind(NamedTuple):
    """A kind of copy.

    Attributes:
        name: of its folder.
        about: what it is.
        promised: whether its embedding is to be the original's.
        embed: function of a folder for a file, samples, their rate and a generator of random
            numbers → the copy's mean embedding; None for shards, which are of a set.
    """

    name: str
    about: str
    promised: bool
    embed: Embed | None


def kinds(embedder: Embedder, one_by_one: Embedder) -> list[Kind]:
    """All kinds of copies, the original first, in the order of tables.

    Args:
        embedder: of the model.
        one_by_one: the same in batches of 1.
    """

    def of_file(write):
        return lambda folder, samples, rate, generator: (
            embedder(write(samples, rate, generator, folder / "copy")).mean
        )

    def original(folder, samples, rate, _):
        return embedder(write_wav(samples, rate, folder / "copy")).mean

    def alone(folder, samples, rate, _):
        return one_by_one(write_wav(samples, rate, folder / "copy")).mean

    def in_one_block(_, samples, rate, __):
        return embedder(samples, rate).mean

    return [
        Kind(ORIGINAL, "as it is", True, original),
        *(Kind(each.name, each.about, False, of_file(each.write)) for each in DEFORMATIONS),
        Kind("batch_of_1", "windows embedded one by one", True, alone),
        Kind("one_block", "samples given at once, not in blocks", True, in_one_block),
        *(Kind(each.name, each.about, True, of_file(each.write)) for each in CONTAINERS),
        Kind(TWO_SHARDS, f"the first {_SHARDED} files, in two shards", True, None),
    ]


def embed(
    embedder: Embedder,
    chosen: Sequence[Kind],
    items: Sequence[AudioItem],
    output: str | os.PathLike,
    seconds: float | None = None,
) -> dict[str, str]:
    """Brings the data sets of all kinds of copies up to date.

    Args:
        embedder: of the model.
        chosen: see `kinds`.
        items: the files.
        output: folder of the data sets.
        seconds: of the middle of each file, that are taken; None for all of it.

    Returns:
        `{path: reason}` of files that could not be embedded.

    Raises:
        InputError: a data set holds other embeddings, or another process writes into it.
    """
    made = {**embedder.provenance, "store": "mean", "format": "parquet", "seconds": seconds}
    failures: dict[str, str] = {}
    with contextlib.ExitStack() as opened:
        writers = {
            kind.name: opened.enter_context(
                Writer(pathlib.Path(output, kind.name), {**made, "copy": kind.about})
            )
            for kind in chosen
        }
        progress = opened.enter_context(Progress(len(items), "file"))
        for item in items:
            row = _row(item)
            todo = [k for k in chosen if k.embed and not _is_there(writers[k.name], row)]
            try:
                for kind, mean in _embedded(item, todo, seconds) if todo else ():
                    writers[kind.name].add(_with(row, mean))
            except InputError as error:
                failures[item.key] = str(error)
            progress.update()
        if TWO_SHARDS in writers:
            sharded = [item for item in items if item.key not in failures][:_SHARDED]
            _add_shards(embedder, sharded, seconds, writers[TWO_SHARDS])
    return failures


def excerpt(item: AudioItem, seconds: float | None) -> tuple[Samples, int]:
    """Samples of a file, `(samples, channels)` on 16-bit steps in ±1, and their rate in Hz.

    Args:
        item: the file.
        seconds: of its middle; None for all of it.

    Raises:
        InputError: it cannot be decoded, or changes its rate or channels on the way.
    """
    blocks: list[np.ndarray] = []
    rates: list[int] = []

    def note(block, rate):
        blocks.append(block)
        rates.append(rate)

    with files.on_disk(item) as path:
        for _ in isolated.blocks(path):  # in a process of its own first: it may crash its decoder
            pass
        for _ in decode.blocks(path, observe=note):
            pass
    if len({(block.shape[1], rate) for block, rate in zip(blocks, rates, strict=True)}) > 1:
        raise InputError(f"{item.path}: changes its rate or channels on the way")
    samples, rate = np.concatenate(blocks), rates[0]
    if seconds is not None:
        length = min(len(samples), round(seconds * rate))
        first = (len(samples) - length) // 2
        samples = samples[first : first + length]
    steps = np.clip(np.round(samples * 32768), -32768, 32767)
    return (steps / 32768).astype(np.float32), rate


def _embedded(
    item: AudioItem, todo: Sequence[Kind], seconds: float | None
) -> Iterator[tuple[Kind, np.ndarray]]:
    """The mean embedding of each kind of copy of a file."""
    samples, rate = excerpt(item, seconds)
    for kind in todo:
        assert kind.embed is not None
        generator = np.random.default_rng(zlib.crc32(f"{kind.name} {item.key}".encode()))
        with tempfile.TemporaryDirectory() as folder:
            yield kind, kind.embed(pathlib.Path(folder), samples, rate, generator)


def _add_shards(
    embedder: Embedder, items: Sequence[AudioItem], seconds: float | None, writer: Writer
) -> None:
    """Adds the mean embedding of each file in a data set that two runs shared."""
    if not items or all(_is_there(writer, _row(item)) for item in items):
        return
    with tempfile.TemporaryDirectory() as folder:
        music, output = pathlib.Path(folder, "music"), pathlib.Path(folder, "embeddings")
        music.mkdir()
        for number, item in enumerate(items):
            write_wav(*excerpt(item, seconds), music / str(number))
        for shard in range(2):
            embeddings = embedder.embed_folder(music, output, "mean", shard=(shard, 2))
        means = embeddings.means([f"{number}.wav" for number in range(len(items))])
    for item, mean in zip(items, means, strict=True):
        writer.add(_with(_row(item), mean))


def _row(item: AudioItem) -> Row:
    size, mtime_ns = files.state(item)
    return Row(item.key, "ok", None, size, mtime_ns, item.folder)


def _is_there(writer: Writer, row: Row) -> bool:
    earlier = writer.known.get(row.path)
    return (
        earlier is not None
        and earlier.has_embedding
        and earlier.state
        == (
            row.size,
            row.mtime_ns,
        )
    )


def _with(row: Row, mean: np.ndarray) -> Row:
    return dataclasses.replace(row, values=mean[None], times=np.zeros(1, np.float32))
