"""What a run says of itself: `metrics.jsonl`, TensorBoard, a line of progress."""

import contextlib
import json
import os
import pathlib
import time

import tensorflow as tf

from mar.errors import InputError
from mar.training.history import METRICS, read
from mar.util import progress
from mar.util.atomic import whole


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

    def __init__(
        self,
        folder: str | os.PathLike[str],
        first_step: int,
        steps: int,
        batch_size: int,
        views: int,
        writes: bool = True,
    ) -> None:
        self._writes = writes
        self._timed_steps = 0
        self._since: float | None = None
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
        self._progress = progress.Progress(steps, "step", first_step)
        self._shown = ""
        self._snippets_per_step = batch_size * views

    def advance(self) -> None:
        """Counts a step. The first, which compiles, and the first after scores set the clock
        from which the others are timed.
        """
        if not self._writes:
            return
        self._progress.update(more=self._shown)
        if self._since is None:
            self._timed_steps, self._since = 0, time.monotonic()
        else:
            self._timed_steps += 1

    def train(self, step: int, measures: dict[str, float]) -> None:
        """Logs the measures of the last step, and `snippets_per_second` since it was last called.

        Args:
            step: steps done.
            measures: numbers by name.
        """
        if not self._writes:
            return
        shown = f"loss {measures['loss']:.4f}, learning rate {measures['learning_rate']:.2e}"
        now = time.monotonic()
        if self._timed_steps and self._since is not None:
            rate = self._snippets_per_step * self._timed_steps / (now - self._since)
            measures = {**measures, "snippets_per_second": rate}
            shown += f", {rate:.0f} snippets/s"
            self._timed_steps, self._since = 0, now
        self._shown = shown
        self._write(step, measures, "train")

    def scores(self, step: int, part: str, scores: dict[str, float]) -> None:
        """Logs the scores of a part of the run that is not training: `validation`, `probe`."""
        if not self._writes:
            return
        self._since = None
        shown = ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
        progress.write(f"step {step}: {part} {shown}")
        self._write(step, scores, part)

    def close(self) -> None:
        """Ends the files and the line."""
        if not self._writes:
            return
        self._progress.close()
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
            reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[0]
            raise InputError(
                f"{self._folder}: the run's numbers cannot be written: {reason}; the same command "
                "resumes from the last checkpoint"
            ) from None


def _is_before(record, step):
    return record["step"] < step or (record["step"] == step and record["part"] == "train")
