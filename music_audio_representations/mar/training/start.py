"""What must hold, and be there, before the first step of a run."""

import logging
import pathlib

from mar.errors import ConfigError
from mar.models.loading import load_model
from mar.models.saving import front_end


def check_batches(trainer, replicas):
    """That the batches can be divided.

    Args:
        trainer: the `Trainer`.
        replicas: number of devices that share a batch.

    Raises:
        ConfigError: a batch that is not a multiple of the replicas, or rows of a replica that are
            not a multiple of the microbatch.
    """
    dataset, microbatch = trainer.dataset, trainer.microbatch
    for given in filter(None, (dataset, trainer.validation)):
        given.check_replicas(replicas)
    rows = dataset.batch_size // replicas
    if microbatch is not None and rows % microbatch:
        nearest = min(_divisors(rows), key=lambda divisor: abs(divisor - microbatch))
        raise ConfigError(
            f"Trainer.microbatch: expected a divisor of the {rows} rows of each of the {replicas} "
            f"replicas, such as {nearest}, got {microbatch}"
        )
    if len(dataset.tracks) < dataset.batch_size:
        logging.getLogger("mar").warning(
            "%s: %d tracks for a batch of %d: tracks come more than once in a batch",
            *(dataset.records, len(dataset.tracks), dataset.batch_size),
        )


def warm_start(network, source, dataset):
    """Gives a network the weights of a model.

    Args:
        network: Keras model, as `SfNfNetF0.build` returns it.
        source: as `mar.load_model` takes it.
        dataset: the `RecordDataset` of the run.

    Raises:
        ConfigError: the model has another front end or architecture.
        InputError: it cannot be read.
    """
    model = load_model(source)
    if front_end(model).resolved() != front_end(network).resolved():
        raise ConfigError(
            f"Trainer.initial_weights: {source} expects another front end than that of "
            f"{dataset.records}; write the records with the model's "
            "(configs/records/mule.yaml for the published weights)"
        )
    ours, theirs = ({w.path: w for w in m.weights} for m in (network, model))
    for path in {**ours, **theirs}:
        shapes = [tuple(w[path].shape) if path in w else None for w in (ours, theirs)]
        if shapes[0] != shapes[1]:
            raise ConfigError(
                f"Trainer.initial_weights: {source} has another architecture: expected {path} of "
                f"shape {shapes[0]}, got {shapes[1]}"
            )
    for path, weight in ours.items():
        weight.assign(theirs[path])


def set_aside(folder):
    """Moves all of an earlier run in a folder to `previous-N/`, its checkpoints last.

    So nothing but an empty folder ever looks like a run that has not begun.
    """
    contents = [path for path in folder.glob("*") if _number(path) is None]
    if not contents:
        return
    numbers = filter(None, map(_number, folder.glob("*")))
    aside = folder / f"previous-{1 + max(numbers, default=0)}"
    aside.mkdir()
    for path in sorted(contents, key=lambda path: path.name == "checkpoints"):
        path.rename(aside / path.name)


def _divisors(number):
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]


def _number(path):
    """N of `previous-N`, or None."""
    prefix, _, number = pathlib.Path(path).name.partition("-")
    return int(number) if prefix == "previous" and number.isdigit() else None
