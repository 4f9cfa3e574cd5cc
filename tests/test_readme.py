"""Every command and every Python example of the README, run as written but for what shrinks it."""

import functools
import gzip
import http.server
import re
import shlex
import threading

import pyarrow.parquet
import pytest
import soundfile
import yaml

import mar
from examples.miniature.report.content import NAMES
from helpers import published
from helpers.networks import plain_network
from helpers.processes import run_python
from helpers.resources import ROOT, reference
from helpers.signals import music
from mar.audio.logmel import PUBLISHED
from mar.reporting import comparison, formats

README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)

MODEL = ["--set", "Trainer.model.SfNfNetF0.width=0.05"]
MODEL += ["--set", "Trainer.model.SfNfNetF0.depths=[1,1,1,1]"]
OBJECTIVE = "Trainer.objective.ContrastiveObjective.projector.Projector.hidden_units=[16]"
TRAINING = [*MODEL, "--set", OBJECTIVE, "--set", "Trainer.dataset.PairDataset.batch_size=4"]
TRAINING += ["--set", "Trainer.steps=2", "--set", "Trainer.device=cpu"]
SCHEDULE = "MLP.optimizer.ScoochAdam.schedule.WarmupSchedule"
PROBE = [f"--set={SCHEDULE}.warmup_steps=2", "--allow_missing", "--resamples=5"]
PROBE += [f"--set={SCHEDULE}.schedule.ScoochCosineDecay.decay_steps=5"]
SHRUNK = {"mar.train": TRAINING, "mar.probe": PROBE}
# The published weights are 250 MB, and stand for those of any model.
RENAMED = {"--model mule": "--model small.keras", "microbatch=128": "microbatch=2"}
RENAMED |= {"model_location=mule": "model_location=small.keras"}
FAILING = {"--task MTT --audio": 2}  # most of the 25,860 clips are not there, and that is told


def shell_commands(title):
    """The commands of a section: lines of its blocks, joined where they go on, without comments."""
    for language, block in BLOCK.findall(SECTIONS[title]):
        if not language:
            for line in block.replace("\\\n", " ").splitlines():
                yield " ".join(shlex.split(line, comments=True))


def examples(title):
    """The Python blocks of a section."""
    return [block for language, block in BLOCK.findall(SECTIONS[title]) if language == "python"]


def run(command, folder, expected=0):
    """Runs one `python -m …` of the README; returns what it printed."""
    for name, other in RENAMED.items():
        command = command.replace(name, other)
    python, option, module, *arguments = shlex.split(command)
    assert (python, option) == ("python", "-m"), command
    arguments = [argument.replace("~", str(folder)) for argument in arguments]
    arguments += SHRUNK.get(module, [])
    if module == "mar.train":  # two of them say how one model is trained in different ways
        arguments += ["--output", f"models/{len(list(folder.glob('models/*')))}"]
    finished = run_python("-m", module, *arguments, cwd=folder, HOME=str(folder))
    assert finished.returncode == expected, f"{command}\n{finished.stdout}\n{finished.stderr}"
    return finished.stdout


def run_all(title, folder):
    """Runs the commands of a section; returns what each printed, by command."""
    expected = {
        c: next((v for k, v in FAILING.items() if k in c), 0) for c in shell_commands(title)
    }
    assert expected
    return {command: run(command, folder, code) for command, code in expected.items()}


@pytest.fixture
def home(tmp_path):
    """A user's folder: music, a song, a table of labels, a small model, the configurations."""
    (tmp_path / "Music" / "album").mkdir(parents=True)
    for number, name in enumerate(["a.wav", "album/b.flac", "album/c.mp3", "d.ogg", "e.wav"]):
        soundfile.write(tmp_path / "Music" / name, music(13.0, 22050, 1, number), 22050)
    soundfile.write(tmp_path / "song.mp3", music(7.0, seed=9), 44100)
    rows = ["id,path,labels", "1,a.wav,rock|calm", "2,album/b.flac,rock", "3,album/c.mp3,calm"]
    rows += ["4,d.ogg,", "5,e.wav,rock"]
    (tmp_path / "tracks.csv").write_text("\n".join(rows) + "\n")
    mar.save(plain_network(300, PUBLISHED), tmp_path / "small.keras")
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    return tmp_path


def test_the_sections_with_commands_are_these():
    """`make` has tests of its own, and of the installation this environment is one."""
    tested = {"Embed music", "Label music", "Coming from `sxmp-mule`", "Make TFRecords"}
    tested |= {"Pre-train", "Evaluate"}
    found = {title for title in SECTIONS if any(shell_commands(title))}
    assert found == {"See it work", "Install", *tested}


def test_the_miniatures_table_is_that_of_its_results():
    results = mar.Results(ROOT / "docs" / "miniature" / "results")
    headlines = comparison.headlines(comparison.summarize(results))
    expected = []
    for (task, metric), group in headlines.groupby(["task", "metric"], sort=False):
        values = group.set_index("model")["value"][list(NAMES)]
        best = max(values) - formats.CLOSE
        cells = [f"**{value:.3f}**" if value >= best else f"{value:.3f}" for value in values]
        guess = f"{group['guess'].iloc[0]:.3f}".replace("-0.000", "0.000")
        name = comparison.metric_name(metric)
        expected.append(f"| {' | '.join([task.capitalize(), name, *cells, guess])} |")
    head, _, *rows = re.findall(r"^\|.*\|$", SECTIONS["What it finds"], re.MULTILINE)
    assert head == f"| {' | '.join(['Task', 'Measure', *NAMES.values(), 'Constant guess'])} |"
    assert rows == expected


def test_embed_music(home):
    printed = run_all("Embed music", home)
    assert (home / "embeddings").is_dir()
    nearest = next(text for command, text in printed.items() if "mar.similar" in command)
    assert "album/b.flac" in nearest
    example = "\n".join(examples("Embed music")).replace('"mule"', '"small.keras"')
    example += "\nprint(embedding.mean.shape, len(embeddings), len(embeddings.project()))"
    finished = run_python("-c", example, cwd=home, HOME=str(home))
    assert finished.stdout.strip() == "(173,) 5 5", finished.stderr


def test_label_music(home):
    for number in range(12):
        soundfile.write(home / "Music" / f"{number}.wav", music(3.0, 16000, 1, number), 16000)
    rows = [f"{number}.wav,{('calm', 'dark')[number % 2]}" for number in range(12)]
    (home / "moods.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    mar.Embedder(home / "small.keras").embed_folder(home / "Music", home / "embeddings")
    run_all("Label music", home)
    table = pyarrow.parquet.read_table(home / "tags.parquet").to_pandas()
    assert set(table["path"]) == {
        str(p.relative_to(home / "Music")) for p in (home / "Music").rglob("*.*")
    }
    example = "\n".join(examples("Label music")).replace('"mule"', '"small.keras"')
    example = example.replace("head(mar.", "print(*head(mar.").replace('mp3"))', 'mp3")))')
    finished = run_python("-c", f"import mar\n{example}", cwd=home)
    assert finished.stdout.strip() == "calm dark", finished.stderr


def test_coming_from_sxmp_mule(home):
    source = published.FOLDER / "configs" / "mule_embedding_average.yml"
    configuration = yaml.safe_load(source.read_text())
    embedding = configuration["Analysis"]["feature_transforms"][1]["EmbeddingFeature"]
    embedding["model_location"] = str(home / "small.keras")
    (home / "C").write_text(yaml.safe_dump(configuration))
    run_all("Coming from `sxmp-mule`", home)
    for name in ("song.npy", "vectors/song.mp3.npy", "vectors/album/b.flac.npy"):
        assert (home / name).exists()


def test_make_tfrecords_and_pre_train(home):
    run_all("Make TFRecords", home)
    assert (home / "pictures").is_dir()
    (example,) = examples("Make TFRecords")
    example = example.replace("s3://bucket/records", "records/").replace(
        "batch_size=512", "batch_size=4"
    )
    for shown in (
        "batch['snippets'].shape, batch['labels'].shape",
        "batch['anchors'].shape == batch['positives'].shape",
    ):
        example = example.replace("    ...", f"    print({shown})\n    break", 1)
    printed = run_python("-c", example, cwd=home).stdout.split("\n")
    assert printed[:2] == ["(4, 300, 96) (4, 2)", "True"]
    run_all("Pre-train", home)
    (example,) = examples("Pre-train")
    example = example.replace("width=0.125", "width=0.05, depths=[1, 1, 1, 1]")
    example = example.replace("batch_size=64", "batch_size=4").replace("steps=1500", "steps=2")
    finished = run_python("-c", example, cwd=home)
    assert finished.returncode == 0, finished.stderr
    assert mar.Trainer.load(home / "recipe.yaml").steps == 2
    assert len(list(home.glob("models/*/model.keras"))) == 4


def test_evaluate(home, monkeypatch):
    """With the official annotations, from a server on loopback, and audio of a few clips."""
    source = reference("datasets/mtt/annotations_final.csv.gz")
    served = home / "served" / "datasets" / "magnatagatune" / "annotations_final.csv"
    served.parent.mkdir(parents=True)
    served.write_bytes(gzip.decompress(source.read_bytes()))
    paths = [line.split('"')[-2] for line in served.read_text("utf-8").splitlines()[1:]]
    for folder in "0cd":  # train, valid, test
        for number, path in enumerate([path for path in paths if path[0] == folder][:8]):
            file = (home / "MagnaTagATune" / path).with_suffix(".wav")
            file.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(file, music(4.0, 8000, 1, number), 8000)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=home / "served")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MAR_MIRROR", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("MAR_CACHE", str(home / "cache"))
    run_all("Evaluate", home)
    server.shutdown()
    assert (home / "results" / "MTT" / "mule" / "0" / "result.json").exists()
