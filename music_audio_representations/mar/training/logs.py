"""What a run says of itself: `metrics.jsonl`, TensorBoard, a line of progress."""

import json
import pathlib

import tensorflow as tf
import tqdm

METRICS = "metrics.jsonl"


class Logs:
    """Writes a run's numbers to all places.

    Args:
        folder: of the run.
        first_step: steps done so far; what an interrupted run logged after them is dropped.
        steps: of the whole run.
        batch_size: examples in the global batch.
        views: snippets of an example.
        writes: whether this process logs anything, rather than another one.
    """

    def __init__(self, folder, first_step, steps, batch_size, views, writes=True):
        self._writes = writes
        if not writes:
            return
        folder = pathlib.Path(folder)
        records = [record for record in read(folder) if record["step"] <= first_step]
        lines = [json.dumps(record) + "\n" for record in records]
        (folder / METRICS).write_text("".join(lines), encoding="utf-8")
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
            seconds: that a step takes.
        """
        if not self._writes:
            return
        rate = self._snippets_per_step / seconds
        self._bar.set_postfix_str(
            f"loss {measures['loss']:.4f}, learning rate {measures['learning_rate']:.2e}, "
            f"{rate:.0f} snippets/s"
        )
        self._write(step, {**measures, "snippets_per_second": rate}, "train")

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
        self._file.close()
        self._board.close()

    def _write(self, step, numbers, part):
        self._file.write(json.dumps({"step": step, "part": part, **numbers}) + "\n")
        self._file.flush()
        with self._board.as_default(step=step):
            for name, value in numbers.items():
                tf.summary.scalar(f"{part}/{name}", value)
        self._board.flush()


def read(folder):
    """The records of `metrics.jsonl`, dictionaries; a last line cut short by a kill is left out."""
    path = pathlib.Path(folder) / METRICS
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]
