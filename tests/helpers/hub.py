"""A server on this machine that speaks the Hugging Face Hub's protocol, as far as downloads go.

HEAD and GET of `/USER/NAME/resolve/REVISION/FILE`, with the headers that tell the commit, the size
and the hash; large files are sent elsewhere by a redirect; errors have the codes of the hub.
"""

import contextlib
import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LARGE = 1000  # bytes; larger files are kept apart, as Git LFS does


class Hub:
    """Repositories that are served while the context lasts.

    Attributes:
        endpoint: what `HF_ENDPOINT` is set to.
        requests: `(method, path)` of each request that came.
        repositories: `{name: {revision: (commit, {file: content})}}`.
        damaged: names of files that are sent with one byte changed.
        breaks_after: bytes after which the next large file's connection breaks, once; or None.
    """

    def __init__(self):
        self.repositories, self.requests, self.damaged = {}, [], set()
        self.breaks_after = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.hub = self
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self.elsewhere = f"http://localhost:{self._server.server_port}"  # another host, by its name

    def commit(self, repository, files, *revisions):
        """Adds a commit that branches or tags stand for from now on; returns its hash."""
        known = self.repositories.setdefault(repository, {})
        commit = hashlib.sha1(f"{repository} {len(known)} {sorted(files)}".encode()).hexdigest()
        for revision in (commit, *revisions):
            known[revision] = commit, dict(files)
        return commit

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def large(self, etag):
        """The name and content of the large file with this hash."""
        for revisions in self.repositories.values():
            for _, files in revisions.values():
                for name, content in files.items():
                    if hashlib.sha256(content).hexdigest() == etag:
                        return name, content
        raise KeyError(etag)

    def sent(self, name, content):
        """What goes over the wire."""
        if name not in self.damaged:
            return content
        middle = len(content) // 2
        return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


class _Handler(BaseHTTPRequestHandler):
    """Answers the requests to a `Hub`."""

    protocol_version = "HTTP/1.1"

    @property
    def hub(self):
        return self.server.hub

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.hub.requests.append((self.command, self.path))
        if self.path.startswith("/large/"):
            return self.send_large(self.path.rpartition("/")[2])
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        repository = found and self.hub.repositories.get(found[1])
        if not repository:
            return self.refuse(401, "RepoNotFound")
        if found[2] not in repository:
            return self.refuse(404, "RevisionNotFound")
        commit, files = repository[found[2]]
        if found[3] not in files:
            return self.refuse(404, "EntryNotFound", commit)
        self.send_file(found[3], files[found[3]], commit)

    def send_file(self, name, content, commit):
        if len(content) <= LARGE:
            etag = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            content = self.hub.sent(name, content)
            return self.answer(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": commit})
        etag = hashlib.sha256(content).hexdigest()
        headers = {
            "Location": f"{self.hub.elsewhere}/large/{etag}",
            "X-Repo-Commit": commit,
            "X-Linked-ETag": f'"{etag}"',
            "X-Linked-Size": str(len(content)),
        }
        self.answer(302, b"", headers)

    def send_large(self, etag):
        name, content = self.hub.large(etag)
        self.answer(200, self.hub.sent(name, content), {"ETag": f'"{etag}"'})

    def refuse(self, status, code, commit=None):
        headers = {"X-Error-Code": code, "X-Error-Message": code}
        self.answer(status, b"", headers | ({"X-Repo-Commit": commit} if commit else {}))

    def answer(self, status, content, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.hub.breaks_after is not None and self.path.startswith("/large/"):
            content, self.hub.breaks_after = content[: self.hub.breaks_after], None
            self.close_connection = True
        with contextlib.suppress(ConnectionError):
            self.wfile.write(content)

    def log_message(self, *_):
        pass
