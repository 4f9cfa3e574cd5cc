"""The server of the page: questions to an `Explorer` by HTTP, on this machine alone."""

import contextlib
import mimetypes
import os
import pathlib
import secrets
import socket
import tempfile
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from mar.errors import InputError
from mar.exploring.explorer import Explorer, Format
from mar.exploring.guard import Guard
from mar.exploring.sound import Wave

try:
    import uvicorn
    from fastapi import FastAPI, Request
    from fastapi.responses import (
        FileResponse,
        JSONResponse,
        PlainTextResponse,
        Response,
        StreamingResponse,
    )
    from fastapi.staticfiles import StaticFiles
    from pydantic import BaseModel
except ImportError:
    raise InputError(
        "exploring needs FastAPI and Uvicorn: pip install music-audio-representations[explore]"
    ) from None

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

HOST = "127.0.0.1"
PAGE = pathlib.Path(__file__).with_name("page")
_LARGEST_DROP = 2**30  # bytes of a file
_TOKEN_BYTES = 16


class Examples(BaseModel):
    """Tracks that have a label, and that have it not."""

    label: str
    yes: list[int]
    no: list[int]


class NewHead(BaseModel):
    """A head that is to be saved."""

    name: str
    labels: list[str]


class Export(BaseModel):
    """Tracks that are to be listed."""

    rows: list[int]
    format: Format
    label: str | None


def application(explorer: Explorer) -> FastAPI:
    """The questions that the page asks, by paths behind the token."""
    app = FastAPI(openapi_url=None)

    @app.exception_handler(InputError)
    def refused(request: Request, error: InputError) -> Response:
        return JSONResponse({"error": str(error)}, 422)

    @app.get("/points")
    def points() -> Response:
        return _floats(explorer.points)

    @app.get("/about")
    def about() -> Any:
        return {"name": explorer.name, "columns": explorer.columns()}

    @app.get("/columns/{column}")
    def column(column: str) -> Any:
        return explorer.values(column).legend()

    @app.get("/columns/{column}/values")
    def values(column: str) -> Response:
        return _floats(explorer.values(column).numbers)

    @app.get("/tracks/{row}")
    def track(row: int) -> Any:
        return explorer.track(row)

    @app.post("/tracks")
    def tracks(rows: list[int]) -> Any:
        return explorer.listed(rows)

    @app.get("/search")
    def search(text: str) -> Response:
        return Response(explorer.search(text).tobytes(), media_type="application/octet-stream")

    @app.get("/nearest/{row}")
    def nearest(row: int, k: int = 10) -> Any:
        return explorer.nearest(row, k)

    @app.get("/between/{start}/{end}")
    def between(start: int, end: int, k: int = 8) -> Any:
        return explorer.between(start, end, k)

    @app.post("/place")
    async def place(request: Request, k: int = 10) -> Any:
        from fastapi.concurrency import run_in_threadpool

        with tempfile.NamedTemporaryFile() as file:
            size = 0
            async for part in request.stream():
                size += len(part)
                if size > _LARGEST_DROP:
                    return JSONResponse({"error": "expected a file of at most 1 GiB"}, 413)
                file.write(part)
            file.flush()
            return await run_in_threadpool(explorer.place, file.name, k)

    @app.get("/sound/{row}")
    def sound(row: int) -> Response:
        place, _ = explorer.sound(row)
        return _TrackFile(place)

    @app.get("/wave/{row}")
    def wave(request: Request, row: int) -> Response:
        return _streamed(Wave(*explorer.sound(row)), request.headers.get("range", ""))

    @app.post("/labels")
    def teach(examples: Examples) -> Any:
        trained = explorer.teach(examples.label, examples.yes, examples.no)
        return {"score": trained.score, "uncertain": trained.uncertain}

    @app.get("/probabilities")
    def probabilities(label: str) -> Response:
        return _floats(explorer.probabilities(label))

    @app.post("/heads")
    def save(head: NewHead) -> Any:
        return {"file": os.fspath(explorer.save(head.name, head.labels))}

    @app.post("/export")
    def export(wanted: Export) -> Response:
        return PlainTextResponse(explorer.export(wanted.rows, wanted.format, wanted.label))

    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return app


class _TrackFile(FileResponse):
    """A file of the data set, in the ranges that are asked for."""

    def __init__(self, place: bytes) -> None:
        kind, _ = mimetypes.guess_type(os.fsdecode(place))
        is_media = kind is not None and kind.startswith(("audio/", "video/"))
        super().__init__(os.fsdecode(place), media_type=kind if is_media else "audio/mpeg")

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        try:
            await super().__call__(scope, receive, send)
        except (RuntimeError, FileNotFoundError):  # deleted since it was looked for
            gone = JSONResponse({"error": "the file is not there any more"}, 404)
            await gone(scope, receive, send)


def _floats(array: np.ndarray) -> Response:
    data = np.ascontiguousarray(array, "<f4").tobytes()
    return Response(data, media_type="application/octet-stream")


def _streamed(wave: Wave, asked: str) -> Response:
    """The bytes that a Range header asks for, of a file that is made while it is read."""
    first = asked.removeprefix("bytes=").partition("-")[0]
    begin = int(first) if first.isdigit() else 0
    size = len(wave)
    if begin >= size:
        return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
    headers = {"accept-ranges": "bytes", "content-length": str(size - begin)}
    if asked:
        headers["content-range"] = f"bytes {begin}-{size - 1}/{size}"
    code = 206 if asked else 200
    return StreamingResponse(wave.read(begin), code, headers, "audio/wav")


class Server:
    """A port of this machine, on which one explorer is served.

    Args:
        port: 0 takes a free one.

    Attributes:
        address: of the page, with its token.

    Raises:
        InputError: the port is taken.
    """

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((HOST, port))
        except (OSError, OverflowError) as error:
            self._socket.close()
            raise InputError(f"port {port}: {error}; --port 0 takes a free one") from None
        self._socket.listen()  # who asks before it is served waits
        self._token = secrets.token_urlsafe(_TOKEN_BYTES)
        self.address = f"http://{HOST}:{self._socket.getsockname()[1]}/{self._token}/"

    def run(self, explorer: Explorer) -> None:
        """Serves until Ctrl-C."""
        with contextlib.suppress(KeyboardInterrupt):  # which Uvicorn raises again, or not
            self._serving(explorer).run([self._socket])

    @contextlib.contextmanager
    def running(self, explorer: Explorer) -> Iterator[None]:
        """Serves in a thread, within a block."""
        serving = self._serving(explorer)
        thread = threading.Thread(target=serving.run, args=([self._socket],), daemon=True)
        thread.start()
        try:
            yield
        finally:
            serving.should_exit = True
            thread.join()

    def _serving(self, explorer: Explorer) -> uvicorn.Server:
        config = uvicorn.Config(
            Guard(application(explorer), self._token),
            log_level="warning",
            access_log=False,  # it would have the token
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        return uvicorn.Server(config)
