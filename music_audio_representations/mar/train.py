"""Pre-trains a network.

    mar train --config small --set Constants.RECORDS=records/

The same command resumes a run that was interrupted, to the same weights. Several machines run it
with the same arguments and a `TF_CONFIG` each, on a file system that they share.

Exit codes: 0 the run is finished; 1 something is wrong, and said; 130 and 143 SIGINT and SIGTERM,
after a checkpoint was written.
"""

import pathlib

from absl import flags

from mar.errors import ConfigError
from mar.util import cli, plain_data
from mar.util.backends import require_tensorflow

FLAGS = flags.FLAGS
cli.define_output_flag("Folder of the run; models/<name of the configuration> by default.")
flags.DEFINE_bool("fresh", False, "Set an earlier run in that folder aside and start anew.")
cli.define_json_flag()
cli.define_config_flags()


def main(argv: list[str]) -> int:
    if len(argv) > 1:
        raise ConfigError(f"expected flags alone, got {argv[1:]}")
    name = pathlib.Path(FLAGS.config).stem
    folder = pathlib.Path(FLAGS.output or f"models/{name}")
    require_tensorflow("training")
    cli.check_config()
    _check_records()
    from mar.models.runs import CARD_FACTS
    from mar.training.trainer import Trainer

    trainer = Trainer.load(FLAGS.config, FLAGS.set)
    stopped_by = trainer.run(folder, FLAGS.fresh)
    if stopped_by is not None:
        cli.say(f"stopped by {stopped_by.name}; the same command resumes it")
        cli.summarize(folder=str(folder), stopped_by=stopped_by.name)
        return 128 + stopped_by
    cli.say(f"{folder}: model.keras, saved_model, model_card.md, model_card.json")
    card = folder / CARD_FACTS  # of several machines, the first one writes it
    facts = plain_data.read(card) if card.exists() else None
    cli.summarize(folder=str(folder), stopped_by=None, model_card=facts)
    return 0


def _check_records():
    """Opens the records, as far as can be told where they are while the trainer is not there yet.

    Raises:
        InputError: they cannot be read.
    """
    from mar.config import Configurable
    from mar.data.labelled_pairs import LabelledPairDataset  # noqa: F401 (which recipes name)
    from mar.data.pipelines import RecordDataset
    from mar.records import manifest
    from mar.util import overrides, shipped, yaml_file

    classes = Configurable.classes()
    path = shipped.located(FLAGS.config)
    document = yaml_file.document(path)
    known = {*document, overrides.CONSTANTS, *classes}
    settings = [text for text in FLAGS.set if overrides.parse(text)[0][0] in known]
    config = yaml_file.assembled(document, settings, str(path), classes)
    trainer = config.get("Trainer")
    if not isinstance(trainer, dict):  # which is told when it is made
        return
    for name in ("dataset", "validation"):
        dataset = trainer.get(name)
        if isinstance(dataset, dict) and {*dataset} <= {*classes}:
            manifest.read(RecordDataset.from_config(dataset, str(path)).records)


if __name__ == "__main__":
    cli.run(main)
