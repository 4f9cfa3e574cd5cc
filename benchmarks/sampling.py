"""Random snippets out of TFRecords, beside what people have.

    python -m benchmarks.sampling [--rounds 5]

200 spectrograms of three minutes, in the page cache; batches of 512 snippets of three seconds. The
same from `TFRecordDataset`, parse and random crop; from the best conventional layout, in which
bytes are cut before they are decoded and 16 crops are taken of a record; from a NumPy memory map of
all spectrograms; from Grain on ArrayRecords of whole tracks (pip install grain array-record).
"""

import collections
import gc
import importlib.util
import itertools
import pathlib
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from absl import app, flags

from benchmarks import contest, records
from mar.data.pipelines import PairDataset, SnippetDataset
from mar.records.reader import RecordReader

FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 5, "Turns of each.")
FRAMES, MELS, SNIPPET, BATCH = records.FRAMES, records.N_MELS, records.SNIPPET, records.BATCH


def turns(build: Callable[[], Iterable], batches: int) -> Callable[[], contest.Cost]:
    """A contestant that takes so many batches; the cost is that of eight.

    Each turn begins anew: what is read ahead would be read during the turns of others. It waits
    for threads that the one before has left behind.
    """

    def turn() -> contest.Cost:
        settle()
        endless = iter(build())
        take(endless, 1 + batches // 8)
        _, seconds = contest.timed(lambda: take(endless, batches))
        return contest.Cost(seconds * 8 / batches)

    return turn


def take(batches: Iterator, count: int) -> None:
    """Goes through so many batches, and keeps none: as training does."""
    collections.deque(itertools.islice(batches, count), maxlen=0)


def settle() -> None:
    """Waits until this process does nothing."""
    gc.collect()
    while True:
        before = time.process_time()
        time.sleep(0.2)
        if time.process_time() - before < 0.02:
            return


def parsed(tf, record):
    features = {
        "log_mel": tf.io.FixedLenFeature([], tf.string),
        "labels": tf.io.VarLenFeature(tf.int64),
    }
    example = tf.io.parse_single_example(record, features)
    labels = tf.reduce_max(tf.one_hot(example["labels"].values, 500), axis=0)
    return example["log_mel"], labels


def usual_pipeline(tf, files):
    """Parse the record, decode it, crop at random."""

    def crop(record):
        data, labels = parsed(tf, record)
        log_mel = tf.reshape(tf.io.decode_raw(data, tf.float16), (-1, MELS))
        return tf.image.random_crop(log_mel, (SNIPPET, MELS)), labels

    dataset = tf.data.TFRecordDataset(files, num_parallel_reads=tf.data.AUTOTUNE).repeat()
    dataset = dataset.map(crop, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.shuffle(1000).batch(BATCH).prefetch(tf.data.AUTOTUNE)


def best_pipeline(tf, files):
    """16 crops of each record that is read, cut from its bytes before they are decoded."""

    def crops(record):
        data, labels = parsed(tf, record)
        starts = tf.random.uniform((16,), 0, FRAMES - SNIPPET + 1, tf.int32) * MELS * 2
        cut = tf.map_fn(
            lambda start: tf.strings.substr(data, start, 2 * SNIPPET * MELS),
            starts,
            fn_output_signature=tf.string,
        )
        snippets = tf.reshape(tf.io.decode_raw(cut, tf.float16), (16, SNIPPET, MELS))
        return snippets, tf.repeat(labels[None], 16, axis=0)

    dataset = tf.data.TFRecordDataset(files, num_parallel_reads=tf.data.AUTOTUNE).repeat()
    dataset = dataset.map(crops, num_parallel_calls=tf.data.AUTOTUNE).unbatch()
    return dataset.shuffle(1000).batch(BATCH).prefetch(tf.data.AUTOTUNE)


def memory_map(folder: pathlib.Path) -> Iterator[np.ndarray]:
    """Batches out of one array of all spectrograms."""
    path = folder.with_suffix(".npy")
    if not path.exists():
        reader = RecordReader(folder)
        shape = (records.TRACKS, FRAMES, MELS)
        array = np.lib.format.open_memmap(path, "w+", np.float16, shape)
        for track in range(records.TRACKS):
            array[track] = reader.read(np.array([track]), np.zeros(1, int), FRAMES)[0]
        array.flush()
    array, generator = np.load(path, mmap_mode="r"), np.random.default_rng(0)
    while True:
        tracks = generator.integers(0, len(array), BATCH)
        starts = generator.integers(0, FRAMES - SNIPPET + 1, BATCH)
        yield np.stack([array[t, s : s + SNIPPET] for t, s in zip(tracks, starts, strict=True)])


def grain_batches(folder: pathlib.Path) -> Iterable:
    """Batches of Grain's loader on a file of ArrayRecords, a track each."""
    import grain.python as grain
    from array_record.python.array_record_module import ArrayRecordWriter

    path = folder.with_suffix(".array_record")
    if not path.exists():
        reader = RecordReader(folder)
        writer = ArrayRecordWriter(str(path), "group_size:1,uncompressed")
        for track in range(records.TRACKS):
            spectrogram = reader.read(np.array([track]), np.zeros(1, int), FRAMES)[0]
            writer.write(spectrogram.tobytes())
        writer.close()

    class Crop(grain.RandomMapTransform):
        def random_map(self, element, rng):
            log_mel = np.frombuffer(element, np.float16).reshape(-1, MELS)
            start = rng.integers(0, len(log_mel) - SNIPPET + 1)
            return log_mel[start : start + SNIPPET]

    source = grain.ArrayRecordDataSource([str(path)])
    sampler = grain.IndexSampler(len(source), grain.ShardOptions(0, 1), True, seed=0)
    return grain.DataLoader(
        data_source=source, sampler=sampler, operations=[Crop(), grain.Batch(BATCH)]
    )


def main(_):
    import tensorflow as tf

    folder = records.data_set(pathlib.Path(FLAGS.folder) / "cached")
    files = sorted(map(str, folder.glob("*.tfrecord")))
    for path in files:
        pathlib.Path(path).read_bytes()  # into the page cache
    snippets = SnippetDataset(records=str(folder), batch_size=BATCH)
    pairs = PairDataset(records=str(folder), batch_size=BATCH)
    contestants = {
        "mar": turns(snippets.build, 64),
        "TFRecordDataset, parse, crop": turns(lambda: usual_pipeline(tf, files), 4),
        "cut bytes, 16 crops a record": turns(lambda: best_pipeline(tf, files), 16),
        "NumPy memory map": turns(lambda: memory_map(folder), 32),
    }
    aims = {
        "TFRecordDataset, parse, crop": 50.0,
        "cut bytes, 16 crops a record": 5.0,
        "NumPy memory map": 1.0,
    }
    if importlib.util.find_spec("grain") is None:
        print("without Grain: pip install '.[benchmarks]'")
    else:
        contestants["Grain, ArrayRecord"] = turns(lambda: grain_batches(folder), 4)
        aims["Grain, ArrayRecord"] = 5.0
    contest.run(
        "snippets",
        "Random snippets from TFRecords, 8 batches of 512",
        contestants,
        aims=aims,
        rounds=FLAGS.rounds,
        work=8 * BATCH,
        unit="snippets",
    )
    contest.run(
        "pairs",
        "Pairs of snippets from TFRecords, 8 batches of 512, beside single ones",
        {"mar, pairs": turns(pairs.build, 32), "mar, snippets": contestants["mar"]},
        rounds=FLAGS.rounds,
        work=8 * BATCH,
        unit="rows",
    )


if __name__ == "__main__":
    app.run(main)
