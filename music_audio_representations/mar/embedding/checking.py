"""What is wrong with a collection: all that `mar embed` would take, decoded and not embedded."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import os
import queue
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from mar.audio import inspection, isolated
from mar.audio.decode import AudioInfo, Condition
from mar.audio.inspection import Measures, Problem
from mar.audio.isolated import IsolatedDecoder
from mar.embedding import files
from mar.embedding.files import AudioItem
from mar.errors import InputError
from mar.util import table_files
from mar.util.processes import processors

if TYPE_CHECKING:
    import pandas

_AHEAD = 1000  # files that are finished while one takes its time
_ROWS = 1000  # that are written at a time
SAME_AUDIO = "same audio"


@dataclasses.dataclass
class Checked:
    """What is known of one file.

    Attributes:
        path: its key, see `mar.embedding.files`.
        problems: what is wrong.
        audio_hash: see `mar.audio.decode.audio_hash`; None where it could not be read.
        info, condition, measures: None where it could not be decoded.
    """

    path: str
    problems: list[Problem] = dataclasses.field(default_factory=list)
    audio_hash: str | None = None
    info: AudioInfo | None = None
    condition: Condition | None = None
    measures: Measures | None = None

    def row(self) -> dict[str, str | float | int | None]:
        """A row of the table.

        `path`, `problems` (their kinds) and `details` (what there is to say of each); and, missing
        where the file could not be decoded, `duration`, `reader`, `sample_rate`, `channels`,
        `notes`, `damaged_seconds` and `audio_hash` as in the data sets of `mar embed` (see
        `mar.embedding.parts`), and `peak`, `channel_peak`, `clipped` and `offset` (see
        `mar.audio.inspection.Measures`). What is several is separated by semicolons.
        """
        row: dict[str, str | float | int | None] = dict.fromkeys(_SCHEMA.names)
        row |= {"path": self.path, "audio_hash": self.audio_hash}
        row["problems"] = "; ".join(problem.kind for problem in self.problems)
        row["details"] = "; ".join(problem.detail for problem in self.problems)
        if self.info is not None and self.condition is not None and self.measures is not None:
            measures = self.measures._asdict()
            row["duration"], row["notes"] = measures.pop("seconds"), "; ".join(self.condition.told)
            row["damaged_seconds"] = self.condition.damaged_seconds
            names = ("reader", "sample_rate", "channels")
            row |= {**measures, **{name: getattr(self.info, name) for name in names}}
        return row


_SCHEMA = pa.schema(
    {
        "path": pa.string(),
        "problems": pa.string(),
        "details": pa.string(),
        "duration": pa.float64(),
        "reader": pa.string(),
        "sample_rate": pa.int32(),
        "channels": pa.int32(),
        "notes": pa.string(),
        "damaged_seconds": pa.float64(),
        "peak": pa.float64(),
        "channel_peak": pa.float64(),
        "clipped": pa.float64(),
        "offset": pa.float64(),
        "audio_hash": pa.string(),
    }
)


def check(items: Iterable[AudioItem], workers: int | None = None) -> Generator[Checked, None, None]:
    """Decodes files in processes of their own, and yields what is known of each, in their order.

    Memory does not grow with their length or number, but for a hash of each. Of files with the same
    audio the later ones are told to be copies.

    Args:
        items: the files.
        workers: files that are decoded at once; None for one per core.
    """
    first: dict[str, str] = {}  # path of the first file with an audio
    with contextlib.closing(_inspected(items, workers)) as inspected:
        for checked in inspected:
            if checked.audio_hash is not None and checked.measures is not None:
                original = first.setdefault(checked.audio_hash, checked.path)
                if original != checked.path:
                    checked.problems.append(Problem(SAME_AUDIO, f"as {original}"))
            yield checked


def check_folder(
    audio: str | os.PathLike | Iterable[str | os.PathLike], workers: int | None = None
) -> "pandas.DataFrame":
    """What is wrong with a collection, as `mar check` tells it.

    Args:
        audio: a folder, an audio file or a list of files (`.txt`, `.m3u`), or several of them.
        workers: files that are decoded at once; None for one per core.

    Returns:
        A row per audio file, sorted by path: `Checked.row`. `table[table.problems != ""]` are those
        with which something is wrong.

    Raises:
        InputError: an input does not exist.
    """
    import pandas

    inputs = [audio] if isinstance(audio, (str, os.PathLike)) else audio
    items = files.find([os.path.expanduser(path) for path in inputs])
    rows = [checked.row() for checked in check((i for i in items if i.expected), workers)]
    return pandas.DataFrame(rows, columns=_SCHEMA.names)


@contextlib.contextmanager
def report(path: str | os.PathLike | None) -> Iterator[Callable[[Checked], None]]:
    """Writes a row of each file to a table, whole or not at all.

    Args:
        path: ends in `.csv`, `.parquet` or `.jsonl`; None for no table.

    Yields:
        A function that takes the next row.

    Raises:
        InputError: it has another ending, or cannot be written.
    """
    if path is None:
        yield lambda checked: None
        return
    rows: list[dict] = []
    with table_files.writer(path, _SCHEMA) as write_table:

        def write() -> None:
            write_table(pa.Table.from_pylist(rows, _SCHEMA))
            rows.clear()

        def add(checked: Checked) -> None:
            rows.append(checked.row())
            if len(rows) == _ROWS:
                write()

        yield add
        write()


def _inspected(items: Iterable[AudioItem], workers: int | None) -> Generator[Checked, None, None]:
    """Yields what is known of each file alone, in their order."""
    count = workers or processors()
    pending: collections.deque[concurrent.futures.Future[Checked]] = collections.deque()
    idle: queue.SimpleQueue[IsolatedDecoder] = queue.SimpleQueue()

    def inspect(item: AudioItem) -> Checked:
        decoder = idle.get()
        try:
            return _inspect(decoder, item)
        finally:
            idle.put(decoder)

    with contextlib.ExitStack() as stack:
        decoders = [stack.enter_context(isolated.decoder()) for _ in range(count)]
        for decoder in decoders:
            idle.put(decoder)
        executor = concurrent.futures.ThreadPoolExecutor(count)
        try:
            for item in items:
                pending.append(executor.submit(inspect, item))
                if len(pending) == _AHEAD:
                    yield pending[0].result()
                    pending.popleft()
            while pending:
                yield pending[0].result()
                pending.popleft()
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
            begun = [future for future in pending if not future.cancelled()]
            while concurrent.futures.wait(begun, timeout=0.1).not_done:
                for decoder in decoders:
                    decoder.interrupt()  # it may be at work on a long file, or stuck


def _inspect(decoder: IsolatedDecoder, item: AudioItem) -> Checked:
    checked, path = Checked(item.key), item.path
    try:
        with files.on_disk(item) as path:
            checked.audio_hash = decoder.audio_hash(path)
            info, blocks = decoder.measure(path)
            with contextlib.closing(blocks):
                measures = inspection.combined(blocks)
    except InputError as error:
        checked.problems.append(inspection.refusal(error, path))
    else:
        checked.info, checked.condition, checked.measures = info, decoder.condition, measures
        checked.problems += inspection.problems(measures, decoder.condition)
    return checked
