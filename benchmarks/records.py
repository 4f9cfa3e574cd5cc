"""TFRecords of a large catalogue: opening, reading, writing, and memory.

    python -m benchmarks.records [catalogue] [disk] [writing] [--folder /tmp/benchmark]

catalogue  a manifest of 1.8 M tracks in 50,000 (sparse) shards: seconds to open it, snippets/s,
           and the process's peak memory.
disk       bytes that the disk delivers for each snippet, nothing cached, over the snippet's own.
writing    time of `tfrecord_tools.write` over decoding and front end alone, one process each, on
           ten FLACs of three minutes, four times over; with and without what it takes to start.

Each part is a process of its own; without names all are run.
"""

import os
import pathlib
import resource
import shutil
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
from absl import app, flags

from mar.data.pipelines import SnippetDataset
from mar.records import framing, schema
from mar.records import header as headers
from mar.records import manifest as manifests
from mar.records.reader import RecordReader
from mar.util.checksums import crc32c

FLAGS = flags.FLAGS
flags.DEFINE_string("folder", "/tmp/benchmark_records", "Where the data sets are made, and kept.")
flags.DEFINE_bool("alone", False, "Run the one part that is named in this process.")
flags.DEFINE_integer("tracks", 1_800_000, "Tracks of the catalogue.")

TRACKS, FRAMES, N_MELS, SNIPPET, BATCH = 200, 18_300, 96, 300, 512
SNIPPET_BYTES = SNIPPET * N_MELS * 2
FRONT_END = {"LogMel": {"sample_rate": 16000, "hop_length": 160, "n_mels": N_MELS}}
VOCABULARY = [f"label {number}" for number in range(500)]


def data_set(folder, tracks=TRACKS, per_shard=36):
    """Random spectrograms, once."""
    if (folder / manifests.NAME).exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    shards, rows = [], []
    for first in range(0, tracks, per_shard):
        name = f"shard-{first // per_shard:05d}.tfrecord"
        with open(folder / name, "wb") as file:
            for track in range(first, min(first + per_shard, tracks)):
                data = (rng.random((FRAMES, N_MELS), np.float32) * 4).astype(np.float16).tobytes()
                front = schema.front(f"track {track}", [track % 500], FRAMES, "float16", len(data))
                offset = file.tell() + framing.HEADER_BYTES + len(front)
                file.writelines(framing.frame(front, data))
                rows.append(row(track, name, offset, crc32c(data)))
        with open(folder / name, "rb") as file:
            beginning = crc32c(file.read(headers.FINGERPRINT_BYTES))
        shards.append(headers.Shard(name, (folder / name).stat().st_size, beginning))
    write_manifest(folder, shards, pa.Table.from_pylist(rows, manifests.SCHEMA))
    return folder


def row(track, shard, offset, checksum):
    return {
        "id": f"track {track}",
        "shard": shard,
        "offset": offset,
        "frames": FRAMES,
        "labels": [track % 500],
        "checksum": checksum,
    }


def write_manifest(folder, shards, table):
    header = headers.Header(FRONT_END, "float16", VOCABULARY, schema.FEATURES, shards)
    manifests.write(folder / manifests.NAME, header, table)


def rate(dataset, seconds=6.0, warm_up=4):
    """Examples/s that an endless data set delivers."""
    batches = iter(dataset)
    for _ in range(warm_up):
        next(batches)
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        count += len(next(iter(next(batches).values())))
    return count / (time.perf_counter() - begun)


def catalogue(folder, per_shard=36):
    folder = folder / f"catalogue {FLAGS.tracks}"
    if not (folder / manifests.NAME).exists():
        simulate(folder, FLAGS.tracks, per_shard)
    begun = time.perf_counter()
    RecordReader(folder)
    print(f"open {FLAGS.tracks:,} tracks           {time.perf_counter() - begun:10.2f} s")
    dataset = SnippetDataset(records=str(folder), batch_size=BATCH)
    print(f"SnippetDataset (sparse shards)  {rate(dataset.build()):10,.0f} snippets/s")
    print(f"peak memory                     {peak_memory():10.2f} GB")


def simulate(folder, tracks, per_shard):
    folder.mkdir(parents=True, exist_ok=True)
    record = FRAMES * N_MELS * 2 + 200
    zeros = crc32c(bytes(headers.FINGERPRINT_BYTES))
    shards = []
    for number in range(-(-tracks // per_shard)):
        name = f"shard-{number:05d}.tfrecord"
        with open(folder / name, "wb") as file:
            file.truncate(per_shard * record)
        shards.append(headers.Shard(name, per_shard * record, zeros))
    index = np.arange(tracks)
    labels = np.random.default_rng(0).integers(0, 500, 10 * tracks).astype(np.int32)
    columns = {
        "id": [f"TR{track:016d}" for track in range(tracks)],
        "shard": [shards[number].name for number in index // per_shard],
        "offset": index % per_shard * record,
        "frames": np.full(tracks, FRAMES),
        "labels": pa.ListArray.from_arrays(np.arange(tracks + 1, dtype=np.int32) * 10, labels),
        "checksum": np.zeros(tracks, np.uint32),
        "group": pa.nulls(tracks, manifests.SCHEMA.field("group").type),
    }
    write_manifest(folder, shards, pa.table(columns))


def disk(folder, count=4000):
    folder = data_set(folder / "cached")
    reader = RecordReader(folder)
    reader.read(np.arange(TRACKS), np.zeros(TRACKS, int), 1)  # opens all shards
    for path in folder.glob("*.tfrecord"):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    rng = np.random.default_rng(0)
    # Without replacement and overlap: what is read twice comes from the cache.
    places = rng.choice(TRACKS * (FRAMES // SNIPPET), count, replace=False)
    before = disk_bytes()
    reader.read(places // (FRAMES // SNIPPET), places % (FRAMES // SNIPPET) * SNIPPET, SNIPPET)
    share = (disk_bytes() - before) / count / SNIPPET_BYTES
    print(f"bytes from the disk             {share:10.3f} × the snippets' own")


def disk_bytes():
    lines = pathlib.Path("/proc/self/io").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("read_bytes")))


DECODE = """
import sys, pathlib
from mar.audio.logmel import LogMel
log_mel = LogMel()
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.flac")) * 4:
    for block in log_mel.stream(path):
        pass
"""


def writing(folder):
    tiny = make_audio(folder / "tiny", files=1, length=1)
    audio = make_audio(folder / "audio")
    for _ in range(3):
        start_alone, start_writing = both(tiny, folder / "written")
        alone, written = both(audio, folder / "written")
        steady = (written - start_writing) / (alone - start_alone)
        print(
            f"decode and front end            {alone:10.1f} s, {start_alone:.1f} s of it to start"
        )
        print(
            f"writing                         {written / alone:10.2f} ×, {steady:.2f} × when begun"
        )


def both(audio, output):
    """Seconds of decoding and front end alone, and of writing."""
    shutil.rmtree(output, ignore_errors=True)
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, "1")}
    write = [sys.executable, "-m", "tfrecord_tools.write", "--workers=1"]
    write += ["--table", audio / "tracks.csv", "--output", output]
    return [seconds(c, environment) for c in ([sys.executable, "-c", DECODE, audio], write)]


def seconds(command, environment):
    begun = time.perf_counter()
    subprocess.run(command, check=True, env=environment, capture_output=True)
    return time.perf_counter() - begun


def make_audio(folder, files=10, length=180, sample_rate=44100):
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    lines = ["id,path"]
    for number in range(files):
        rng = np.random.default_rng(number)
        path = folder / f"{number}.flac"
        if not path.exists():
            noise = rng.standard_normal((length * sample_rate, 2)).astype(np.float32)
            sound = np.cumsum(noise, axis=0) % 2 - 1  # neither silence nor white
            soundfile.write(path, 0.3 * sound + 0.01 * noise, sample_rate)
        lines += [f"{number}-{time},{path.name}" for time in range(4)]
    (folder / "tracks.csv").write_text("\n".join(lines) + "\n")
    return folder


def peak_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


PARTS = {part.__name__: part for part in (catalogue, disk, writing)}


def main(argv):
    for name in argv[1:] or PARTS:
        if FLAGS.alone:
            PARTS[name](pathlib.Path(FLAGS.folder))
            continue
        command = [
            sys.executable,
            "-m",
            "benchmarks.records",
            name,
            "--alone",
            f"--folder={FLAGS.folder}",
        ]
        subprocess.run([*command, f"--tracks={FLAGS.tracks}"], check=True)


if __name__ == "__main__":
    app.run(main)
