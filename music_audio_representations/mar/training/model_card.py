"""What a finished run leaves: the model in two formats, its card, a picture of the loss."""

import platform
from typing import Any

import keras
import tensorflow as tf
from matplotlib.figure import Figure

import mar
from mar.errors import InputError
from mar.models.saving import export, fingerprint, save
from mar.training import logs
from mar.util.atomic import whole

_CARD = """\
# {name}

An SF-NFNet pre-trained by `mar` {version}, with {parameters:,} parameters and embeddings of
{dimensions} dimensions.

```python
import mar
model = mar.load_model("model.keras")
embedding = mar.Embedder(model)
```

`saved_model/` runs on TensorFlow without this package. The input is that of the front end below.

| | |
|---|---|
| objective | {objective} |
| data | {tracks:,} tracks, {hours:,.1f} hours, {labels} labels (`{records}`) |
| batch | {batch_size} {unit} |
| steps | {steps:,} |
| seed | {seed} |
| precision | {precision} |
| hardware of the last session | {hardware} |
| median rate | {rate} |
| configuration | `configuration.yaml`, SHA-256 `{configuration}` |
| weights | SHA-256 `{weights}` |
| made with | TensorFlow {tensorflow}, Keras {keras}, Python {python} |

## Last measures

{measures}

## Front end

{front_end}
"""


def write(trainer, network, folder, hardware):
    """Writes `model.keras`, `saved_model/`, `model_card.md` and `loss.png`.

    Args:
        trainer: the `Trainer`.
        network: the trained network, as `SfNfNetF0.build(explicit_draws=True)` returned it.
        folder: of the run.
        hardware: in words.

    Raises:
        InputError: the disk is full; the checkpoints are there.
    """
    front_end = mar.front_end(network)
    model = trainer.model.build(trainer.dataset.snippet_frames, front_end)
    model.set_weights(network.get_weights())
    try:
        save(model, folder / "model.keras")
        if not (folder / "saved_model").exists():
            export(model, folder / "saved_model")
    except (OSError, tf.errors.OpError) as error:
        raise InputError(
            f"{folder}: the model cannot be written: {str(error).strip().splitlines()[0]}; it is "
            "trained, and the same command writes it from the last checkpoint"
        ) from None
    records = logs.read(folder)
    with whole(folder / "loss.png") as unfinished:
        draw_losses(records).savefig(unfinished, format="png", dpi=150)
    with whole(folder / "model_card.md") as unfinished:
        card = _card(trainer, model, front_end, folder.resolve().name, hardware, records)
        unfinished.write_text(card, encoding="utf-8")


def _card(trainer, model, front_end, name, hardware, records):
    manifest = trainer.dataset.manifest
    rates = sorted(r["snippets_per_second"] for r in records if "snippets_per_second" in r)
    return _CARD.format(
        name=name,
        version=mar.__version__,
        parameters=model.count_params(),
        dimensions=model.output_shape[1],
        objective=type(trainer.objective).__name__,
        tracks=len(manifest),
        hours=manifest.frames.sum() * manifest.header.hop_seconds / 3600,
        labels=len(manifest.header.vocabulary),
        records=trainer.dataset.records,
        batch_size=trainer.dataset.batch_size,
        unit="pairs" if len(trainer.objective.views) == 2 else "snippets",
        steps=trainer.total_steps,
        seed=trainer.seed,
        precision=trainer.precision,
        hardware=hardware,
        rate=f"{rates[len(rates) // 2]:,.0f} snippets/s" if rates else "not measured",
        configuration=trainer.hash(),
        weights=fingerprint(model),
        tensorflow=tf.__version__,
        keras=keras.__version__,
        python=platform.python_version(),
        measures=_table(records),
        front_end="\n".join(f"* {k}: {v}" for k, v in front_end.resolved()["LogMel"].items()),
    )


def _table(records):
    """The last record of each part, as a table."""
    lines = ["| part | step | measure | value |", "|---|---|---|---|"]
    last = {record["part"]: record for record in records}
    for part, record in last.items():
        for name, value in record.items():
            if name not in ("part", "step"):
                lines.append(f"| {part} | {record['step']} | {name} | {value:.6g} |")
    return "\n".join(lines)


def draw_losses(records: list[dict[str, Any]]) -> Figure:
    """The losses of a run by step, of training and of validation.

    Args:
        records: as `mar.training.logs.read` returns them.
    """
    figure = Figure(figsize=(4.6, 2.8), layout="constrained")
    axes = figure.subplots()
    for part, label, style in (("train", "training", "-"), ("validation", "validation", "o--")):
        losses = [(record["step"], record["loss"]) for record in records if record["part"] == part]
        if losses:
            axes.plot(*zip(*losses, strict=True), style, label=label, markersize=4)
    axes.set(xlabel="step", ylabel="loss")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.lines:
        axes.legend(frameon=False)
    return figure
