"""A trainer of a few quick steps: in this process or one of its own, and what its runs leave."""

import json
import pathlib
import subprocess

import numpy as np
import tensorflow as tf

from helpers import training_runs
from helpers.processes import start_python
from helpers.resources import ROOT
from mar.training.trainer import Trainer

PRETRAIN = ROOT / "configs" / "pretrain"
SMALL = PRETRAIN / "small.yaml"
SMALL_NETWORK = {"TwoBlocks": {"width": 0.05}}
# `mar train` in a process that sends itself a signal as a step begins: no race with its end. A file
# may have so many bytes, and an error of writing is as that of a full disk.
TRAIN = """
import os, resource, sys
from helpers import training_runs  # its network
from mar import train
from mar.training.objective import Objective
from mar.util import cli
number, at, limit = (int(sys.argv.pop(1)) for _ in range(3))
draw = Objective.draw

def interrupted(self, seed, step, *sizes):
    if step == at:
        os.kill(os.getpid(), number)
    return draw(self, seed, step, *sizes)

Objective.draw = interrupted
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
cli.run(train.main)
"""


def overrides(records, **settings):
    """Of the small configuration: a few quick steps from golden weights, with much dropped."""
    data = {
        "dataset": "Trainer.dataset.PairDataset",
        "validation": "Trainer.validation.PairDataset",
    }
    adam = "Trainer.optimizer.ScoochAdam"
    shrunk = {"Constants.RECORDS": records, f"{adam}.epsilon": 0.01}
    shrunk["Trainer.model"] = {"TwoBlocks": {"width": 0.05, "stochastic_depth": 0.6}}
    for path in data.values():
        shrunk |= {f"{path}.batch_size": 8, f"{path}.snippet_frames": training_runs.FRAMES}
        shrunk |= {f"{path}.held_out": None, f"{path}.part": None}  # the few tracks are all used
    shrunk |= {"Trainer.initial_weights": str(pathlib.Path(records).parent / "golden.keras")}
    shrunk |= {"Trainer.steps": 30, "Trainer.checkpoint_every": 4, "Trainer.log_every": 1}
    shrunk |= {f"{adam}.schedule.WarmupSchedule.warmup_steps": 5, "Trainer.validate_every": 20}
    shrunk |= {f"Trainer.{name}": value for name, value in settings.items()}
    return [f"{name}={json.dumps(value)}" for name, value in shrunk.items()]


def trainer(records, **settings):
    return Trainer.load(SMALL, overrides(records, **settings))


def start(folder, records, *flags, interrupt=(0, -1), limit=-1, environment=None, **settings):
    """Starts `mar train` in a process of its own.

    Args:
        interrupt: a signal, and the step at which it comes.
        limit: bytes that a file may have; -1 for any number.
    """
    sets = [argument for text in overrides(records, **settings) for argument in ("--set", text)]
    how = [*map(int, interrupt), limit]
    command = ["-c", TRAIN, *how, "--config", SMALL, "--output", folder, *sets, *flags]
    return start_python(*command, stderr=subprocess.STDOUT, **(environment or {}))


def finish(process, expected=0):
    output, _ = process.communicate()
    assert process.returncode == expected, output
    assert "Traceback" not in output
    return output


def last_step(folder):
    """Step of the latest checkpoint."""
    return int(tf.train.latest_checkpoint(folder / "checkpoints").rsplit("-", 1)[1])


def tensors(folder):
    """Every tensor of the last checkpoint."""
    reader = tf.train.load_checkpoint(str(folder / "checkpoints"))
    shapes = reader.get_variable_to_shape_map()
    names = [name for name in shapes if name.endswith("VARIABLE_VALUE")]
    return {name: reader.get_tensor(name) for name in names if "save_counter" not in name}


def assert_same(ours, theirs):
    assert len(ours) > 50
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


def lines(folder, part):
    """The records of a part in `metrics.jsonl`."""
    records = map(json.loads, (folder / "metrics.jsonl").open())
    return [record for record in records if record["part"] == part]


def validations(folder):
    return lines(folder, "validation")


def losses(folder):
    """(step, loss) of every step."""
    return [(record["step"], record["loss"]) for record in lines(folder, "train")]
