"""Models on the Hugging Face Hub, by the addresses that its own tools have.

    hf://user/name                        the model of a repository, as it is now
    hf://user/name@v2                     of a branch, tag or commit
    hf://user/name@v2/folder/file.keras   one file in it

Files are kept in the hub's own cache and are found there again, with `HF_HUB_OFFLINE=1` without
asking; `HF_TOKEN`, `HF_HOME` and `HF_ENDPOINT` mean what they always mean.
"""

import hashlib
import os
import pathlib
import re
import urllib.parse
from typing import Any, NamedTuple

from mar.errors import ConfigError, InputError

PREFIX = "hf://"
NAMES = ("model.keras", "model.safetensors", "model.onnx")  # the first that a repository has
_ADDRESS = re.compile(r"hf://([^/@]+/[^/@]+)(?:@([^/]+))?(?:/(.+))?")


class _Address(NamedTuple):
    repository: str
    revision: str | None
    file: str | None


def is_address(source: str | os.PathLike[str]) -> bool:
    """Whether a model is named by an address of the hub."""
    return os.fspath(source).startswith(PREFIX)


def fetch(source: str) -> pathlib.Path:
    """The path of a model's file in the hub's cache, where it is put if need be, and verified.

    Raises:
        ConfigError: `huggingface_hub` is not installed.
        InputError: the address is none, there is no such file, it cannot be had, or it is damaged.
    """
    address = _parsed(source)
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ModuleNotFoundError:
        raise ConfigError(
            f"{source}: models of the Hugging Face Hub need the package huggingface_hub: "
            "pip install 'music-audio-representations[hub]'"
        ) from None
    # What all errors of its HTTP package are, which is another one in other versions.
    of_transport: Any = errors.HfHubHTTPError.__bases__[0]
    names = (address.file,) if address.file else NAMES
    missing: Exception | None = None
    for name in names:
        try:
            path = huggingface_hub.hf_hub_download(
                address.repository, name, revision=address.revision
            )
        except errors.EntryNotFoundError as error:
            missing = missing or error
        except (errors.GatedRepoError, errors.RepositoryNotFoundError):
            raise InputError(
                f"{source}: the hub has no repository {address.repository}, or it wants to know "
                "who asks: see its page, then `hf auth login`, or set HF_TOKEN"
            ) from None
        except errors.RevisionNotFoundError:
            raise InputError(
                f"{source}: {address.repository} has no revision {address.revision}"
            ) from None
        except (OSError, ValueError, RuntimeError, of_transport) as error:
            raise InputError(
                f"{source}: the hub cannot be reached, or did not give it: {_first_line(error)}"
            ) from None
        else:
            _verify(pathlib.Path(path))
            return pathlib.Path(path)
    if isinstance(missing, errors.LocalEntryNotFoundError):
        raise InputError(
            f"{source}: it is not in the hub's cache, and the hub cannot be asked (offline, or "
            f"HF_HUB_OFFLINE is set): {_first_line(missing)}"
        )
    raise InputError(
        f"{source}: expected {' or '.join(names)} in it, found none of them; name another file as "
        f"{PREFIX}{address.repository}/FILE"
    )


def local(source: str) -> str:
    """The path of what an address means, see `fetch`; of other names, the name as it is."""
    return str(fetch(source)) if is_address(source) else source


def pinned(source: str) -> str:
    """The address of the same file for ever: with the commit in place of a branch or of nothing.

    Raises:
        See `fetch`.
    """
    path, (repository, _, file) = fetch(source), _parsed(source)
    snapshot = path.parents[len(pathlib.PurePosixPath(file or path.name).parts) - 1]
    return f"{PREFIX}{repository}@{snapshot.name}" + (f"/{file}" if file else "")


def _parsed(source: str) -> _Address:
    if (found := _ADDRESS.fullmatch(source)) is None:
        raise InputError(f"{source}: expected {PREFIX}USER/NAME, {PREFIX}USER/NAME@REVISION or so")
    repository, revision, file = found.groups()
    return _Address(repository, revision and urllib.parse.unquote(revision), file)


def _verify(path: pathlib.Path) -> None:
    """Compares a file with the hash by which the cache names it: SHA-256, or that of Git.

    Where a file system has no links, or a mirror gives no hashes, there is nothing to compare.
    """
    if not path.is_symlink():
        return
    named = pathlib.Path(os.readlink(path)).name
    content = path.read_bytes()
    if len(named) == 64:
        computed = hashlib.sha256(content).hexdigest()
    elif len(named) == 40:
        computed = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    else:
        return
    if computed != named:
        raise InputError(
            f"{path}: damaged: its hash is {computed}, where the hub has {named}; remove "
            f"{path.resolve()}, and load the model again"
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
