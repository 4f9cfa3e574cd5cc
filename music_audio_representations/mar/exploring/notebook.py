"""The page in a cell of a notebook."""

import contextlib
import html
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mar.exploring.explorer import Explorer, Sources
from mar.exploring.server import Server

if TYPE_CHECKING:
    from mar.embedding.store import Embeddings


class Page:
    """The page of a data set, served from this process until it ends, or `close` is called.

    In a notebook it shows itself; elsewhere, a browser opens its `address`.

    Args:
        embeddings: the `mar.Embeddings`.
        height: of the cell, in pixels.
        port: 0 takes a free one.
        **sources: see `mar.exploring.explorer.Sources`.

    Attributes:
        address: with its token.
    """

    def __init__(
        self, embeddings: "Embeddings", height: int = 720, port: int = 0, **sources: Any
    ) -> None:
        self._height = height
        server = Server(port)
        self.address = server.address
        explorer = Explorer(embeddings, Sources(**sources))
        with contextlib.ExitStack() as running:
            running.enter_context(server.running(explorer))
            self.close: Callable[[], None] = running.pop_all().close

    def __repr__(self) -> str:
        return f"<page of a data set at {self.address}>"

    def _repr_html_(self) -> str:
        address = html.escape(self.address, quote=True)
        return (
            f'<iframe src="{address}" width="100%" height="{self._height}" allow="autoplay" '
            f'title="mar explore" style="border: 0"></iframe>'
        )
