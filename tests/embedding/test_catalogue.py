import contextlib
import os
import pathlib
import re
import shutil
import signal
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image

import mar
from helpers.networks import plain_network
from helpers.processes import run_python, start_python
from helpers.resources import ROOT
from helpers.signals import music, write
from mar.audio import decode, file_tags
from mar.audio.isolated import IsolatedDecoder
from mar.audio.logmel import PUBLISHED
from mar.embedding import ahead, changes, engine, files, remembered
from mar.embedding.catalogue import Catalogue
from mar.embedding.store import Embeddings
from mar.errors import ConfigError, InputError


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    mar.save(plain_network(300, PUBLISHED), path)
    return str(path)


@pytest.fixture
def library(tmp_path):
    folder = tmp_path / "library"
    for number, name in enumerate(("a.wav", "b/c.flac", "d.ogg")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, music(5.0 + number, seed=number), 44100)
    return folder


def embed(*arguments):
    return run_python("-m", "mar.embed", *arguments)


def rows(folder):
    return {row["path"]: row for row in pq.read_table(folder).to_pylist()}


def run(model, library, output, **parameters):
    return Catalogue(**parameters).run(model, files.find([str(library)]), output)


def told(summary):
    """What became of how many files."""
    return {what: count for what, count in summary.counts.items() if count}


def test_a_folder_is_embedded_as_its_files_are(model, library, tmp_path):
    process = embed("--model", model, "--output", tmp_path / "out", library)
    assert process.returncode == 0, process.stderr
    assert "3 embedded, 0 already there" in process.stdout
    assert process.stderr == ""
    found = rows(tmp_path / "out")
    assert sorted(found) == ["a.wav", "b/c.flac", "d.ogg"]
    embedder = mar.Embedder(model)
    for path, row in found.items():
        expected = embedder(library / path)
        np.testing.assert_allclose(row["mean"], expected.mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(row["times"], expected.times)
        assert row["duration"] == expected.duration_seconds
        assert row["reader"] == ("soundfile" if path == "a.wav" else "PyAV")
        assert (row["channels"], row["notes"]) == (2, [])
        assert row["damaged_seconds"] == 0
        assert row["audio_hash"] == decode.audio_hash(library / path)
        assert (row["status"], row["sample_rate"], row["padded"]) == ("ok", 44100, False)
        status = (library / path).stat()
        assert (row["size"], row["mtime_ns"]) == (status.st_size, status.st_mtime_ns)


def test_provenance(model, library, tmp_path):
    run(model, library, tmp_path / "out")
    made = Embeddings(tmp_path / "out").provenance
    loaded = mar.load_model(model)
    from mar.models.saving import fingerprint

    assert made["model"] == fingerprint(loaded)
    assert made["front_end"] == PUBLISHED.hash()
    assert mar.LogMel.from_config(made["front_end_config"]).via_rate == 44100
    assert (made["window_seconds"], made["hop_seconds"]) == (3.0, 2.0)
    assert made["version"] == mar.__version__


def test_a_row_says_what_was_remarkable_in_its_file(model, tmp_path):
    folder = tmp_path / "music"
    folder.mkdir()
    write(folder / "damaged.mp3", "mp3", music(10.0), 44100)
    content = bytearray((folder / "damaged.mp3").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 600] = bytes(600)
    (folder / "damaged.mp3").write_bytes(content)
    parts = [write(tmp_path / f"{rate}", "aac", music(3.0, rate), rate) for rate in (44100, 48000)]
    (folder / "changing.aac").write_bytes(b"".join(part.read_bytes() for part in parts))
    write(folder / "sound.wav", "pcm16.wav", music(4.0), 44100)
    process = embed("--model", model, "--output", tmp_path / "out", folder)
    assert process.returncode == 0, process.stderr
    assert "2 of them are damaged in part" in process.stdout
    found = rows(tmp_path / "out")
    damaged, changing, sound = (found[p] for p in ("damaged.mp3", "changing.aac", "sound.wav"))
    assert 0 < damaged["damaged_seconds"] < 0.2
    assert damaged["notes"] == []
    assert (changing["sample_rate"], changing["damaged_seconds"]) == (44100, 0)
    assert len(changing["notes"]) == 1
    assert "48000 Hz" in changing["notes"][0]
    assert (sound["notes"], sound["damaged_seconds"], sound["reader"]) == ([], 0, "soundfile")


def test_the_fingerprint_is_that_of_the_weights():
    from mar.models.saving import fingerprint

    first, second = (plain_network(frames) for frames in (300, None))
    assert fingerprint(first) == fingerprint(second)
    second.weights[-1].assign(second.weights[-1] + 1e-6)
    assert fingerprint(first) != fingerprint(second)


def test_windows_of_different_files_fill_batches(model, library):
    """Every batch but the last is full; no vector depends on it."""
    sizes = []
    job = Catalogue(batch_size=4)
    embedder = job.embedder(mar.load_model(model))
    network = embedder.representation.network
    forward = network._forward
    network._forward = lambda x: sizes.append(len(x)) or forward(x)
    kept = engine.InMemory({"format": "parquet"})
    items = files.find([str(library)])
    found = {row.path: row for row in engine.rows(lambda: embedder, items, kept)}
    assert found == kept.rows
    assert sizes[:-1] == [4] * (len(sizes) - 1)
    for path, row in found.items():
        expected = mar.Embedder(model)(library / path).values
        assert np.abs(row.values - expected).max() <= 1e-5 * np.abs(expected).max()


# ---------------------------------------------------------------------------------- bad input


def spoil(folder):
    """Fills a folder with bad files, among good ones; returns {path: what the reason says}."""
    soundfile.write(folder / "silence.wav", np.zeros(5 * 44100), 44100)
    soundfile.write(folder / "one.wav", np.full(1, 0.5), 44100)
    soundfile.write(folder / "short.wav", music(0.5), 44100)
    for name in (b"two words'\".wav", b"new\nline.wav", b"latin1 \xe9.wav"):
        soundfile.write(folder / "good", music(3.5), 44100, format="WAV")
        os.rename(folder / "good", os.fsencode(folder) + b"/" + name)
    content = (folder / "a.wav").read_bytes()
    (folder / "empty.mp3").touch()
    (folder / "truncated.wav").write_bytes(content[: len(content) // 2])
    (folder / "random.mp3").write_bytes(np.random.default_rng(0).bytes(100_000))
    (folder / "text.mp3").write_text("not a song\n" * 999)
    (folder / "directory.wav").mkdir()
    (folder / "broken.wav").symlink_to(folder / "nowhere.wav")
    soundfile.write(folder / "zero.wav", np.zeros((0, 2)), 44100)
    nan = music(7.0)
    nan[-100:] = np.nan
    soundfile.write(folder / "nan.wav", nan, 44100, "FLOAT")
    Image.new("RGB", (64, 64)).save(folder / "image.mp3", "png")
    Image.new("RGB", (64, 64)).save(folder / "cover.png")
    return {
        "empty.mp3": "the file is empty",
        "truncated.wav": "truncated",
        "random.mp3": "",
        "text.mp3": "not recognised",
        "directory.wav": "got a directory",
        "broken.wav": "a broken link",
        "zero.wav": "0 samples",
        "nan.wav": "NaN or infinite samples, the first at 6.9",
        "image.mp3": "no audio stream",
        "one.wav": "too short for one sample",
    }


def test_bad_files_are_rows_and_cost_nothing_else(model, library, tmp_path):
    reasons = spoil(library)
    process = embed("--model", model, "--output", tmp_path / "out", library)
    assert process.returncode == 2, process.stderr
    found = rows(tmp_path / "out")
    failed = {path for path, row in found.items() if row["status"] == "failed"}
    assert failed == set(reasons)
    for path, reason in reasons.items():
        assert reason in found[path]["reason"]
        assert not found[path]["reason"].startswith(str(library))
        assert f"failed: {path!r}: {found[path]['reason']}" in process.stderr
        assert found[path]["mean"] is None
    assert found["cover.png"]["status"] == "skipped"
    good = {path for path, row in found.items() if row["status"] == "ok"}
    strange = {"two words'\".wav", "new\nline.wav", "latin1 \\xe9.wav"}
    assert good == {"a.wav", "b/c.flac", "d.ogg", "silence.wav", "short.wav"} | strange
    assert np.isfinite([found[path]["mean"] for path in good]).all()
    assert {path for path in good if found[path]["padded"]} == {"short.wav"}

    again = embed("--model", model, "--output", tmp_path / "out", library, "--fail_on=new")
    assert again.returncode == 0
    assert "0 embedded, 9 already there, 0 skipped (not audio), 10 failed" in again.stdout
    assert rows(tmp_path / "out").keys() == found.keys()
    assert pq.read_table(tmp_path / "out").num_rows == len(found)


def test_a_row_tells_what_was_wrong_with_a_file_that_could_be_read(model, library, tmp_path):
    soundfile.write(library / "2.ogg", music(6.0, 22050), 22050)
    (library / "chain.ogg").write_bytes(
        (library / "d.ogg").read_bytes() + (library / "2.ogg").read_bytes()
    )
    content = bytearray((library / "b/c.flac").read_bytes())
    content[len(content) // 2] ^= 0x55
    (library / "b/c.flac").write_bytes(content)
    run(model, library, tmp_path / "out")
    found = rows(tmp_path / "out")
    assert found["chain.ogg"]["notes"] == ["changes to 22050 Hz, 2 channels at 7.00 s"]
    assert found["chain.ogg"]["duration"] == pytest.approx(13.0, abs=1e-3)
    assert 0 < found["b/c.flac"]["damaged_seconds"] < 0.2
    assert found["a.wav"]["damaged_seconds"] == 0
    assert not found["a.wav"]["notes"]


def test_a_decoder_that_crashes_costs_its_file(model, library, tmp_path, monkeypatch):
    """The child that decodes is killed for real, in the middle of one file."""
    opened = IsolatedDecoder.open

    def killed(self, path, **decoding):
        info, blocks = opened(self, path, **decoding)
        if path.endswith("a.wav"):
            self._process.send_signal(signal.SIGSEGV)
        return info, blocks

    monkeypatch.setattr(IsolatedDecoder, "open", killed)
    soundfile.write(library / "a.wav", music(60.0), 44100)
    summary = run(model, library, tmp_path / "out")
    assert told(summary) == {"new": 2, "failed": 1}
    ((path, reason),) = summary.failures
    assert path == "a.wav"
    assert "the decoder crashed (signal SIGSEGV)" in reason


def test_a_defect_is_raised_and_what_was_done_is_kept(model, library, tmp_path, monkeypatch):
    of_item = ahead._of_item

    def failing(embedder, decoder, item, duplicates):
        if item.key == "d.ogg":
            raise ZeroDivisionError("a defect")
        return of_item(embedder, decoder, item, duplicates)

    monkeypatch.setattr(ahead, "_of_item", failing)
    with pytest.raises(ZeroDivisionError, match="a defect"):
        run(model, library, tmp_path / "out", workers=1, batch_size=1)
    assert sorted(rows(tmp_path / "out")) == ["a.wav", "b/c.flac"]


# ------------------------------------------------------------------------------------- resuming


def test_only_what_changed_is_done_again(model, library, tmp_path):
    output = tmp_path / "out"
    assert told(run(model, library, output)) == {"new": 3}
    assert told(run(model, library, output)) == {"unchanged": 3}

    soundfile.write(library / "a.wav", music(8.0, seed=9), 44100)
    soundfile.write(library / "new.wav", music(4.0), 44100)
    os.utime(library / "d.ogg")
    before = rows(output)
    summary = run(model, library, output)
    assert told(summary) == {"new": 1, "changed": 1, "retagged": 1, "unchanged": 1}
    after = rows(output)
    assert pq.read_table(output).num_rows == 4
    assert after["a.wav"]["duration"] == pytest.approx(8.0, abs=0.01)
    assert after["b/c.flac"] == before["b/c.flac"]
    np.testing.assert_allclose(after["d.ogg"]["mean"], before["d.ogg"]["mean"], rtol=1e-5)


def test_a_failed_file_is_tried_again_and_forgotten_when_it_succeeds(model, library, tmp_path):
    content = (library / "a.wav").read_bytes()
    (library / "a.wav").write_bytes(content[:1000])
    assert told(run(model, library, tmp_path / "out")) == {"new": 2, "failed": 1}
    (library / "a.wav").write_bytes(content)
    summary = run(model, library, tmp_path / "out")
    assert told(summary) == {"unchanged": 2, "new": 1}
    assert {row["status"] for row in rows(tmp_path / "out").values()} == {"ok"}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_ended_goes_on_where_it_was(model, tmp_path, how):
    library, output = tmp_path / "library", tmp_path / "out"
    library.mkdir()
    for number in range(24):
        soundfile.write(library / f"{number:02}.wav", music(4.0, 8000, 1, number), 8000)
    script = f"""
from helpers import kills
from mar.embedding import writer
writer._PART_ROWS = 4
from mar import embed
from mar.util import cli
kills.at_replace(2, "after", {int(how)}, ".parquet")
cli.run(embed.main)
"""
    arguments = ["--model", model, "--output", output, "--set", "Catalogue.batch_size=2"]
    process = run_python("-c", script, *arguments, library)
    assert process.returncode == (-how if how == signal.SIGKILL else 128 + how), process.stderr
    for part in output.glob("*.parquet"):
        pq.read_table(part)  # whole
    before = rows(output)
    assert 8 <= len(before) < 24
    summary = run(model, library, output)
    assert told(summary) == {"unchanged": len(before), "new": 24 - len(before)}
    assert len(rows(output)) == pq.read_table(output).num_rows == 24


def _is_decoder(process):
    return b"mar.audio.isolated" in pathlib.Path(f"/proc/{process}/cmdline").read_bytes()


def test_an_end_does_not_wait_for_a_decoder_that_is_stuck(model, library, tmp_path):
    """It is stopped for real, and would be waited for for days; the run is then interrupted."""
    soundfile.write(library / "long.wav", music(240.0, 8000, 1), 8000)
    script = "from mar.audio import isolated; isolated.STALL_SECONDS = 1e6; from mar import embed\n"
    script += "from mar.util import cli; cli.run(embed.main)"
    command = ["-c", script, "--model", model, "--workers", 1, "-o", tmp_path / "out"]
    process = start_python(*command, library / "long.wav")
    decoders = []
    while process.poll() is None and not decoders:
        for task in pathlib.Path(f"/proc/{process.pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # libraries start others, which soon end
                children = map(int, task.read_text().split())
                decoders += [child for child in children if _is_decoder(child)]
        time.sleep(0.01)
    for decoder in decoders:
        os.kill(decoder, signal.SIGSTOP)
    time.sleep(3)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 143


def test_a_skipped_file_that_is_then_named_is_tried(model, library, tmp_path):
    (library / "a.wav").rename(library / "a.bin")
    assert told(run(model, library, tmp_path / "out")) == {"new": 2, "skipped": 1}
    assert told(run(model, library, tmp_path / "out")) == {"unchanged": 3}
    assert told(run(model, library / "a.bin", tmp_path / "out")) == {"new": 1}
    assert rows(tmp_path / "out")["a.bin"]["status"] == "ok"


def test_another_model_or_other_windows_are_refused(model, library, tmp_path):
    run(model, library, tmp_path / "out")
    other = plain_network()
    mar.save(other, tmp_path / "other.keras")
    message = (
        rf"made in another way; front_end: .*downmix sum.* there, .*downmix mean.* here; model: "
        rf"{re.escape(model)} \(weights \w{{8}}…\) there, "
        r"\S*other\.keras \(weights \w{8}…\) here; give another --output"
    )
    with pytest.raises(InputError, match=message):
        run(str(tmp_path / "other.keras"), library, tmp_path / "out")
    with pytest.raises(InputError, match=r"hop_seconds: 2.0 there, 1.0 here"):
        run(model, library, tmp_path / "out", windows={"Windows": {"hop_seconds": 1.0}})


# ------------------------------------------------------------------------------------ duplicates


@pytest.mark.parametrize(
    ("workers", "kept"), [(1, {}), (3, {"store": "timeline"}), (2, {"format": "npz"})]
)
def test_exact_duplicates_are_rows_of_their_own_and_computed_once(
    model, library, tmp_path, decoded, workers, kept
):
    for number in range(4):
        shutil.copy(library / "a.wav", library / f"copy{number}.wav")
    first = told(run(model, library, tmp_path / "out", workers=workers, **kept))
    assert first == {"new": 3, "copied": 4}
    assert len(decoded) == 3
    shutil.copy(library / "d.ogg", library / "b" / "d.ogg")  # of what was there before
    shutil.copy(library / "d.ogg", library / "b" / "e.ogg")
    os.utime(library / "a.wav")
    summary = run(model, library, tmp_path / "out", workers=workers, **kept)
    assert told(summary) == {"unchanged": 6, "copied": 2, "retagged": 1}
    assert len(decoded) == 3
    embeddings, frame = Embeddings(tmp_path / "out"), Embeddings(tmp_path / "out").to_pandas()
    assert len(frame) == len(embeddings) == 9
    assert frame["audio_hash"].nunique() == 3
    for same in (["a.wav", *(f"copy{n}.wav" for n in range(4))], ["d.ogg", "b/d.ogg", "b/e.ogg"]):
        expected = mar.Embedder(model)(library / same[0])
        for path in same:
            np.testing.assert_allclose(embeddings.mean(path), expected.mean, rtol=1e-4, atol=1e-5)
            np.testing.assert_array_equal(embeddings.times(path), expected.times)
            row, status = embeddings.row(path), (library / path).stat()
            assert (row["size"], row["mtime_ns"]) == (status.st_size, status.st_mtime_ns)


def test_tags_that_were_written_cost_no_embedding(model, tmp_path, decoded):
    library, output = tmp_path / "library", tmp_path / "out"
    library.mkdir()
    for seed, name in enumerate(["mp3", "flac", "ogg", "opus", "m4a", "aiff", "pcm16.wav"]):
        rate = 48000 if name == "opus" else 44100
        write(library / f"song.{name}", name, music(3.0, rate, seed=seed), rate)
    run(model, library, output)
    assert len(decoded) == 7
    before = {path: Embeddings(output).mean(path) for path in Embeddings(output).paths}
    hashes = Embeddings(output).to_pandas()["audio_hash"]
    for path in before:
        assert file_tags.write(library / path, {"MAR_MOODS": ("calm", "dark"), "genre": ("Jazz",)})
    summary = run(model, library, output)
    assert told(summary) == {"retagged": 7}
    assert len(decoded) == 7  # none was decoded again
    embeddings = Embeddings(output)
    for path, mean in before.items():
        np.testing.assert_array_equal(embeddings.mean(path), mean)
        status = (library / path).stat()
        assert embeddings.row(path)["size"] == status.st_size
    assert embeddings.to_pandas()["audio_hash"].equals(hashes)
    assert told(run(model, library, output)) == {"unchanged": 7}


def test_a_path_with_new_audio_is_no_source_of_its_old_one(model, library, tmp_path, decoded):
    run(model, library, tmp_path / "out")
    shutil.move(library / "a.wav", library / "z.wav")
    soundfile.write(library / "a.wav", music(4.0, seed=7), 44100)
    summary = run(model, library, tmp_path / "out", workers=1)
    assert told(summary) == {"unchanged": 2, "changed": 1, "moved": 1}
    embeddings, embedder = Embeddings(tmp_path / "out"), mar.Embedder(model)
    for path in ("a.wav", "z.wav"):
        expected = embedder(library / path).mean
        np.testing.assert_allclose(embeddings.mean(path), expected, rtol=1e-4, atol=1e-5)


def test_duplicates_of_a_file_that_fails_fail_too(model, library, tmp_path):
    nan = music(7.0)
    nan[-100:] = np.nan
    soundfile.write(library / "nan.wav", nan, 44100, "FLOAT")
    shutil.copy(library / "nan.wav", library / "b" / "nan.wav")
    summary = run(model, library, tmp_path / "out")
    assert told(summary) == {"new": 3, "failed": 2}
    assert {path for path, _ in summary.failures} == {"nan.wav", "b/nan.wav"}
    assert len({reason for _, reason in summary.failures}) == 1


# --------------------------------------------------------------------------------- several at once


def at_the_first_file(monkeypatch, change):
    """Changes the disk once, where a run asks for the audio of its first file."""
    audio_hash, changes = IsolatedDecoder.audio_hash, [change]

    def changed(self, path):
        with contextlib.suppress(IndexError):
            changes.pop()()
        return audio_hash(self, path)

    monkeypatch.setattr(IsolatedDecoder, "audio_hash", changed)


def test_a_model_that_is_replaced_during_a_run_is_another(model, library, tmp_path, monkeypatch):
    """What is remembered are the files from which it was loaded."""
    own, other = tmp_path / "my.keras", tmp_path / "other.keras"
    shutil.copy(model, own)
    mar.save(plain_network(300, PUBLISHED, seed=1), other)
    at_the_first_file(monkeypatch, lambda: other.replace(own))
    assert told(run(str(own), library, tmp_path / "out")) == {"new": 3}
    with pytest.raises(InputError, match="made in another way"):
        run(str(own), library, tmp_path / "out")


def test_what_cannot_be_remembered_costs_no_run(model, library, tmp_path, monkeypatch):
    """As of a run whose best checkpoint was replaced, or where the disk is full."""
    own = tmp_path / "my.keras"
    shutil.copy(model, own)
    with monkeypatch.context() as patch:
        at_the_first_file(patch, own.unlink)
        assert told(run(str(own), library, tmp_path / "out")) == {"new": 3}
    (tmp_path / "full" / remembered.NAME).mkdir(parents=True)
    assert told(run(model, library, tmp_path / "full")) == {"new": 3}
    assert told(run(model, library, tmp_path / "full")) == {"unchanged": 3}
    assert remembered.states(str(own), str(own)) is None


def test_of_two_runs_at_once_one_is_refused(model, tmp_path):
    library, output = tmp_path / "library", tmp_path / "out"
    library.mkdir()
    for number in range(40):
        soundfile.write(library / f"{number:02}.wav", music(4.0, 8000, 1, number), 8000)
    command = ["-m", "mar.embed", "--model", model, "-o", output, library]
    processes = [start_python(*command) for _ in range(2)]
    stderr = {process.communicate()[1]: process.returncode for process in processes}
    stderr = {code: text for text, code in stderr.items()}
    assert sorted(stderr) == [0, 1], stderr
    winner = next(process.pid for process in processes if process.returncode == 0)
    assert f"error: {output}: embed.py --model {model}" in stderr[1]
    assert f"(process {winner} on " in stderr[1]
    assert pq.read_table(output).num_rows == len(rows(output)) == 40
    assert told(run(model, library, output)) == {"unchanged": 40}


# -------------------------------------------------------------------------------------- options


def test_shards_share_the_files_and_the_folder(model, library, tmp_path):
    for number in range(5):
        soundfile.write(library / f"{number}.wav", music(4.0, seed=number), 16000)
    items = files.find([str(library)])
    parts = [changes.share(items, shard, 2) for shard in range(2)]
    assert sorted((item for part in parts for item in part), key=lambda item: item.key) == items
    counts = []
    for shard in range(2):
        process = embed("--model", model, "-o", tmp_path / "out", f"--shard={shard}/2", library)
        assert process.returncode == 0, process.stderr
        counts.append(int(process.stdout.split()[1]))
    assert sum(counts) == len(items) == len(rows(tmp_path / "out"))
    assert min(counts) > 0
    assert told(run(model, library, tmp_path / "out")) == {"unchanged": len(items)}


def test_npz_and_timelines(model, library, tmp_path):
    output = tmp_path / "out"
    flags = ("--format=npz", "--store=timeline", "--workers=1")
    process = embed("--model", model, "--output", output, *flags, library)
    assert process.returncode == 0, process.stderr
    expected = mar.Embedder(model)(library / "b" / "c.flac")
    with np.load(output / "b" / "c.flac.npz", allow_pickle=False) as file:
        np.testing.assert_allclose(file["embedding"], expected.values, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(file["timestamps"], expected.times)
    (output / "b" / "c.flac.npz").unlink()
    summary = run(model, library, output, format="npz", store="timeline")
    assert told(summary) == {"unchanged": 2, "changed": 1}
    assert (output / "b" / "c.flac.npz").exists()


CONFIGS = {
    "timeline": ([2.0, 2.5], "timeline"),
    "average": ([2.0, 2.5], "mean"),
    "nsynth_pitch": ([0.5, 1.5, 2.5, 3.5], "mean"),
    "nsynth_instrument": ([2.0], "mean"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_shipped_configurations(model, tmp_path, name):
    """A note of NSynth: 4 s at 16 kHz."""
    times, store = CONFIGS[name]
    (tmp_path / "library").mkdir()
    soundfile.write(tmp_path / "library" / "note.wav", music(4.0, 16000, 1), 16000)
    config = ROOT / "configs" / "embed" / f"{name}.yaml"
    assert {path.stem for path in config.parent.glob("*.yaml")} == set(CONFIGS)
    process = embed(
        *("--config", config, "--model", model, "-o", tmp_path / "out", tmp_path / "library")
    )
    assert process.returncode == 0, process.stderr
    row = rows(tmp_path / "out")["note.wav"]
    np.testing.assert_allclose(row["times"], times, atol=0.011)
    assert store in row


@pytest.mark.slow
def test_bfloat16(model, library, tmp_path):
    for precision in ("float32", "bfloat16"):
        run(model, library, tmp_path / precision, precision=precision)
    exact, rough = (rows(tmp_path / each)["a.wav"]["mean"] for each in ("float32", "bfloat16"))
    assert 0 < np.abs(np.subtract(exact, rough)).max() < 0.05 * np.abs(exact).max()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected audio files, folders or lists"),
        (["absent"], "absent: no such file or folder"),
        (["--shard=4/4", "."], "--shard: expected i/n with i from 0 to n - 1, got '4/4'"),
        (["--set=Catalogue.batch_size=0", "."], "Catalogue.batch_size: expected at least 1, got 0"),
        (["--set=Catalogue.hop=0", "."], "Catalogue: expected one of"),
        (["--model=absent.keras", "."], "absent.keras"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(tmp_path, arguments, message):
    process = embed("--output", tmp_path / "out", *arguments)
    assert process.returncode == 1
    assert message in process.stderr
    assert "Traceback" not in process.stderr
    assert not (tmp_path / "out").exists()


def test_help_lists_all_flags():
    for command in ("embed", "analyze"):
        shown = run_python("-m", f"mar.{command}", "--help").stdout
        assert "-c, --config" in shown
        assert "--set" in shown


def test_parameters_are_checked():
    with pytest.raises(ConfigError, match=r"Catalogue.store: expected one of 'mean', 'timeline'"):
        Catalogue(store="both")
