"""A Ray cluster (extra `cluster`): all its machines see files, models, outputs under one path."""

import logging
import os
from types import ModuleType

from mar.errors import InputError

RETRIES = 3  # of work whose process or machine died


def connected(address: str) -> ModuleType:
    """Ray, connected to a cluster.

    Args:
        address: of the cluster; "local" starts one on this machine.

    Raises:
        InputError: Ray is not installed or the cluster does not answer.
    """
    is_verbose = logging.getLogger("mar").isEnabledFor(logging.DEBUG)
    if not is_verbose:
        os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    try:
        import ray
    except ImportError:
        raise InputError("--ray_address needs Ray: pip install 'ray[data]'") from None
    if not is_verbose:  # it logs past what its user has set up
        logging.getLogger("ray").setLevel(logging.ERROR)
    if not ray.is_initialized():
        level = logging.INFO if is_verbose else logging.ERROR
        try:
            ray.init(address=address, log_to_driver=is_verbose, logging_level=level)
        except ConnectionError as error:
            raise InputError(f"--ray_address {address}: no Ray cluster answers ({error})") from None
    return ray
