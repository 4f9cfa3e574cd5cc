"""How a catalogue is embedded and kept, as configurations describe it."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from mar.audio.windows import Windows
from mar.config import Configurable, Param
from mar.embedding import engine
from mar.embedding.engine import Summary
from mar.embedding.files import AudioItem
from mar.util.kinds import PositiveInt

if TYPE_CHECKING:
    import keras

    from mar.embedding.embedder import Embedder


class Catalogue(Configurable):
    """How the files of a catalogue are embedded and kept."""

    windows: Windows = Param(default=Windows(), doc="The windows that are embedded.")
    store: Literal["mean", "timeline"] = Param(
        default="mean",
        doc="What is kept of a file: its average embedding, or that of every window.",
    )
    format: Literal["parquet", "npz"] = Param(
        default="parquet",
        doc="Whether embeddings are in the Parquet files, or in one .npz per file beside them.",
    )
    precision: Literal["float32", "bfloat16"] = Param(
        default="float32", doc="Precision of the computation."
    )
    batch_size: PositiveInt = Param(default=32, doc="Windows that are embedded at once.")
    workers: PositiveInt | None = Param(
        default=None, doc="Files that are decoded at once; null: one per core."
    )

    def embedder(self, model: "str | os.PathLike | keras.Model") -> "Embedder":
        """The `mar.Embedder` of a model."""
        from mar.embedding.embedder import Embedder

        return Embedder(model, self.windows, self.batch_size, self.precision)

    def run(
        self,
        model: "str | os.PathLike | keras.Model",
        items: Sequence[AudioItem],
        output: str | os.PathLike,
        shard: tuple[int, int] = (0, 1),
    ) -> Summary:
        """Embeds files into a data set; what it has already is not done again.

        Args:
            model: what `mar.Embedder` takes.
            items: the files.
            output: folder of the data set.
            shard: `(i, n)`: embeds the share of one of n machines.

        Returns:
            What became of the files. Rows that were finished are on disk however this ends.
        """
        kept = (self.store, self.format, self.workers)
        return engine.embed(self.embedder(model), items, output, *kept, shard)
