"""What an exported file says of itself, as plain data, without the package `onnx`."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from mar.errors import InputError

SCHEMA = 1


@dataclasses.dataclass(frozen=True)
class About:
    """What a file holds beside its graph; each attribute is one entry of its metadata, in JSON.

    Attributes:
        front_end: resolved configuration of the `mar.LogMel` that its waveform goes through.
        windows: resolved configuration of the `mar.Windows` that its waveform is cut into.
        frames: of a snippet.
        dimensions: of an embedding.
        precision: "float32", "float16" or "int8", of the network's computation.
        heads: of each the output's name, task, kind, labels, thresholds and unit.
        licence: of the weights.
        provenance: `model`, the fingerprint of the weights, and whatever else changes embeddings.
        origin: where the weights came from, and which version of mar exported them.
        schema: version of these entries.
    """

    front_end: dict[str, Any]
    windows: dict[str, Any]
    frames: int
    dimensions: int
    precision: str
    heads: list[dict[str, Any]]
    licence: str
    provenance: dict[str, Any]
    origin: dict[str, str]
    schema: int = SCHEMA

    def entries(self) -> dict[str, str]:
        """As a file has them."""
        values = dataclasses.asdict(self).items()
        return {name: json.dumps(value, ensure_ascii=False) for name, value in values}

    @classmethod
    def of(cls, entries: Mapping[str, str], path: str) -> "About":
        """Reads the entries of a file.

        Raises:
            InputError: they are not there, or of a newer version of mar.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        try:
            values = {name: json.loads(entries[name]) for name in names}
        except (KeyError, ValueError) as error:
            there = ", ".join(sorted(entries)) or "none"
            raise InputError(
                f"{path}: expected an ONNX file that mar export wrote, whose metadata have "
                f"{', '.join(sorted(names))}; got {there} ({error!r}). "
                f"Where others exported it: --model '{path}?sample_rate=16000'"
            ) from None
        if values["schema"] > SCHEMA:
            raise InputError(
                f"{path}: expected metadata of schema {SCHEMA} or earlier, got {values['schema']}; "
                f"a newer version of mar wrote it"
            )
        return cls(**values)
