"""What takes long to make: once for all processes of a test run."""

import fcntl
import os
import shutil


def made_once(tmp_path_factory, name, make):
    """A folder of all processes that test, which the first one makes that needs it; only to read.

    Args:
        name: of the folder.
        make: called with it, empty.
    """
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, made = base / name, base / f"{name}.made"
    with open(base / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of one that failed
            folder.mkdir()
            make(folder)
            made.touch()
    return folder
