"""What a run says of itself: `metrics.jsonl`, TensorBoard, a line of progress."""

import contextlib
import json
import pathlib

import tensorflow as tf
import tqdm

from mar.errors import InputError
from mar.util.atomic import whole

METRICS = "metrics.jsonl"


class Logs:
    """Writes a run's numbers to all places.

    Its methods raise an InputError where the disk is full.

    Args:
        folder: of the run.
        first_step: steps done so far; what an interrupted run logged after the checkpoint is
            dropped, a validation of this step too, which comes after it.
        steps: of the whole run.
        batch_size: examples in the global batch.
        views: snippets of an example.
        writes: whether this process logs anything, rather than another one.
    """

    def __init__(self, folder, first_step, steps, batch_size, views, writes=True):
        self._writes = writes
        if not writes:
            return
        self._folder = folder = pathlib.Path(folder)
        records = (record for record in read(folder) if _is_before(record, first_step))
        with whole(folder / METRICS) as unfinished:
            lines = "".join(json.dumps(record) + "\n" for record in records)
            unfinished.write_text(lines, encoding="utf-8")
        with self._named():
            self._file = (folder / METRICS).open("a", encoding="utf-8")
            self._board = tf.summary.create_file_writer(str(folder / "tensorboard"))
        self._bar = tqdm.tqdm(total=steps, initial=first_step, unit="step", dynamic_ncols=True)
        self._snippets_per_step = batch_size * views

    def advance(self):
        """Counts a step."""
        if self._writes:
            self._bar.update()

    def train(self, step, measures, seconds):
        """Logs the measures of the last step.

        Args:
            step: steps done.
            measures: numbers by name.
            seconds: that a step takes, or None where that is not known yet.
        """
        if not self._writes:
            return
        shown = f"loss {measures['loss']:.4f}, learning rate {measures['learning_rate']:.2e}"
        if seconds is not None:
            rate = self._snippets_per_step / seconds
            measures = {**measures, "snippets_per_second": rate}
            shown += f", {rate:.0f} snippets/s"
        self._bar.set_postfix_str(shown)
        self._write(step, measures, "train")

    def validation(self, step, scores):
        """Logs the scores of a validation."""
        if not self._writes:
            return
        shown = ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
        self._bar.write(f"step {step}: validation {shown}")
        self._write(step, scores, "validation")

    def close(self):
        """Ends the files and the line."""
        if not self._writes:
            return
        self._bar.close()
        with self._named():
            self._file.close()
            self._board.close()

    def _write(self, step, numbers, part):
        with self._named():
            self._file.write(json.dumps({"step": step, "part": part, **numbers}) + "\n")
            self._file.flush()
            with self._board.as_default(step=step):
                for name, value in numbers.items():
                    tf.summary.scalar(f"{part}/{name}", value)
            self._board.flush()

    @contextlib.contextmanager
    def _named(self):
        try:
            yield
        except (OSError, tf.errors.OpError) as error:
            reason = getattr(error, "strerror", None) or error.message.strip().splitlines()[0]
            raise InputError(
                f"{self._folder}: the run's numbers cannot be written: {reason}; the same command "
                "goes on from the last checkpoint"
            ) from None


def _is_before(record, step):
    return record["step"] < step or (record["step"] == step and record["part"] == "train")


def read(folder):
    """The records of `metrics.jsonl`, dictionaries; a last line cut short by a kill is left out."""
    path = pathlib.Path(folder) / METRICS
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]
