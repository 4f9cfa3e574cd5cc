"""A Ray cluster (extra `cluster`): all its machines see files, models, outputs under one path."""

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
    try:
        import ray
    except ImportError:
        raise InputError("--ray_address needs Ray: pip install 'ray[data]'") from None
    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False)
        except ConnectionError as error:
            raise InputError(f"--ray_address {address}: no Ray cluster answers ({error})") from None
    return ray
