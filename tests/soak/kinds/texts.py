"""What people write: configurations, lists, tables, and the official files of data sets."""

import io
import json
import pickle

import numpy as np

from helpers import distributions
from soak import mutations
from soak.kinds.kind import kind, written

CONFIGURATION = b"""\
Constants:
  SECONDS: 3.0
Catalogue:
  batch_size: 32
  windows:
    Windows: &windows
      window_seconds: ${SECONDS}
      hop_seconds: 2.0
  store: timeline
"""
BOMB = b"a0: &a0 [x, x]\n" + b"".join(
    b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 40)
)
YAML = (
    *(b"a: &a [*a]\n", b"? [1, 2]\n: 3\n", b"- 1\n", b"", b"\0", b"Catalogue: {", b"%TAG ! x\n"),
    *(b"!!python/name:os.system x\n", b"a: &a [x]\nb: *c\n", b"? {a: b}\n: c\n", BOMB),
    *(b"Catalogue: !!python/object/apply:os.system [true]\n", b"Catalogue: &a\n  windows: *a\n"),
    *(b"Catalogue: !!int abc\n", b"Catalogue: {batch_size: !!timestamp x}\n", b"[" * 20_000),
    *(b"Catalogue: {batch_size: " + b"9" * 5000 + b"}\n", b"{" * 20_000, b"? " * 5_000),
    *(b"Catalogue: {<<: 3}\n", b"Catalogue:\n  <<: [*x]\n", b"- " * 20_000),
    *(b"Catalogue: 2024-13-45\n", b"Catalogue: {batch_size: 1:1:1, store: !!binary x}\n"),
)  # fmt: skip


@kind("configuration", [mutations.in_text, lambda data, rng: rng.choice(YAML)])
def configuration():
    """A YAML file."""

    def read(path):
        import mar.embedding.catalogue

        return mar.embedding.catalogue.Catalogue.load(path).resolved()

    return lambda folder: written(folder, "embed.yaml", CONFIGURATION), read


@kind("list of files", [mutations.in_text])
def file_list():
    """An M3U list."""

    def make(folder):
        for name in ("a.mp3", "b.mp3"):
            written(folder, name, b"x")
        return written(folder, "all.m3u", "#EXTM3U\na.mp3\nb.mp3\nc/d.mp3\n")

    def read(path):
        from mar.embedding import files

        return [item.key for item in files.find([str(path)])]

    return make, read


def table_file(name, content, wrong, reader):
    """A file that one function reads, of `mar.tasks` or of `mar.util.tables`."""

    def read(path):
        from mar.tasks import readers
        from mar.util import tables

        return reader(readers, tables, path)

    return lambda: (lambda folder: written(folder, name, content), read)


def _streamed(path):
    from mar.tasks import json_stream

    return sorted(key for key, _ in json_stream.entries(path, 64))


def _npy():
    content = io.BytesIO()
    np.save(content, np.eye(6))
    return content.getvalue()


PICKLE = pickle.dumps({f"T{n}": n * 1.5 for n in range(20)}, protocol=2)
PICKLED = {"T1": np.arange(4.0), "T2": [1, "x"]}
CSV = b'path,label,artist\na.mp3,"x, y",A\nb.mp3,z,B\nc.mp3,x,A\nd.mp3,z,C\ne.mp3,x,D\n'
JSON = json.dumps({f"k{n}": {"a": [n, 1.5], "b": "text"} for n in range(20)}).encode()
NUMBERED = ("a.cP", distributions.cp_list([f"{n}/x.npy" for n in range(20)]).encode())
READERS = {
    "table": (
        "t.csv",
        CSV,
        mutations.in_text,
        lambda r, t, p: t.read(p, ["path", "label"]).columns,
    ),
    ".cP list": (*NUMBERED, mutations.in_text, lambda r, t, p: r.read_list(p)),
    "pickle of plain data": ("m.pkl", PICKLE, mutations.damaged, lambda r, t, p: r.read_mapping(p)),
    "pickle of arrays": (
        *("m.pkl", pickle.dumps(PICKLED, 2), mutations.damaged),
        lambda r, t, p: str(r.read_mapping(p)),
    ),
    "array": ("a.npy", _npy(), mutations.in_text, lambda r, t, p: r.read_array(p, (6, 6)).tolist()),
    "JSON": ("a.json", JSON, mutations.in_json, lambda r, t, p: r.read_json(p)),
    "JSON, streamed": (
        *("a.json", JSON, mutations.in_json),
        lambda r, t, p: _streamed(p),
    ),
}
for _name, _entry in READERS.items():
    kind(_name, [_entry[2]])(table_file(*_entry))

COLLECTIONS = ("MTT", "MTT_filtered", "GTZAN", "MSD100", "MSD500", "AMM", "MuMu", "NSynth_P", "Emo")
COLLECTIONS += ("GS_Key", "Jam-MT")


def collection(name):
    """One of the official files of a task, another for every case."""

    def make(folder):
        distributions.WRITERS[name](folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return files[len(name) % len(files)]

    def read(path):
        import mar

        folder = next(part for part in path.parents if part.name == "good")
        items = mar.Task(name, folder).items
        return [list(items.ids), list(items.paths), np.asarray(items.targets).tolist()]

    return lambda: (make, read)


for _name in COLLECTIONS:
    kind(f"task {_name}", [mutations.in_text])(collection(_name))


@kind("task, own table", [mutations.in_text])
def own_table():
    """A table of one's own labels."""

    def make(folder):
        rows = "".join(f"{n}.mp3,{'xyz'[n % 3]},artist {n // 2}\n" for n in range(60))
        return written(folder, "moods.csv", f"path,label,artist\n{rows}")

    def read(path):
        import mar

        items = mar.Task(path).items
        return [list(items.ids), np.asarray(items.targets).tolist()]

    return make, read
