"""What ends a run, in words."""

import contextlib
import math
import os
import pathlib
import re
from collections.abc import Iterator

import tensorflow as tf

from mar.errors import ConfigError, InputError


@contextlib.contextmanager
def explained(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Turns TensorFlow's errors that are not defects into errors of one sentence.

    Args:
        folder: of the checkpoints.

    Raises:
        ConfigError: the memory of a device is too small.
        InputError: the records cannot be read any more, or another worker is gone.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise ConfigError(
            f"Trainer.microbatch: the batch does not fit into memory ({_line(error.message)}); "
            "give it, to hold the activations of so many rows at a time"
        ) from None
    except tf.errors.OpError as error:
        reason = _reason(error.message)
        if reason is None:
            raise
        latest = tf.train.latest_checkpoint(pathlib.Path(folder))
        raise InputError(
            f"{reason}; the last good checkpoint is {latest}; the same command resumes from there"
        ) from None


def finite(measures: dict[str, tf.Tensor], step: int, latest: str | None) -> dict[str, float]:
    """The measures of a step as numbers, once the device has them.

    Args:
        measures: scalars by name.
        step: steps done, for the message.
        latest: path of the latest checkpoint, for the message.

    Raises:
        InputError: the loss or the norm of the gradient is not finite.
    """
    numbers = {name: float(value) for name, value in measures.items()}
    for name in ("loss", "gradient_norm"):
        if not math.isfinite(numbers[name]):
            raise InputError(
                f"{name}: expected a finite number, got {numbers[name]} in step {step}; the last "
                f"good checkpoint is {latest}; a lower learning rate may help, or python -m "
                "tfrecord_tools.verify on the records"
            )
    return numbers


def _reason(message):
    """What a message of TensorFlow's says, or None where it speaks of a defect."""
    unread = re.search(r"mar\.errors\.InputError: (.+)", message)
    if unread:
        return unread[1]
    lost = re.search(r"Collective ops is aborted by: (.+)", message)
    if lost:
        return f"another worker is gone ({_line(lost[1])}); all must be started again"
    return None


def _line(text):
    return text.strip().splitlines()[0]
