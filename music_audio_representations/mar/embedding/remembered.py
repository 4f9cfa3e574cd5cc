"""How a model embeds, remembered beside the embeddings: where its files are as they were, it need
not be loaded to know that nothing is new.
"""

import json
import logging
import os
import pathlib
from typing import Any

import mar
from mar.embedding.encoders import address as addresses
from mar.embedding.model_names import is_baseline, is_exported
from mar.errors import InputError
from mar.util import hub, plain_data
from mar.util.atomic import whole
from mar.util.checksums import sha256

_LOG = logging.getLogger(__name__)
NAME = ".model.json"  # in the folder of the data set
_FORM = {"asked": dict, "made": dict, "files": tuple[object, ...]}


def asked(model: str | os.PathLike, **settings: Any) -> dict:
    """What was asked for, by which it is found again: plain data.

    Args:
        model: what `mar.Embedder` takes, by name.
        **settings: what else decides how it embeds.
    """
    name = os.fspath(model)
    if (address := addresses.parse(name)) is not None:
        name = str(address.located())
    elif hub.is_address(name):
        name = hub.pinned(name)
    elif name != "mule" and not is_baseline(name):
        name = os.path.abspath(name)
    return {"model": name, **settings, "version": mar.__version__}


def recall(folder: str | os.PathLike, wanted: dict) -> dict | None:
    """The provenance of what was asked for; None where it is not known, or its files changed.

    A file that has another time of change is compared by its content, and counts as the same where
    that is.

    Args:
        folder: of the data set.
        wanted: see `asked`.
    """
    try:
        noted = plain_data.read(pathlib.Path(folder) / NAME, _FORM)
        as_it_was = noted["asked"] == wanted and all(_is_same(file) for file in noted["files"])
        return noted["made"] if as_it_was else None
    except (OSError, ValueError, KeyError, TypeError):  # none, or not ours: it is made anew
        return None


def states(name: str, source: str) -> list[dict] | None:
    """What tells the files of a model from later ones: to be asked as soon as it is loaded.

    Args:
        name: the model, as `asked` has it.
        source: `model_source` of its provenance.

    Returns:
        Plain data; None where they are not there any more, such as those of a run that goes on.
    """
    try:
        return [_state(path) for path in _files(name, source)]
    except (OSError, InputError) as error:
        _LOG.info("%s: changes, and is loaded again by the next run: %s", name, error)
        return None


def remember(folder: str | os.PathLike, wanted: dict, made: dict, files: list[dict]) -> None:
    """Notes the provenance of what was asked for, with the state of its files.

    Where it cannot be written, the next run loads the model once more.

    Args:
        folder: of the data set, which is there.
        wanted: see `asked`.
        made: the provenance of its `mar.Embedder`.
        files: their `states`, as of when it was loaded.
    """
    try:
        with whole(pathlib.Path(folder) / NAME) as unfinished:
            unfinished.write_text(json.dumps({"asked": wanted, "made": made, "files": files}))
    except InputError as error:
        _LOG.info("%s; the next run loads the model again", error)


def _files(name: str, source: str) -> list[pathlib.Path]:
    """The files from which a model follows; and the folders that say which these are."""
    if (address := addresses.parse(name)) is not None:
        return address.files
    if is_baseline(name):
        return []
    if hub.is_address(name):
        return [hub.fetch(name)]
    if is_exported(name):
        return [pathlib.Path(source)]
    from mar.models import loading, runs

    if name == "mule":
        return [loading.fetch_mule()]
    path = pathlib.Path(source)
    if (path / "variables").is_dir():
        return [path, *path.rglob("*")]
    saved = runs.find(source)
    if saved is None:
        return [path]
    if saved.path.suffix == ".keras":
        model = [saved.path]
    else:
        model = [*saved.path.parent.glob(f"{saved.path.name}.*")]
    checkpoints = saved.folder / runs.CHECKPOINTS
    which = [saved.folder, checkpoints, checkpoints / runs.BEST]
    facts = [saved.folder / runs.CARD_FACTS, checkpoints / runs.FACTS]
    return [path for path in (*model, *which, *facts) if path.exists()]


def _state(path: pathlib.Path) -> dict:
    status = path.stat()
    return {
        "path": os.fspath(path.absolute()),
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "sha256": None if path.is_dir() else sha256(path),
    }


def _is_same(noted: dict) -> bool:
    path = pathlib.Path(noted["path"])
    status = path.stat()
    if (status.st_size, status.st_mtime_ns) == (noted["size"], noted["mtime_ns"]):
        return True
    return noted["sha256"] is not None and sha256(path) == noted["sha256"]
