import functools
import hashlib
import http.server
import socket
import threading

import pytest

import mar
from helpers.networks import plain_network
from mar.errors import InputError
from mar.models import loading
from mar.util.download import download

CONTENT = b"weights" * 100_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ADDRESS = "https://example.invalid/media/file.bin"


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; the file `broken` ends before its announced length."""

    requests = 0

    def do_GET(self):
        type(self).requests += 1
        if self.path.endswith("broken"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:1000])
            return
        super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder that is served as the mirror of every address; the cache is another folder."""
    served = tmp_path / "served"
    (served / "media").mkdir(parents=True)
    handler = type("CountingHandler", (Handler,), {})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=served)
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MAR_MIRROR", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("MAR_CACHE", str(tmp_path / "cache"))
    server.folder, server.handler, server.cache = served, handler, tmp_path / "cache"
    yield server
    server.shutdown()


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_file_is_downloaded_once(server):
    (server.folder / "media" / "file.bin").write_bytes(CONTENT)
    path = download(ADDRESS, SHA256, "a/file.bin")
    assert path == server.cache / "a" / "file.bin"
    assert path.read_bytes() == CONTENT
    assert download(ADDRESS, SHA256, "a/file.bin") == path
    assert server.handler.requests == 1


def test_a_file_altered_in_the_cache_is_downloaded_again(server):
    (server.folder / "media" / "file.bin").write_bytes(CONTENT)
    path = download(ADDRESS, SHA256, "file.bin")
    path.write_bytes(b"altered")
    assert download(ADDRESS, SHA256, "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("altered", "content differs from the published file"),
        ("broken", "the download failed|content differs"),
        ("absent", "the server answered 404"),
    ],
)
def test_nothing_stays_of_a_failed_download(server, name, message):
    (server.folder / "media" / "altered").write_bytes(CONTENT + b"!")
    with pytest.raises(InputError, match=message):
        download(f"https://example.invalid/media/{name}", SHA256, "file.bin")
    assert files(server.cache) == []


def test_no_network_is_one_sentence_with_the_remedy(server, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MAR_MIRROR", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(InputError, match=r"the download failed .*set MAR_MIRROR.*by hand"):
            download(ADDRESS, SHA256, "file.bin")


def test_the_name_mule_downloads_once_and_shows_the_licence_once(
    tmp_path, server, monkeypatch, capsys
):
    """The published file itself cannot be had here: a small one stands in for it."""
    mar.save(plain_network(), tmp_path / "small.keras")
    content = (tmp_path / "small.keras").read_bytes()
    path = server.folder / "media" / "PandoraMedia" / "music-audio-representations"
    path = path / loading.MULE_COMMIT / "supporting_data" / "model" / "model.keras"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    monkeypatch.setattr(loading, "MULE_SHA256", hashlib.sha256(content).hexdigest())
    assert mar.load_model("mule").output_shape == (None, 173)
    assert "CC BY-NC 4.0" in capsys.readouterr().err
    mar.load_model("mule")
    assert "CC BY-NC" not in capsys.readouterr().err
    assert server.handler.requests == 1
