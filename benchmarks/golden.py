"""The weights that the rows take which compare with programs that load them.

They are those of the tests, in the published format: 62 million values that were not trained.
"""

import contextlib
import lzma
import pathlib
import tempfile
import zipfile
from collections.abc import Iterator

from benchmarks.contest import ROOT

CONFIG = ROOT / "tests/data/published/configs/mule_embedding_timeline.yml"
_KEPT = ROOT / "tests/data/published/golden_model.keras.xz"


@contextlib.contextmanager
def model(given: str | None) -> Iterator[pathlib.Path]:
    """Path of a `.keras` file: the given one, or the golden one, uncompressed as published."""
    if given:
        yield pathlib.Path(given)
        return
    with tempfile.TemporaryDirectory() as folder:
        packed, path = pathlib.Path(folder, "packed"), pathlib.Path(folder, "model.keras")
        packed.write_bytes(lzma.decompress(_KEPT.read_bytes()))
        with zipfile.ZipFile(packed) as source, zipfile.ZipFile(path, "w") as target:
            for member in source.infolist():
                target.writestr(member.filename, source.read(member))
        packed.unlink()
        yield path


def pipeline(model: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """A configuration in the published form, with this model; in a folder."""
    text = CONFIG.read_text(encoding="utf-8")
    path = folder / f"{model.name}.yml"
    path.write_text(text.replace("./supporting_data/model/model.keras", str(model)), "utf-8")
    return path
