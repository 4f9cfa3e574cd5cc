"""Records to train on and a run that ended, for the tests that only read them."""

import pytest

import mar
from helpers import small_records, training_runs
from helpers.networks import fill_golden
from helpers.shared import made_once
from helpers.small_trainer import finish, start
from helpers.training_runs import TwoBlocks
from mar.audio.logmel import LogMel


@pytest.fixture(scope="session")
def records(tmp_path_factory):
    """A data set, and beside it a model with golden weights."""

    def make(folder):
        network = TwoBlocks(width=0.05).build(training_runs.FRAMES, LogMel(small_records.FRONT_END))
        fill_golden(network)
        mar.save(network, folder / "golden.keras")
        training_runs.records(folder / "set", tracks=24)

    return str(made_once(tmp_path_factory, "records-to-train-on", make) / "set")


@pytest.fixture(scope="session")
def finished(records, tmp_path_factory):
    """The folder of a run that nothing interrupted."""
    return made_once(
        tmp_path_factory, "finished-run", lambda folder: finish(start(folder, records))
    )
