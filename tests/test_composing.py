"""What is built in Python is what is read from files, and the parts fit together."""

import itertools

import pytest
import soundfile

import mar
from helpers import published, small_records
from helpers.networks import plain_network
from helpers.processes import run_python
from helpers.resources import ROOT
from helpers.signals import music
from mar.embedding import analysis
from mar.util import yaml_file

NAMES = {name: getattr(mar, name) for name in mar.__all__} | vars(analysis)
SHIPPED = sorted(
    itertools.chain(
        (ROOT / "configs").rglob("*.yaml"), (ROOT / "examples").glob("*/configs/**/*.yaml")
    )
)


def read(path):
    """The component that a file describes; its placeholders stand for any folder."""
    try:
        (name,) = yaml_file.read(path)
    except mar.ConfigError:  # which needs a folder of records
        overrides = ["Constants.RECORDS=records/"]
        (name,) = yaml_file.read(path, overrides)
        return NAMES[name].load(path, overrides)
    return NAMES[name].load(path)


def check(path):
    """From the file, from what it resolves to, from its Python form, from what is written of it."""
    component = read(path)
    in_python = eval(repr(component), NAMES)
    again = type(component).from_config(component.resolved())
    for other in (in_python, again):
        assert other == component
        assert other.resolved() == component.resolved()
        assert other.hash() == component.hash()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_shipped_configurations_are_the_same_in_python(path):
    check(path)


def test_the_published_configurations_are_the_same_in_python():
    paths = published.configurations()
    assert len(paths) in (6, 98)
    for path in paths:
        check(path)


def test_a_trainer_is_built_from_parts():
    model = mar.SfNfNetF0(width=0.125)
    trainer = mar.Trainer(
        model=model,
        objective=mar.ContrastiveObjective(mixup=mar.Mixup()),
        dataset=mar.PairDataset(records="records/", batch_size=64),
        optimizer=mar.ScoochAdam(learning_rate=1e-3),
        steps=1500,
    )
    assert trainer.model is model
    described = mar.Trainer.from_config(
        {
            "Trainer": {
                "model": {"SfNfNetF0": {"width": 0.125}},
                "objective": {"ContrastiveObjective": {"mixup": {"Mixup": None}}},
                "dataset": {"PairDataset": {"records": "records/", "batch_size": 64}},
                "optimizer": {"ScoochAdam": {"learning_rate": 0.001}},
                "steps": 1500,
            }
        }
    )
    assert trainer == described
    assert trainer.hash() == described.hash()


TRAINING = """
import mar

trainer = mar.Trainer(
    model=mar.SfNfNetF0(width=0.125),
    objective=mar.ContrastiveObjective(mixup=mar.Mixup()),
    dataset=mar.PairDataset(records="records/", batch_size=64),
    optimizer=mar.ScoochAdam(learning_rate=1e-3),
    steps=1500,
)
trainer.run("models/mine")
"""
EMBEDDING = """
import mar

embedder = mar.Embedder("mule")
embedder("song.mp3").mean
embeddings = embedder.embed_folder("~/Music", "embeddings/")   # python -m mar.embed
embeddings = mar.Embeddings("embeddings/")                     # opens one
embeddings.paths, embeddings.mean("a/b.mp3"), embeddings.timeline("a/b.mp3"), embeddings.to_pandas()
embeddings.nearest("song.mp3", k=10); embeddings.project()     # neighbours; 2-D map
"""
PROBING = """
import mar

embeddings = mar.Embeddings("embeddings/")
task = mar.Task("moods.csv")                                   # or a folder, or a table
result = mar.Probe.for_task(task).run(embeddings)              # or mar.Probe(config, task)
result.scores, result.per_label, result.predictions; result.save("results/")
mar.Results("results/").scores                                 # one tidy data frame
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A user's folder: music, a song, a table of its moods, a small model where `mule` would be."""
    folder = tmp_path_factory.mktemp("home")
    rows = ["path,label"]
    for number in range(12):
        name = "a/b.mp3" if number == 0 else f"a/{number}.wav"
        (folder / "Music" / name).parent.mkdir(parents=True, exist_ok=True)
        samples = music(7.0, 22050, 1, number) * (0.05, 1.0)[number % 2]
        soundfile.write(folder / "Music" / name, samples, 22050)
        rows.append(f"{name},{('calm', 'loud')[number % 2]}")
    (folder / "moods.csv").write_text("\n".join(rows) + "\n")
    soundfile.write(folder / "song.mp3", music(7.0, 22050, 1, 20), 22050)
    mar.save(plain_network(), folder / "mule.keras")
    return folder


def run(code, folder):
    process = run_python("-c", code, cwd=folder, HOME=str(folder))
    assert process.returncode == 0, process.stderr


def test_training_in_python_is_what_the_command_does(home):
    """As written but for its size; the command takes up what it left."""
    tracks = {"ids": [f"track {number}" for number in range(8)]}
    small_records.data_set(home / "records", range(400, 720, 40), **tracks)
    shrunk = TRAINING.replace("width=0.125", "width=0.05, depths=[1, 1, 1, 1]")
    shrunk = shrunk.replace("batch_size=64", "batch_size=4").replace("steps=1500", "steps=2")
    run(shrunk, home)
    assert mar.front_end(mar.load_model(home / "models" / "mine" / "model.keras")).n_mels == 96
    configuration = home / "models" / "mine" / "configuration.yaml"
    again = run_python(
        *("-m", "mar.train", "--config", configuration, "--output", home / "models" / "mine"),
        cwd=home,
    )
    assert again.returncode == 0, again.stderr
    assert mar.Trainer.load(configuration).total_steps == 2


def test_embedding_and_probing_in_python(home):
    """As written but for the weights."""
    run(EMBEDDING.replace('"mule"', '"mule.keras"'), home)
    run(PROBING, home)
    embeddings = mar.Embeddings(home / "embeddings")
    assert len(embeddings) == 12
    assert embeddings.timeline("a/b.mp3").shape == (3, embeddings.dimensions)
    assert [neighbour.path for neighbour in embeddings.nearest("a/3.wav", k=1)] != ["a/3.wav"]
    scores = mar.Results(home / "results").scores
    assert set(scores.metric[scores.part == "test"]) >= {"accuracy"}
    assert (scores.task == "moods").all()
