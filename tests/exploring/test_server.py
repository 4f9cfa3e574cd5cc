"""The server of the page: whom it answers, what it plays, and what it refuses."""

import http.client
import io
import json
import os
import signal
import threading
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pytest
import soundfile

import mar
from helpers.processes import run_python, start_python
from helpers.small_embeddings import write_store
from helpers.three_kinds import HOSTILE, RATE, SECONDS, sound, write_catalogue
from mar import Embeddings
from mar.embedding import files
from mar.embedding.catalogue import Catalogue
from mar.exploring.sound import Wave

pytest.importorskip("fastapi")


def get(page, path, **headers):
    """Status, headers and body of an answer."""
    return asked(page, "GET", path, None, headers)


def post(page, path, body):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
    return asked(page, "POST", path, data, {"content-type": kind})


def asked(page, method, path, data, headers):
    address = urllib.parse.urlsplit(page.address)
    connection = http.client.HTTPConnection(address.hostname, address.port)
    try:
        absolute = path if path.startswith("/") else address.path + path
        connection.request(method, absolute, data, headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def paths(catalogue):
    return Embeddings(catalogue / "emb").paths


# ------------------------------------------------------------------------------------------ who


def test_without_the_token_nothing_is_told(page):
    token = urllib.parse.urlsplit(page.address).path.strip("/")
    wrong = token[:-1] + ("A" if token[-1] != "A" else "B")
    others = ("/", "/about", f"/{token}", f"/x/{token}/about", "/%2e%2e/", "/a" + 20 * "%c3%a9")
    for path in (f"/{wrong}/about", *others):
        status, _, body = get(page, path)
        assert status == 403, path
        assert token.encode() not in body
    assert get(page, "about")[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8765"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:8765"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
    ],
)
def test_other_hosts_and_origins_are_refused(page, headers, status):
    assert get(page, "about", **headers)[0] == status
    assert get(page, "sound/0", **headers)[0] == status


def test_every_answer_has_the_policy(page):
    for path in ("", "points", "sound/0", "tracks/99999", "nothing", "/"):
        _, headers, _ = get(page, path)
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self' 'unsafe-eval'; ")
        assert "unsafe-inline" not in policy
        assert "http:" not in policy.replace(
            "frame-ancestors 'self' http://127.0.0.1:*", ""
        ).replace("http://localhost:*", "")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "sound/..%2f..%2fetc%2fpasswd",
        "sound/etc/passwd",
        "sound/-1",
        "sound/99999",
        "wave/1e3",
        "tracks/%2e%2e",
        "vendor/../../server.py",
    ],
)
def test_no_path_of_the_browser_is_opened(page, path):
    status, _, body = get(page, path)
    assert status in (403, 404, 422)
    assert b"root:" not in body
    assert b"import" not in body


def test_it_listens_on_this_machine_alone(page):
    import psutil

    port = urllib.parse.urlsplit(page.address).port
    ours = [c for c in psutil.Process().net_connections() if c.laddr and c.laddr.port == port]
    assert {c.laddr.ip for c in ours} == {"127.0.0.1"}


# ---------------------------------------------------------------------------------------- sound


def test_files_are_played_in_ranges(page, paths, catalogue):
    for name in ("low/0.wav", "low/1.flac", "middle/2.ogg"):
        content = (catalogue / "library" / name).read_bytes()
        row = paths.index(name)
        status, headers, body = get(page, f"sound/{row}")
        assert (status, body) == (200, content)
        assert headers["content-type"].startswith(("audio/", "video/"))
        status, headers, body = get(page, f"sound/{row}", Range="bytes=100-299")
        assert (status, body) == (206, content[100:300])
        assert headers["content-range"] == f"bytes 100-299/{len(content)}"


def test_files_of_hostile_names_are_played_as_all_others(page, paths, catalogue):
    for name in HOSTILE:
        row = paths.index(files.key(name))
        with open(os.path.join(os.fsencode(catalogue / "library"), name), "rb") as file:
            assert get(page, f"sound/{row}")[2] == file.read()
        known = json.loads(get(page, f"tracks/{row}")[2])
        assert known["path"] == files.key(name)


def test_what_browsers_do_not_play_comes_as_wav_from_any_byte(page, paths):
    row = paths.index("middle/3.aiff")
    status, headers, body = get(page, f"wave/{row}")
    assert status == 200
    assert int(headers["content-length"]) == len(body)
    samples, rate = soundfile.read(io.BytesIO(body))
    assert len(samples) == round(SECONDS * rate)
    spectrum = np.abs(np.fft.rfft(samples))
    original = np.abs(np.fft.rfft(sound("middle", 3)))
    assert spectrum.argmax() / SECONDS == pytest.approx(original.argmax() / SECONDS, abs=1)
    for first in (0, 1, 43, 44, 45, 1001, len(body) - 1):
        status, headers, part = get(page, f"wave/{row}", Range=f"bytes={first}-")
        assert (status, part) == (206, body[first:])
        assert headers["content-range"] == f"bytes {first}-{len(body) - 1}/{len(body)}"
    assert get(page, f"wave/{row}", Range=f"bytes={len(body)}-")[0] == 416


@pytest.mark.parametrize("seconds", [SECONDS, SECONDS - 1, SECONDS + 1])
def test_a_wave_is_as_long_as_it_says(catalogue, seconds):
    """Also where the decoder gives less or more than was noted."""
    wave = Wave(os.fsencode(catalogue / "library" / "low" / "0.wav"), seconds)
    for first in (0, 44, 100, len(wave) - 10):
        assert sum(map(len, wave.read(first))) == len(wave) - first


def test_a_file_that_is_deleted_while_it_is_played(tmp_path):
    write_catalogue(tmp_path)
    page = Embeddings(tmp_path / "emb").explore()
    try:
        row = Embeddings(tmp_path / "emb").paths.index("low/0.wav")
        assert get(page, f"sound/{row}", Range="bytes=0-99")[0] == 206
        (tmp_path / "library" / "low" / "0.wav").unlink()
        for path in (f"sound/{row}", f"wave/{row}"):
            status, _, body = get(page, path, Range="bytes=100-199")
            assert status == 422
            assert "low/0.wav: there is no such file any more" in json.loads(body)["error"]
        assert get(page, f"sound/{row + 1}")[0] == 200
    finally:
        page.close()


# ------------------------------------------------------------------------------------ questions


def test_neighbours_and_ways_are_those_of_the_commands(page, paths, catalogue):
    embeddings = Embeddings(catalogue / "emb")
    row, other = paths.index("low/0.wav"), paths.index("noise/0.wav")
    near = json.loads(get(page, f"nearest/{row}?k=5")[2])
    expected = [
        n for n in embeddings.nearest(embeddings.mean(paths[row]), 6) if n.path != paths[row]
    ]
    assert [(n["path"], n["similarity"]) for n in near] == [
        (n.path, n.similarity) for n in expected
    ]
    assert [paths[n["row"]] for n in near] == [n["path"] for n in near]
    way = json.loads(get(page, f"between/{row}/{other}?k=4")[2])
    assert [n["path"] for n in way][:: len(way) - 1] == [paths[row], paths[other]]
    assert len(way) == 6


def test_names_are_searched_without_regard_to_case(page, paths):
    rows = np.frombuffer(get(page, "search?text=LOW%2F")[2], np.uint32)
    assert [paths[row] for row in rows] == [p for p in paths if p.startswith("low/")]
    assert get(page, "search?text=%5B%28")[2] == b""


def test_a_file_that_is_dropped_finds_its_like(page, catalogue):
    file = io.BytesIO()
    soundfile.write(file, sound("middle", 77), RATE, format="FLAC")
    status, _, body = post(page, "place?k=3", file.getvalue())
    placed = json.loads(body)
    assert status == 200, placed
    assert {n["path"].split("/")[0] for n in placed["nearest"]} == {"middle"}
    points = np.frombuffer(get(page, "points")[2], np.float32).reshape(-1, 2)
    near = points[[n["row"] for n in placed["nearest"]]]
    middle = points[[n.startswith("middle/") for n in Embeddings(catalogue / "emb").paths]]
    assert (
        np.abs(near.mean(axis=0) - (placed["x"], placed["y"])).max() <= np.ptp(middle, axis=0).max()
    )
    status, _, body = post(page, "place", b"this is no audio")
    assert status == 422
    assert "error" in json.loads(body)


def test_columns_colour_every_track(page, paths):
    columns = {c["name"]: c["id"] for c in json.loads(get(page, "about")[2])["columns"]}
    folder = json.loads(get(page, f"columns/{columns['folder']}")[2])
    codes = np.frombuffer(get(page, f"columns/{columns['folder']}/values")[2], np.float32)
    names = [folder["categories"][int(code)] for code in codes]
    assert names == [p.split("/")[0] if "/" in p else "." for p in paths]
    assert folder["counts"] == [8, 8, 8, len(HOSTILE)]
    seconds = np.frombuffer(get(page, f"columns/{columns['duration']}/values")[2], np.float32)
    np.testing.assert_allclose(seconds, SECONDS)
    assert get(page, "columns/99")[0] == 422


# --------------------------------------------------------------------------------------- labels


def test_a_label_is_taught_seen_and_saved_for_mar_tag(page, paths, catalogue):
    low, noise = ([r for r, p in enumerate(paths) if p.startswith(k)] for k in ("low", "noise"))
    examples = {"label": "deep <b>", "yes": low[:5], "no": noise[:2]}
    trained = json.loads(post(page, "labels", examples)[2])
    assert trained["score"] > 0.9
    assert not {*trained["uncertain"]} & {*examples["yes"], *examples["no"]}
    shown = np.frombuffer(get(page, "probabilities?label=deep%20%3Cb%3E")[2], np.float32)
    assert (shown[low] > 0.5).all()
    assert (shown[noise] < 0.5).all()
    status, _, body = post(page, "heads", {"name": "moods 1", "labels": ["deep <b>"]})
    assert status == 200, body
    head = mar.Head(json.loads(body)["file"])
    embeddings = Embeddings(catalogue / "emb")
    head.check(embeddings.provenance, "emb")
    said = head.probabilities(embeddings.means(paths))[:, 0]
    np.testing.assert_allclose(said, shown, atol=1e-3)
    table = post(page, "export", {"rows": [3, 1], "format": "csv", "label": "deep <b>"})[2].decode()
    assert table.splitlines()[0] == "path,label,probability"
    status, _, body = post(page, "heads", {"name": "moods 1", "labels": ["deep <b>"]})
    assert status == 422
    assert "another name" in json.loads(body)["error"]


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", ".hidden", "x\0", "n" * 300])
def test_a_head_is_saved_in_its_folder_alone(page, name):
    post(page, "labels", {"label": "x", "yes": [0], "no": [1]})
    assert post(page, "heads", {"name": name, "labels": ["x"]})[0] == 422
    assert not page.heads.exists() or {p.suffix for p in page.heads.iterdir()} <= {".safetensors"}


@pytest.mark.parametrize(
    "examples",
    [
        {"yes": [], "no": []},
        {"yes": [1], "no": [1]},
        {"yes": [10**6], "no": []},
        {"yes": [-1], "no": []},
        {"yes": ["../x"], "no": []},
    ],
)
def test_wrong_examples_are_refused(page, examples):
    assert post(page, "labels", {"label": "y", **examples})[0] == 422
    assert post(page, "labels", {"label": " ", "yes": [0], "no": []})[0] == 422
    assert get(page, "about")[0] == 200


def test_a_label_whose_training_fails_is_not_what_it_was(page):
    assert post(page, "labels", {"label": "z", "yes": [0], "no": []})[0] == 200
    assert post(page, "labels", {"label": "z", "yes": [1], "no": [1]})[0] == 422
    assert get(page, "probabilities?label=z")[0] == 422
    assert post(page, "heads", {"name": "z", "labels": ["z"]})[0] == 422


def test_a_browser_that_leaves_while_a_label_is_trained_harms_nothing(page):
    address = urllib.parse.urlsplit(page.address)
    body = json.dumps({"label": "left", "yes": [0, 1, 2, 3, 4, 5], "no": [9]}).encode()
    leaving = []
    for _ in range(5):
        connection = http.client.HTTPConnection(address.hostname, address.port)
        connection.request(
            "POST", address.path + "labels", body, {"content-type": "application/json"}
        )
        connection.sock.close()
        leaving.append(connection)
    assert json.loads(post(page, "labels", json.loads(body))[2])["uncertain"]
    assert not [t for t in threading.enumerate() if "exception" in t.name]


def test_selections_are_exported(page, paths, catalogue):
    rows = [paths.index("low/1.flac"), paths.index("noise/0.wav")]
    listed = post(page, "export", {"rows": rows, "format": "m3u", "label": None})[2].decode()
    places = [str(catalogue / "library" / paths[row]) for row in rows]
    assert listed.splitlines() == ["#EXTM3U", *places]
    everything = {"rows": [*range(len(paths))], "format": "m3u", "label": None}
    _, *places = post(page, "export", everything)[2].splitlines()
    assert len(places) > len(paths) - 2  # names of several lines are left out
    assert all(os.path.isfile(place) for place in places)
    assert any(not_text in place for place in places for not_text in (b"\xff", b"\xe9"))
    table = post(page, "export", {"rows": rows, "format": "csv", "label": None})[2].decode()
    assert table.splitlines() == ["path", *(paths[row] for row in rows)]


# --------------------------------------------------------------------------------------- command


def test_the_command_serves_until_it_is_interrupted(tmp_path):
    write_catalogue(tmp_path)
    both = [start_python("-m", "mar.explore", "--port=0", "emb", cwd=tmp_path) for _ in range(2)]
    first, second = (process.stdout.readline().strip() for process in both)
    told = {first, second} - {""}
    assert told  # where both make the map at once, the other is told so
    for address in told:
        with urllib.request.urlopen(address) as answer:
            assert b"mar explore" in answer.read()
    for process, address in zip(both, (first, second), strict=True):
        if address:
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
        assert process.returncode == (0 if address else 1)
        assert address or "writes into it" in errors


def test_a_data_set_that_grew_is_told(tmp_path):
    write_catalogue(tmp_path)
    page = Embeddings(tmp_path / "emb").explore()
    try:
        soundfile.write(tmp_path / "library" / "low" / "new.wav", sound("low", 9), RATE)
        items = files.find([str(tmp_path / "library")])
        Catalogue(store="mean").run("logmel_mean", items, tmp_path / "emb")
        assert get(page, "tracks/0")[0] in (200, 422)
        assert get(page, "points")[0] == 200
    finally:
        page.close()
    grown = Embeddings(tmp_path / "emb").explore()
    try:
        points = np.frombuffer(get(grown, "points")[2], np.float32)
        assert len(points) == 2 * len(Embeddings(tmp_path / "emb"))
        row = Embeddings(tmp_path / "emb").paths.index("low/new.wav")
        assert get(grown, f"sound/{row}")[0] == 200
    finally:
        grown.close()


def test_a_port_that_is_taken_is_said_before_the_map_is_made(tmp_path, page):
    write_store(tmp_path / "emb", {f"{n}.wav": np.eye(1, 8, n) for n in range(8)})
    port = urllib.parse.urlsplit(page.address).port
    process = run_python("-m", "mar.explore", f"--port={port}", "emb", cwd=tmp_path)
    assert process.returncode == 1
    assert f"port {port}: " in process.stderr
    assert not (tmp_path / "emb" / ".map").exists()
