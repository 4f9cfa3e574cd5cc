"""Which devices train (`tf.distribute`)."""

import json
import os

import tensorflow as tf

from mar.errors import ConfigError


def strategy(kind, device):
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
    chosen = "GPU" if gpus and device != "cpu" else "CPU"
    if kind == "multi_worker":
        _check_cluster()
        return tf.distribute.MultiWorkerMirroredStrategy()
    if kind == "mirrored":
        logical = tf.config.list_logical_devices(chosen)
        return tf.distribute.MirroredStrategy([f"{chosen}:{n}" for n in range(len(logical))])
    return tf.distribute.OneDeviceStrategy(f"{chosen}:0")


def _check_cluster():
    """That `TF_CONFIG` lists workers: without it TensorFlow makes a cluster of one."""
    given = os.environ.get("TF_CONFIG", "")
    try:
        found = json.loads(given)
        workers, task = found["cluster"]["worker"], found["task"]
        task["type"], task["index"]
    except (ValueError, TypeError, KeyError):
        workers = None
    if not workers:
        raise ConfigError(
            "Trainer.strategy: multi_worker expects, in each process, the environment variable "
            'TF_CONFIG={"cluster": {"worker": ["host0:port", "host1:port"]}, "task": {"type": '
            f'"worker", "index": 0}}}}, got {given!r}'
        )


def is_chief(strategy):
    """Whether this process is the one that writes."""
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type is None:
        return True
    return resolver.task_type == "chief" or (
        resolver.task_type == "worker"
        and resolver.task_id == 0
        and "chief" not in resolver.cluster_spec().jobs
    )


def hardware(strategy):
    """The devices in words, for people."""
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        return f"{strategy.num_replicas_in_sync} × CPU"
    name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    return f"{strategy.num_replicas_in_sync} × {name}"
