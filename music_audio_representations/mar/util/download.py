"""Verified downloads into the cache.

The cache is `$MAR_CACHE`, or the user's cache folder. `$MAR_MIRROR` replaces the scheme and host of
every address, for users who serve the files themselves.
"""

import os
import pathlib
import urllib.parse

from mar.errors import InputError


def cache_folder() -> pathlib.Path:
    """Where downloads are kept."""
    import pooch

    return pathlib.Path(os.environ.get("MAR_CACHE") or pooch.os_cache("mar"))


def download(address: str, sha256: str, name: str | pathlib.PurePath) -> pathlib.Path:
    """Downloads a file once.

    Args:
        address: where it is served.
        sha256: of its content, in hexadecimal.
        name: path within the cache.

    Returns:
        The path of the verified file. A partial or altered file never has this name.

    Raises:
        InputError: the download failed or the content differs.
    """
    import pooch
    import requests

    path = cache_folder() / name
    mirror = os.environ.get("MAR_MIRROR")
    if mirror:
        address = mirror.rstrip("/") + urllib.parse.urlsplit(address).path
    try:
        pooch.retrieve(
            address,
            f"sha256:{sha256}",
            path.name,
            path.parent,
            downloader=pooch.HTTPDownloader(progressbar=True, timeout=60),
        )
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else error
        raise InputError(f"{address}: the server answered {status}") from None
    except requests.RequestException as error:
        raise InputError(
            f"{address}: the download failed ({_reason(error)}). Check the network, or set "
            f"MAR_MIRROR, or put the file at {path} by hand"
        ) from None
    except ValueError:
        raise InputError(
            f"{address}: the content differs from the published file (expected SHA-256 {sha256}); "
            f"nothing was kept"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    return path


def _reason(error: Exception) -> object:
    """The innermost cause, without the exceptions wrapped around it."""
    while error.args and isinstance(error.args[0], Exception):
        error = error.args[0]
    return getattr(error, "reason", None) or error
