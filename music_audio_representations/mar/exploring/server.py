"""The server of the page: questions to an `Explorer` by HTTP, on this machine alone."""

import contextlib
import secrets
import socket
import threading
from collections.abc import Iterator

from mar.errors import InputError
from mar.exploring.explorer import Explorer
from mar.exploring.guard import Guard

try:
    import uvicorn

    from mar.exploring.routes import application
except ImportError:
    raise InputError(
        "exploring needs FastAPI and Uvicorn: pip install music-audio-representations[explore]"
    ) from None

HOST = "127.0.0.1"
_TOKEN_BYTES = 16


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
