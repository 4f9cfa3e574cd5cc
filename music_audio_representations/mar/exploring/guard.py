"""Who may ask the server, and what a browser may do with its answers."""

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Application = Callable[[Message, Callable, Callable], Awaitable[None]]

_HOSTS = ("127.0.0.1", "localhost")
_HEADERS = {
    # regl compiles what draws the points, from its own text alone: 'unsafe-eval'. A notebook of
    # this machine may have the page in a cell.
    "content-security-policy": "default-src 'none'; script-src 'self' 'unsafe-eval'; "
    "style-src 'self'; img-src 'self' data:; media-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self' http://127.0.0.1:* http://localhost:*",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Lets those through who know the token, which is the first part of every path.

        http://127.0.0.1:8765/TOKEN/sound/3      is asked for as /sound/3
        any other path, a Host that is not this machine, another Origin      403

    Args:
        application: what is guarded (ASGI).
        token: that must be known.
    """

    def __init__(self, application: Application, token: str) -> None:
        self._application, self._prefix = application, f"/{token}".encode()

    async def __call__(self, scope: Message, receive: Callable, send: Callable) -> None:
        if scope["type"] != "http":  # the server's own start and end
            await self._application(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        path: bytes = scope["path"].encode()
        known, rest = path[: len(self._prefix)], path[len(self._prefix) :]
        if (
            secrets.compare_digest(known, self._prefix)
            and rest[:1] == b"/"
            and _is_own(dict(scope["headers"]))
        ):
            inner = {**scope, "path": rest.decode(), "raw_path": rest}
            await self._application(inner, receive, with_headers)
        else:
            await _refuse(with_headers)


def _is_own(headers: dict[bytes, bytes]) -> bool:
    """Whether a request is for this machine by its name, and from its own page or from none."""
    host = headers.get(b"host", b"").decode("latin-1")
    origin = headers.get(b"origin", b"").decode("latin-1")
    return host.rpartition(":")[0] in _HOSTS and origin in ("", f"http://{host}")


async def _refuse(send: Callable) -> None:
    text = b"403: expected the address that mar explore has printed, with its token\n"
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": text})
