"""How a catalogue is embedded and kept, as configurations describe it."""

import json
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from typing_extensions import Self

from mar.audio.windows import Windows
from mar.config import Configurable, Param
from mar.embedding import engine, model_names, provenance, remembered
from mar.embedding.changes import Summary
from mar.embedding.files import AudioItem
from mar.errors import InputError
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
    precision: Literal["float32", "bfloat16", "float16", "int8"] | None = Param(
        default=None,
        doc="Precision of the computation; null: float32, or that of an exported model. int8 is "
        "computed on ONNX Runtime.",
    )
    batch_size: PositiveInt = Param(default=32, doc="Windows that are embedded at once.")
    workers: PositiveInt | None = Param(
        default=None, doc="Files that are decoded at once; null: one per core."
    )

    @classmethod
    def of_model(
        cls,
        model: str | os.PathLike,
        path: str | os.PathLike | None,
        overrides: Iterable[str] = (),
    ) -> Self:
        """As `load`; but the windows are those of the model, where no file says others.

        Args:
            model: what `mar.Embedder` takes, by name; `mar export` wrote windows into its files.
            path, overrides: as of `load`.

        Raises:
            ConfigError: see `load`.
            InputError: the model is an exported file that cannot be read.
        """
        own = model_names.exported_windows(os.fspath(model)) if path is None else None
        first = [] if own is None else [f"{cls.__name__}.windows={json.dumps(own)}"]
        return cls.load(path, [*first, *overrides])

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
        """Brings a data set up to date with files; what it has already is not done again.

        A model that is given by its name is loaded where there is something to embed, or where its
        files are not those with which the data set was made.

        Args:
            model: what `mar.Embedder` takes.
            items: the files, all of them: what lay in their folders and is not there any more is
                marked as gone.
            output: folder of the data set.
            shard: `(i, n)`: embeds the share of one of n machines.

        Returns:
            What became of the files. Rows that were finished are on disk however this ends.
        """
        kept = (self.store, self.format, self.workers)
        if not isinstance(model, (str, os.PathLike)):
            embedder = self.embedder(model)
            return engine.embed(lambda: embedder, embedder.provenance, items, output, *kept, shard)
        wanted = remembered.asked(model, windows=self.windows.resolved(), precision=self.precision)
        loaded = []
        made = remembered.recall(output, wanted)
        states = None
        if made is None:
            loaded.append(self.embedder(model))
            made = loaded[0].provenance
            states = remembered.states(wanted["model"], made["model_source"])

        def load() -> "Embedder":
            embedder = loaded[0] if loaded else self.embedder(model)
            if differing := provenance.difference(made, embedder.provenance):
                raise InputError(f"{model}: was changed just now{differing}; run again")
            return embedder

        summary = engine.embed(load, made, items, output, *kept, shard)
        if states is not None:
            remembered.remember(output, wanted, made, states)
        return summary
