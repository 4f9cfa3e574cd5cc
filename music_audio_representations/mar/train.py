"""Pre-trains a network.

    python -m mar.train --config configs/pretrain/small.yaml --set Constants.RECORDS=records/

The same command resumes a run that was interrupted, to the same weights. Several machines run it
with the same arguments and a `TF_CONFIG` each, on a file system that they share.

Exit codes: 0 the run is finished; 1 something is wrong, and said; 130 and 143 SIGINT and SIGTERM,
after a checkpoint was written.
"""

import pathlib

import absl.logging
from absl import flags

from mar.errors import ConfigError
from mar.util import cli
from mar.util.backends import require_tensorflow

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "output",
    None,
    "Folder of the run; models/<name of the configuration> by default.",
    short_name="o",
)
flags.DEFINE_bool("fresh", False, "Set an earlier run in that folder aside and start anew.")
cli.define_config_flags()


def main(argv: list[str]) -> int:
    if len(argv) > 1:
        raise ConfigError(f"expected flags alone, got {argv[1:]}")
    require_tensorflow("training")
    absl.logging.set_verbosity(absl.logging.WARNING)  # TensorFlow tells of every file it writes
    from mar.training.trainer import Trainer

    trainer = Trainer.load(FLAGS.config, FLAGS.set)
    folder = pathlib.Path(FLAGS.output or pathlib.Path("models") / pathlib.Path(FLAGS.config).stem)
    stopped_by = trainer.run(folder, FLAGS.fresh)
    if stopped_by is not None:
        print(f"stopped by {stopped_by.name}; the same command resumes it")
        return 128 + stopped_by
    print(f"{folder}: model.keras, saved_model, model_card.md, model_card.json")
    return 0


if __name__ == "__main__":
    cli.run(main)
