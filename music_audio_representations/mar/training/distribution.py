"""Which devices train, and what they have in common (`tf.distribute`)."""

import json
import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from mar.data.pipelines import RecordDataset
from mar.errors import ConfigError


def strategy(kind: str, device: str) -> tf.distribute.Strategy:
    """The strategy; with several workers it must be made before TensorFlow's first operation.

    Args:
        kind: `one_device`; `mirrored`: all GPUs, or logical CPUs, of this machine; `multi_worker`:
            the processes that `TF_CONFIG` lists, each with all of its GPUs.
        device: `gpu` demands them; `auto` takes the CPU where there is none.

    Raises:
        ConfigError: no GPU where one was demanded, or no `TF_CONFIG` where workers are.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        raise ConfigError(
            "Trainer.device: expected a GPU, found none; install mar[gpu] and check nvidia-smi, or "
            "use --set Trainer.device=cpu"
        )
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    made = _strategy(kind, "GPU" if gpus and device != "cpu" else "CPU")
    if not tf.config.get_visible_devices("GPU"):
        # On a CPU it costs far more than it gains: benchmarks/train_step.py.
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    return made


def _strategy(kind, device):
    if kind == "multi_worker":
        _check_cluster()
        return tf.distribute.MultiWorkerMirroredStrategy()
    if kind == "mirrored":
        count = len(tf.config.list_logical_devices(device))
        return tf.distribute.MirroredStrategy([f"{device}:{n}" for n in range(count)])
    return tf.distribute.OneDeviceStrategy(f"{device}:0")


def _check_cluster():
    """That `TF_CONFIG` lists workers: without it TensorFlow makes a cluster of one."""
    given = os.environ.get("TF_CONFIG", "")
    try:
        cluster = json.loads(given)
        workers, task = cluster["cluster"]["worker"], cluster["task"]
        task["type"], task["index"]
    except (ValueError, TypeError, KeyError):
        workers = None
    if not workers:
        raise ConfigError(
            "Trainer.strategy: multi_worker expects, in each process, the environment variable "
            'TF_CONFIG={"cluster": {"worker": ["host0:port", "host1:port"]}, "task": {"type": '
            f'"worker", "index": 0}}}}, got {given!r}'
        )


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes."""
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type is None:
        return True
    return resolver.task_type == "chief" or (
        resolver.task_type == "worker"
        and resolver.task_id == 0
        and "chief" not in resolver.cluster_spec().jobs
    )


def hardware(strategy: tf.distribute.Strategy) -> str:
    """The devices in words, for people."""
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        return f"{strategy.num_replicas_in_sync} × CPU"
    name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    return f"{strategy.num_replicas_in_sync} × {name}"


def batches(
    strategy: tf.distribute.Strategy, dataset: RecordDataset, seed: int, first_step: int = 0
) -> tf.distribute.DistributedDataset:
    """The batches of a data set, each divided among the replicas."""
    return strategy.distribute_datasets_from_function(
        lambda context: dataset.build(context, seed, first_step)
    )


def compiled(
    strategy: tf.distribute.Strategy, function: Callable[..., Any], **options: Any
) -> Callable[..., Any]:
    """A function that all replicas run at once, compiled.

    Args:
        strategy: of the replicas.
        function: what a replica does; its result is the same in all of them.
        **options: of `tf.function`.

    Returns:
        a function of the same arguments, which are divided among the replicas, or common to them.
    """

    @tf.function(autograph=False, **options)
    def of_all_replicas(*arguments):
        results = strategy.run(function, arguments)
        return tf.nest.map_structure(
            lambda result: strategy.experimental_local_results(result)[0], results
        )

    return of_all_replicas


def of_all_replicas(strategy: tf.distribute.Strategy, number: int) -> list[int]:
    """A whole number of this process, as those of all replicas: waits for all processes."""

    def gathered():
        context = tf.distribute.get_replica_context()
        return context.all_gather(tf.constant([number]), axis=0)

    return compiled(strategy, gathered)().numpy().tolist()


def shares(batch: dict, draws: dict) -> tuple[dict, dict]:
    """What a replica takes of the draws of a step, and the global batch where it needs that.

    Args:
        batch: tensors `(n, …)` by name, this replica's part.
        draws: tensors `(N, …)` by view and name, as `Objective.draw` returns them.

    Returns:
        its own draws `(n, …)`; and the batch from which partners of mixup are taken, `(N, …)`:
        without any, its own.
    """
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return draws, batch
    size = tf.shape(next(iter(batch.values())))[0]
    first = context.replica_id_in_sync_group * size
    own_draws = tf.nest.map_structure(lambda draw: draw[first : first + size], draws)
    if not _has_partners(draws):
        return own_draws, batch
    # An input has no device yet, and the gathering of several workers asks for it.
    return own_draws, {
        name: context.all_gather(tf.identity(part), axis=0) for name, part in batch.items()
    }


def _has_partners(draws):
    """Whether any draws, nested dictionaries, are rows of the global batch."""
    return "partners" in draws or any(
        _has_partners(of) for of in draws.values() if isinstance(of, dict)
    )
