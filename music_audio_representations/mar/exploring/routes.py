"""What the page asks by HTTP, as questions to an `Explorer`."""

import mimetypes
import os
import pathlib
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import APIRouter, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

from mar.errors import InputError
from mar.exploring.explorer import Explorer, Format
from mar.exploring.sound import Wave

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

PAGE = pathlib.Path(__file__).with_name("page")
_LARGEST_DROP = 2**30  # bytes of a file


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
    """The page, and all that it asks."""
    app = FastAPI(openapi_url=None)

    @app.exception_handler(InputError)
    def refused(request: Request, error: InputError) -> Response:
        return JSONResponse({"error": str(error)}, 422)

    for questions in (_map, _tracks, _sounds, _labels):
        app.include_router(questions(explorer))
    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return app


def _map(explorer: Explorer) -> APIRouter:
    """The points, and what they are coloured by."""
    router = APIRouter()

    @router.get("/points")
    def points() -> Response:
        return _floats(explorer.points)

    @router.get("/about")
    def about() -> Any:
        return {"name": explorer.name, "columns": explorer.columns()}

    @router.get("/columns/{column}")
    def column(column: str) -> Any:
        return explorer.values(column).legend()

    @router.get("/columns/{column}/values")
    def values(column: str) -> Response:
        return _floats(explorer.values(column).numbers)

    return router


def _tracks(explorer: Explorer) -> APIRouter:
    """What tracks there are, which are alike, and lists of them."""
    router = APIRouter()

    @router.get("/tracks/{row}")
    def track(row: int) -> Any:
        return explorer.track(row)

    @router.post("/tracks")
    def tracks(rows: list[int]) -> Any:
        return explorer.listed(rows)

    @router.get("/search")
    def search(text: str) -> Response:
        return Response(explorer.search(text).tobytes(), media_type="application/octet-stream")

    @router.get("/nearest/{row}")
    def nearest(row: int, k: int = 10) -> Any:
        return explorer.nearest(row, k)

    @router.get("/between/{start}/{end}")
    def between(start: int, end: int, k: int = 8) -> Any:
        return explorer.between(start, end, k)

    @router.post("/place")
    async def place(request: Request, k: int = 10) -> Any:
        with tempfile.NamedTemporaryFile() as file:
            size = 0
            async for part in request.stream():
                size += len(part)
                if size > _LARGEST_DROP:
                    return JSONResponse({"error": "expected a file of at most 1 GiB"}, 413)
                file.write(part)
            file.flush()
            return await run_in_threadpool(explorer.place, file.name, k)

    @router.post("/export")
    def export(wanted: Export) -> Response:
        return PlainTextResponse(explorer.export(wanted.rows, wanted.format, wanted.label))

    return router


def _sounds(explorer: Explorer) -> APIRouter:
    """Files of the data set, as they are or as WAV."""
    router = APIRouter()

    @router.get("/sound/{row}")
    def sound(row: int) -> Response:
        place, _ = explorer.sound(row)
        return _TrackFile(place)

    @router.get("/wave/{row}")
    def wave(request: Request, row: int) -> Response:
        return _streamed(Wave(*explorer.sound(row)), request.headers.get("range", ""))

    return router


def _labels(explorer: Explorer) -> APIRouter:
    """Labels that are taught, and saved."""
    router = APIRouter()

    @router.post("/labels")
    def teach(examples: Examples) -> Any:
        trained = explorer.teach(examples.label, examples.yes, examples.no)
        return {"score": trained.score, "uncertain": trained.uncertain}

    @router.get("/probabilities")
    def probabilities(label: str) -> Response:
        return _floats(explorer.probabilities(label))

    @router.post("/heads")
    def save(head: NewHead) -> Any:
        return {"file": os.fspath(explorer.save(head.name, head.labels))}

    return router


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
