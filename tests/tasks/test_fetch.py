import functools
import hashlib
import http.server
import json
import pathlib
import re
import shutil
import threading
import urllib.parse

import pytest

from helpers.distributions import WRITERS
from helpers.processes import run_python
from helpers.resources import reference
from mar.errors import InputError
from mar.tasks import TASKS, Task, fetching, readers

# Which of the real files stands for each upstream file.
HERE = {
    "MTT": "mtt",
    "MTT_filtered": "mtt",
    "GTZAN": "gtzan",
    "MSDS": "msd",
    "AMM": "amm",
    "MuMu": "mumu",
    "Emo": "emo/jukemir",
    "GS_Key": "giantsteps",
    "Jam-50": "jamendo",
    "Jam-All": "jamendo",
    "Jam-MT": "jamendo",
}


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """Serves a folder in place of all addresses; the cache is another folder."""
    served = tmp_path / "served"
    served.mkdir()
    handler = functools.partial(_Handler, directory=served)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MAR_MIRROR", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("MAR_CACHE", str(tmp_path / "cache"))
    yield served
    server.shutdown()


def real_file(name, upstream):
    """The content of an upstream file, None where only a pointer to it is here."""
    folder = reference(f"datasets/{HERE[name]}")
    if upstream.endswith("_idx.npy"):
        return None
    for candidate in (upstream, f"jukemir/{pathlib.PurePath(upstream).name}"):
        found = readers.find_optional(folder, candidate)
        if found:
            raw = upstream.endswith(".gz")
            return found.read_bytes() if raw else readers.read_bytes(found)
    raise AssertionError(f"{name}: {upstream} is not among the real files")


def serve(served, name):
    """Puts the real files of a task where their addresses point."""
    for upstream, address, _ in fetching.official_files(name):
        path = served / urllib.parse.urlsplit(address).path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(real_file(name, upstream))


@pytest.mark.parametrize("name", HERE)
def test_the_known_checksums_are_those_of_the_real_files(name):
    listed = fetching.official_files(name)
    assert listed
    for upstream, address, sha256 in listed:
        assert re.match(
            r"https://(github|media\.githubusercontent)\.com/.*/[0-9a-f]{7,40}/", address
        ) or (name == "MTT")
        content = real_file(name, upstream)
        if content is None:
            pointer = reference(f"datasets/amm/lfs_pointers/{upstream.split('/')[1]}.pointer")
            assert f"oid sha256:{sha256}\n" in pointer.read_text()
        else:
            assert hashlib.sha256(content).hexdigest() == sha256


OFFICIAL = ["MTT", "MTT_filtered", "GTZAN", "Emo", "GS_Key", "Jam-MT"]


@pytest.mark.parametrize("name", OFFICIAL)
def test_what_is_fetched_is_all_that_the_task_reads(name, mirror, caplog):
    serve(mirror, name)
    check_fetched(name, mirror)
    assert caplog.text == ""


def check_fetched(name, mirror):
    paths = fetching.fetch(name)
    assert len(paths) == len(fetching.official_files(name))
    assert Task(name).items.ids
    shutil.rmtree(mirror)
    assert fetching.fetch(name) == paths  # nothing is downloaded twice


# --------------------------------------------------------------------- files in the same formats

# `mar fetch` where other checksums are known.
FETCH = """
import json, sys
from mar import fetch
from mar.tasks import fetching
known = json.loads(sys.argv.pop(1))
fetching.official_files = lambda task: known.get(task, [])
fetch.cli.run(fetch.main)
"""


def serve_form(served, name, folder):
    """Puts small files in the official formats there; returns what is then known of them."""
    WRITERS[name](folder)
    known = []
    for upstream, address, _ in fetching.official_files(name):
        path = served / urllib.parse.urlsplit(address).path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        (source,) = folder.rglob(pathlib.PurePath(upstream).name)
        shutil.copy(source, path)
        known.append((upstream, address, hashlib.sha256(path.read_bytes()).hexdigest()))
    return known


@pytest.mark.parametrize("name", ["MTT", "MTT_filtered", "GTZAN", "Jam-MT"])
def test_what_is_fetched_in_the_official_format_is_read(name, mirror, tmp_path, monkeypatch):
    known = serve_form(mirror, name, tmp_path / "form")
    monkeypatch.setattr(fetching, "official_files", lambda task: known)
    check_fetched(name, mirror)


def test_the_published_probes_are_the_ninety_of_the_release():
    folder = reference("reference/release/configs/models/probes")
    listed = {name: sha256 for name, _, sha256 in fetching.official_files(fetching.PROBES)}
    of_release = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.yml")}
    assert len(listed) == 90
    assert listed == {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in of_release.items()
    }
    assert {name.split("/")[0] for name in listed} == set(TASKS) - {"MTT_filtered"}
    for name, address, _ in fetching.official_files(fetching.PROBES):
        assert re.search(rf"/[0-9a-f]{{40}}/supporting_data/.*/{name}$", address)


def test_an_altered_file_is_not_kept(mirror, tmp_path, monkeypatch):
    known = serve_form(mirror, "GTZAN", tmp_path / "form")
    monkeypatch.setattr(fetching, "official_files", lambda task: known)
    for path in mirror.rglob("test_filtered.txt"):
        path.write_bytes(path.read_bytes() + b"blues/blues.00000.wav\n")
    with pytest.raises(InputError, match="content differs from the published file"):
        fetching.fetch("GTZAN")


@pytest.mark.parametrize("name", TASKS)
def test_every_task_says_what_is_to_be_had_elsewhere(name):
    assert any("udio" in sentence for sentence in fetching.elsewhere(name))


def test_the_command_fetches_and_says_the_rest(mirror, tmp_path):
    probe, address, _ = fetching.official_files(fetching.PROBES)[0]
    served = mirror / urllib.parse.urlsplit(address).path.lstrip("/")
    served.parent.mkdir(parents=True)
    served.write_text("MLP: {}\n")
    probes = [(probe, address, hashlib.sha256(served.read_bytes()).hexdigest())]
    known = serve_form(mirror, "GTZAN", tmp_path / "form")
    known = json.dumps({"GTZAN": known, fetching.PROBES: probes})
    (tmp_path / "gtzan").mkdir()  # a folder of a task's name does not hide it
    finished = run_python("-c", FETCH, known, "gtzan", "probes", "NSynth_P", cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert "GTZAN: 3 files in" in finished.stdout
    assert "probes: 1 files in" in finished.stdout
    assert (tmp_path / "cache" / "tasks" / "probes" / probe).read_text() == "MLP: {}\n"
    assert "nsynth-{train,valid,test}.jsonwav.tar.gz" in finished.stdout
    for given, meant in (("GTZANN", "GTZAN"), ("prob", "probes")):
        wrong = run_python("-m", "mar.fetch", given)
        assert wrong.returncode == 1
        assert f"did you mean '{meant}'" in wrong.stderr
