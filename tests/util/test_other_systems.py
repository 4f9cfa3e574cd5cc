"""Other systems than Linux are not tested: what is imported there, and that it is said."""

import pytest

from helpers.processes import run_python

# Python's own modules have been imported before the system changes its name.
AS_IF = """
import multiprocessing.connection, os, socket, subprocess, sys, tempfile
import av, numpy, psutil, pyarrow.parquet, scooch, soundfile, soxr
sys.platform = sys.argv.pop(1)
if sys.platform == "win32":
    sys.modules["resource"] = None
    del os.register_at_fork, os.sched_getaffinity
from mar import embed
from mar.util import cli
from mar.util.lock import FolderLock
"""


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_it_is_said_that_a_system_is_untested(tmp_path, system):
    process = run_python(
        "-c", f"{AS_IF}\ncli.run(embed.main)", system, "-o", tmp_path, "--prune", fresh=True
    )
    assert f"untested on {system}" in process.stderr
    assert f"error: {tmp_path}: holds no embeddings" in process.stderr
    assert process.returncode == 1


def test_a_folder_is_locked_elsewhere_too(tmp_path):
    script = f"""{AS_IF}
with FolderLock({str(tmp_path)!r}):
    try:
        FolderLock({str(tmp_path)!r})
    except ValueError as refused:
        print(refused)
"""
    process = run_python("-c", script, "darwin", fresh=True)
    assert process.returncode == 0, process.stderr
    assert "writes into it since" in process.stdout
