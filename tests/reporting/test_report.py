"""The report of anyone's results, and its map."""

import base64
import io
import json
import re

import numpy as np
import pytest
import soundfile
from sklearn.metrics.pairwise import cosine_similarity

from helpers.browser import all_of, assert_fits_a_phone, assert_silent, select
from helpers.probe_runs import classes, noisy, tags, write_run
from helpers.processes import run_python
from helpers.signals import music
from helpers.small_embeddings import PROVENANCE, write_store
from mar import Embeddings, InputError
from mar.probing.results import Results
from mar.reporting import item_map, page
from mar.tasks import Task

ITEMS = 30  # of the test part: 0 to 23 of both tasks, 24 to 26 of one, 27 to 29 of the other


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """Somebody's results: tags and tempi by two models, embeddings, and audio of most items."""
    folder = tmp_path_factory.mktemp("theirs")
    targets, tempi = tags(ITEMS, 4), np.linspace(60, 180, ITEMS)[:, None]
    for model, noise in (("mine", 0.3), ("other", 1.5)):
        for seed in (0, 1):
            labels = [f"tag {number} <b>" for number in range(4)]
            predictions = noisy(targets, noise, seed)
            write_run(folder / "results", "moods", model, "multilabel", targets, predictions,
                      labels, seed=seed)  # fmt: skip
        predictions = tempi + noisy(np.zeros_like(tempi), 20 * noise)
        write_run(folder / "results", "tempi", model, "regression", tempi, predictions, ["bpm"])
        generator = np.random.default_rng(len(model))
        suffix = {"mine": "flac", "other": "wav"}[model]  # of copies in another format
        timelines = {f"a/{n:02}.{suffix}": generator.standard_normal((1, 6)) for n in range(ITEMS)}
        write_store(folder / "emb" / model, timelines, model=model)
    (folder / "audio" / "a").mkdir(parents=True)
    for number in range(ITEMS - 1):
        file = folder / "audio" / "a" / f"{number:02}.flac"
        soundfile.write(file, music(1.0, 16000, 1, number), 16000)
    moods = ["path,labels,split", "a/t.mp3,tag 0,train", "a/u.mp3,tag 1,train"]
    moods += ["a/v.mp3,tag 0,valid", "a/w.mp3,tag 1,valid"]
    for number in range(27):
        names = "|".join(f"tag {label}" for label in np.flatnonzero(targets[number]))
        moods.append(f"a/{number:02}.mp3,{names},test")
    tempo = ["path,target,split", "a/t.mp3,60,train", "a/u.mp3,61,train"]
    tempo += ["a/v.mp3,60,valid", "a/w.mp3,61,valid"]
    tempo += [f"a/{n:02}.mp3,{tempi[n, 0]},test" for n in range(ITEMS) if not 24 <= n < 27]
    (folder / "moods.csv").write_text("\n".join(moods))
    (folder / "tempi.csv").write_text("\n".join(tempo))
    return folder


@pytest.fixture(scope="module")
def report(theirs):
    """Made by the command."""
    process = run_python(
        *("-m", "mar.report", "--results=results", "--output=report.html", "--audio=audio"),
        *("--embeddings=emb/mine", "--embeddings=emb/other"),
        *("--task=moods.csv", "--task=tempi.csv"),
        cwd=theirs,
    )
    assert process.returncode == 0, process.stderr
    return theirs / "report.html"


# --------------------------------------------------------------------------------------- page


def test_it_shows_the_scores_of_every_task_and_model(report, theirs):
    html = report.read_text("utf-8")
    for run in Results(theirs / "results").runs:
        if run.seed == 0:
            score = next(iter(run.facts["test"].values()))
            shown = f"{score['value']:.2f}".replace("-", "−")
            assert f'aria-label="{run.model}: {shown}"' in html
    assert "2 probes that differ in their seed alone" in html
    assert "<b>Mean average precision</b>" in html
    assert "weighted key score" not in html
    assert "<b>Moods, mean average precision</b>: mine is better by" in html
    assert "Moods: which labels mine and other are better at" in html
    assert "<b>" not in re.findall(r"tag 0 (\S+)", html)[0]


def test_without_embeddings_there_is_no_map(theirs):
    html = page.render(Results(theirs / "results"))
    assert 'id="map"' not in html
    assert "<audio" not in html
    assert "#map" not in re.findall(r"<nav.*?</nav>", html, re.DOTALL)[0]


def test_a_report_that_is_too_large_says_what_to_leave_out(theirs, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "_LIMIT_BYTES", 1000)
    html = page.render(Results(theirs / "results"))
    with pytest.raises(InputError, match=r"at most 0 MB; show fewer tasks or models$"):
        page.write(html, tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


def test_it_says_of_each_machine_and_of_all_weights_under_one_name(tmp_path):
    targets = classes([9, 9])
    for seed, cpus in ((0, 3), (1, 96)):
        weights = {**PROVENANCE, "model": f"{seed}" * 64}
        predictions = noisy(targets, 0.3, seed)
        write_run(tmp_path, "genre", "mine", "multiclass", targets, predictions, seed=seed,
                  cpus=cpus, embeddings=weights)  # fmt: skip
    html = page.render(Results(tmp_path))
    assert "<dt>Machine of the probes</dt><dd>3 or 96 CPUs</dd>" in html
    (writer,) = re.findall(r"<dt>Machine of this page</dt><dd>(.*)</dd>", html)
    assert "CPU" not in writer
    for seed in (0, 1):
        assert f"model mine <code>{f'{seed}' * 64}</code>" in html


def test_one_model_alone_has_no_differences(tmp_path):
    targets = classes([9, 9])
    write_run(tmp_path, "genre", "mine", "multiclass", targets, noisy(targets, 0.3))
    html = page.render(Results(tmp_path))
    assert 'id="differences"' not in html
    assert 'aria-label="mine: ' in html


def test_of_many_models_the_first_is_compared_with_each(tmp_path):
    targets = classes([9, 9])
    for number in range(5):
        model, predictions = f"model {number}", noisy(targets, 0.5, number)
        write_run(tmp_path, "genre", model, "multiclass", targets, predictions)
    html = page.render(Results(tmp_path))
    drawn = re.findall(r"<b>(model \d) − (model \d)</b>", html)
    assert drawn == [("model 0", f"model {number}") for number in range(1, 5)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--quickstart=q"], "--quickstart is gone: python -m examples.miniature.report FOLDER"),
        (["--nosound"], "--sound is gone: --audio says where the sound is"),
        (["--task=moods.csv"], "expected --embeddings and --task together"),
        (["--audio=audio"], "--audio: expected --embeddings and --task"),
        (["results"], "expected flags alone, got ['results']"),
        ([], "expected results as TASK/MODEL/SEED/result.json"),
    ],
)
def test_wrong_use_is_one_sentence(arguments, message, tmp_path):
    process = run_python("-m", "mar.report", "--output=r.html", *arguments, cwd=tmp_path)
    assert process.returncode == 1
    assert message in process.stderr
    assert "Traceback" not in process.stderr
    assert not list(tmp_path.iterdir())


def test_columns_of_a_table_are_chosen(theirs, tmp_path):
    """As for `mar probe`."""
    rows = [f"a/{number:02}.flac,{'xy'[number % 2]}" for number in range(ITEMS)]
    (tmp_path / "songs.csv").write_text("\n".join(["path,genre", *rows]))
    given = [f"--results={theirs / 'results'}", f"--embeddings={theirs / 'emb' / 'mine'}"]
    given += ["--task=songs.csv", "--output=r.html"]
    process = run_python("-m", "mar.report", *given, "--label_column=genre", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    refused = run_python("-m", "mar.report", *given, cwd=tmp_path)
    assert "give --label_column genre" in refused.stderr


# ---------------------------------------------------------------------------------------- map


def test_labels_of_the_tasks_colour_their_items(theirs):
    moods, tempi = (Task(theirs / f"{name}.csv") for name in ("moods", "tempi"))
    embeddings = {name: Embeddings(theirs / "emb" / name) for name in ("mine", "other")}
    drawn = item_map.of_tasks([moods, tempi], embeddings)
    assert drawn["titles"] == [f"a/{number:02}.flac" for number in range(ITEMS)]
    assert drawn["clips"] is None
    by_tag, by_tempo = drawn["labels"]
    assert by_tag["values"][27:] == ["", "", ""]
    frequency = moods.targets.sum(axis=0)
    rows = moods.rows("test")
    for row, value in zip(rows, by_tag["values"], strict=False):
        names = [moods.labels[label] for label in np.flatnonzero(moods.targets[row])]
        most = max((frequency[moods.labels.index(name)] for name in names), default=None)
        assert (value == "") == (not names)
        assert not names or frequency[moods.labels.index(value)] == most
    assert by_tempo["values"][24:27] == ["", "", ""]
    assert by_tempo["values"][0] == pytest.approx(60)
    assert by_tempo["values"][-1] == pytest.approx(180)


def test_items_without_an_embedding_are_left_out_and_counted(theirs, tmp_path, caplog):
    timelines = {f"a/{n:02}.flac": np.eye(1, 8, n % 8) for n in range(20)}
    embeddings = {"few": Embeddings(write_store(tmp_path / "few", timelines))}
    drawn = item_map.of_tasks([Task(theirs / "moods.csv")], embeddings)
    assert len(drawn["titles"]) == 20
    assert "the map leaves out 7 test items without an embedding" in caplog.text


def test_neighbours_are_those_of_the_highest_cosine_similarity(theirs):
    vectors = np.random.default_rng(1).standard_normal((40, 6)).astype(np.float32)
    (found,) = item_map.build(range(40), [], {"a": vectors})["representations"]
    similarities = cosine_similarity(vectors.astype(np.float64))
    np.fill_diagonal(similarities, -2)
    nearest = np.argsort(-similarities, axis=1)[:, : item_map.NEIGHBOURS]
    np.testing.assert_array_equal(found["nearest"], nearest)
    expected = np.take_along_axis(similarities, nearest, 1)
    np.testing.assert_allclose(found["similarities"], expected, atol=6e-4)


def test_the_map_opens_on_the_view_that_shows_most():
    """Not where all are of one class, nor where a class of most is shared by chance."""
    rng = np.random.default_rng(2)
    modes = np.arange(60) % 3
    clusters = np.eye(3)[modes] + 0.1 * rng.standard_normal((60, 3))
    often = ["most" if number % 12 else "" if number % 24 else "few" for number in range(60)]
    colourings = [
        item_map.Colouring("one", ["same"] * 60, ["same"]),
        item_map.Colouring("often", often, ["few", "most"]),
        item_map.Colouring("number", [float(number) for number in range(60)]),
        item_map.Colouring(
            "mode", [f"mode {mode}" for mode in modes], ["mode 0", "mode 1", "mode 2"]
        ),
    ]
    representations = {"noise": rng.standard_normal((60, 3)), "clusters": clusters}
    assert item_map.build(range(60), colourings, representations)["opens"] == [1, 3]
    unknown = item_map.Colouring("unknown", [""] * 60, [])
    for untold in (colourings[2], unknown):
        assert item_map.build(range(60), [untold], representations)["opens"] == [0, 0]


@pytest.mark.parametrize("count", [3, 5, 6])
def test_of_few_items_none_is_its_own_neighbour(count):
    drawn = np.random.default_rng(count).standard_normal((count, 8))
    for vectors in (drawn, np.ones((count, 8))):  # whose order the angles do not tell
        built = item_map.build(range(count), [], {"a": vectors})
        for item, nearest in enumerate(built["representations"][0]["nearest"]):
            assert len(nearest) == len(set(nearest)) == min(item_map.NEIGHBOURS, count - 1)
            assert item not in nearest
        json.dumps(built["representations"], allow_nan=False)


def test_clips_are_the_middle_of_their_files(tmp_path):
    seconds, rate = 9, 16000
    time = np.arange(seconds * rate) / rate
    samples = 0.3 * np.sin(2 * np.pi * (300 + 100 * np.floor(time)) * time)
    soundfile.write(tmp_path / "a.flac", samples, rate)
    sound = base64.b64decode(item_map.clip(tmp_path / "a.flac"))
    clip, clip_rate = soundfile.read(io.BytesIO(sound))
    assert len(clip) / clip_rate == pytest.approx(item_map.CLIP_SECONDS, abs=0.1)
    spectrum = np.abs(np.fft.rfft(clip[2 * clip_rate + 4800 : 3 * clip_rate - 4800]))
    loudest = spectrum.argmax() * clip_rate / (2 * (len(spectrum) - 1))
    assert loudest == pytest.approx(300 + 100 * 4, abs=10)  # second 2 of 5 is second 4 of 9


# ------------------------------------------------------------------------------------ browser


def test_the_page_in_a_browser(chromium, report):
    chromium.get(report.as_uri())
    circles = all_of(chromium, "#points circle")
    assert len(circles) == ITEMS
    fills = "return circles.map(c => c.style.fill)"
    assert chromium.execute_script(fills)[27:] == ["var(--quiet)"] * 3
    select(chromium, "label", "tempi")
    assert chromium.execute_script(fills)[24:27] == ["var(--quiet)"] * 3
    assert all_of(chromium, "#legend")[0].text.split() == ["60", "180"]
    select(chromium, "representation", "other")
    chromium.execute_script("choose(3)")
    assert all_of(chromium, "#chosen h3")[0].text == "a/03.flac"
    assert len(all_of(chromium, "#chosen ol button")) == item_map.NEIGHBOURS
    assert all_of(chromium, "#chosen audio")
    chromium.execute_script(f"choose({ITEMS - 1})")
    assert not all_of(chromium, "#chosen audio"), "of the one that has no audio"
    assert all_of(chromium, "#chosen small")[0].text == "180"
    assert_fits_a_phone(chromium)
    assert_silent(chromium, report)
