"""The commands that are killed: their inputs, and what of their output must be as it would be."""

import csv
import json
import shutil

import numpy as np
import soundfile

from helpers import signals, small_embeddings, small_records
from helpers.resources import ROOT


class Command:
    """A command on inputs that are made once.

    Attributes:
        name: as a user writes it.
        compared: what must be as undisturbed, for the table.
        expected: the state of an undisturbed output.
    """

    name = compared = ""
    expected = None

    def make(self, inputs):
        """Makes the inputs in a folder."""

    def arguments(self, inputs, output):
        """Arguments of Python, all of which are the same when the command is run again."""

    def state(self, output):
        """What is compared of an output."""

    def difference(self, output):
        """How an output differs from what is expected; empty where it does not."""
        found = self.state(output)
        return (
            "" if found == self.expected else f"expected {self.expected!r:.500}, got {found!r:.500}"
        )


class Records(Command):
    """Spectrograms of audio files, by two processes."""

    name, compared = "mar records write --workers 2", "every byte"

    def make(self, inputs):
        """Forty files of ten seconds."""
        rows = [("id", "path", "labels")]
        for number in range(40):
            path = inputs / f"{number}.flac"
            soundfile.write(path, signals.music(10.0, 16000, 1, number), 16000)
            rows.append((str(number), path.name, "a|b" if number % 2 else "a"))
        with open(inputs / "tracks.csv", "w", newline="") as file:
            csv.writer(file).writerows(rows)

    def arguments(self, inputs, output):
        """Shards of about five tracks."""
        flags = ("--table", inputs / "tracks.csv", "--output", output, "--workers", 2)
        return ("-m", "tfrecord_tools.write", *flags, "--shard_megabytes", 1)

    def state(self, output):
        """Every file."""
        return small_records.contents(output)


class Embedding(Command):
    """Embeddings of audio files."""

    name, compared = "mar embed", "the same rows, values to 1e-5"

    def make(self, inputs):
        """A model, sixty files, one of which is no audio."""
        import mar
        from helpers.networks import plain_network

        mar.save(plain_network(), inputs / "model.keras")
        (inputs / "music").mkdir()
        for number in range(60):
            samples = signals.music(8.0, 22050, 1, number)
            soundfile.write(inputs / "music" / f"{number}.flac", samples, 22050)
        (inputs / "music" / "bad.mp3").write_text("no audio\n" * 1000)

    def arguments(self, inputs, output):
        """Of all files."""
        flags = ("--model", inputs / "model.keras", "--output", output, "--fail_on", "none")
        return ("-m", "mar.embed", *flags, inputs / "music")

    def state(self, output):
        """All columns of all rows; of embeddings five digits."""
        from mar.embedding.store import Embeddings

        frame = Embeddings(output).to_pandas()
        means = [None if mean is None else np.round(mean, 4).tolist() for mean in frame.pop("mean")]
        return frame.to_csv(), means


class Training(Command):
    """A small network, which writes a checkpoint every other step."""

    name, compared = "mar train", "every bit of the weights"

    def make(self, inputs):
        """Records of known spectrograms, and a configuration."""
        import yaml

        from helpers import training_runs
        from mar.config import Configurable  # noqa: F401

        training_runs.records(inputs / "records", tracks=24)
        config = yaml.safe_load((ROOT / "configs" / "pretrain" / "small.yaml").read_text())
        trainer = config["Trainer"]
        config["Constants"]["RECORDS"] = str(inputs / "records")
        trainer["model"] = {"SfNfNetF0": {"width": 0.05, "depths": [1, 1, 1, 1]}}
        for part in ("dataset", "validation"):
            (settings,) = trainer[part].values()
            settings |= {"batch_size": 8, "snippet_frames": 64, "held_out": None, "part": None}
        trainer |= {"steps": 40, "checkpoint_every": 2, "validate_every": 20}
        (inputs / "small.yaml").write_text(yaml.safe_dump(config))

    def arguments(self, inputs, output):
        """Forty steps."""
        return ("-m", "mar.train", "--config", inputs / "small.yaml", "--output", output)

    def state(self, output):
        """The fingerprint of the weights, and how many steps there were."""
        import mar
        from mar.models.saving import fingerprint

        card = json.loads((output / "model_card.json").read_text())
        return fingerprint(mar.load_model(output / "model.keras")), card["steps"]


class Search(Command):
    """A probe whose parameters are searched for."""

    name, compared = "mar probe --trials 12", "trials, scores, the head's arrays"

    def make(self, inputs):
        """Embeddings of three classes, and their table."""
        classes = np.eye(3)[np.arange(150) % 3]
        names = [f"{number}.mp3" for number in range(150)]
        values = small_embeddings.separable(classes)
        small_embeddings.write_store(inputs / "set", dict(zip(names, values, strict=True)))
        rows = "".join(f"{name},{'xyz'[n % 3]}\n" for n, name in enumerate(names))
        (inputs / "moods.csv").write_text(f"path,label\n{rows}")

    def arguments(self, inputs, output):
        """Twelve trials."""
        flags = ("--task", inputs / "moods.csv", "--embeddings", inputs / "set", "--trials", 12)
        return ("-m", "mar.probe", *flags, "--output", output, "--resamples", 20)

    def state(self, output):
        """All but how long it took."""
        from mar.probing.head import Head

        folder = output / "moods" / "set" / "0"
        facts = json.loads((folder / "result.json").read_text())
        kept = {name: facts[name] for name in ("test", "valid", "config", "steps", "trials")}
        arrays = Head(folder).parts.layers
        kernels = [kernel.tobytes() for kernel in (*arrays.kernels, *arrays.biases)]
        return (folder / "trials.csv").read_text(), kept, kernels


class Tags(Command):
    """Labels of a catalogue."""

    name, compared, tracks = "mar tag", "every row", 60_000

    def make(self, inputs):
        """Tracks in twelve parts, and a head."""
        from mar.probing.head import Head
        from soak.kinds.models import head_parts

        Head(head_parts()).save(inputs / "head.safetensors")
        write_catalogue(inputs / "set", self.tracks, 6)

    def arguments(self, inputs, output):
        """All tracks."""
        flags = ("--head", inputs / "head.safetensors", "--output", f"{output}.parquet")
        return ("-m", "mar.tag", *flags, inputs / "set")

    def state(self, output):
        """The table."""
        import pyarrow.parquet as pq

        left = [path.name for path in output.parent.glob(f".{output.name}*")]
        return pq.read_table(f"{output}.parquet").to_pydict(), left


class Index(Command):
    """The index for searching, in the folder of its data set."""

    name, compared = "mar index", "the answers to 50 queries"

    def make(self, inputs):
        """As many tracks as are worth an index."""
        write_catalogue(inputs / "set", 24_000, 32)

    def arguments(self, inputs, output):
        """Of a copy of the data set, which is made before the first run."""
        if not output.exists():
            shutil.copytree(inputs / "set", output)
        return ("-m", "mar.index", output)

    def state(self, output):
        """The ten nearest of some tracks, by the index."""
        from mar.embedding.store import Embeddings

        data = Embeddings(output)
        assert len(data.search_index) == len(data)
        left = [path.name for path in (output / ".search").glob(".*")]
        return [[near.path for near in data.nearest(p, k=10)] for p in data.paths[:50]], left


def write_catalogue(folder, tracks, dimensions):
    """A data set of random embeddings in twelve parts."""
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((200, dimensions)) * 2
    for part in range(12):
        timelines = {
            f"{part}/{n}.mp3": centres[[n % 200]] + generator.standard_normal((1, dimensions))
            for n in range(tracks // 12)
        }
        small_embeddings.write_store(folder, timelines, name=str(part))


COMMANDS = {
    "records": Records(),
    "embed": Embedding(),
    "train": Training(),
    "probe": Search(),
    "tag": Tags(),
    "index": Index(),
}
