"""What a finished run leaves: the model in two formats, facts about it, its card, its losses."""

import json
import pathlib
import platform
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

import mar
from mar.errors import InputError
from mar.models import runs
from mar.models.loading import load_model
from mar.models.runs import BEST_MODEL, BEST_STEP, CARD_FACTS, MODEL, STEPS
from mar.models.saving import fingerprint, front_end, save, save_waveform_model
from mar.records.buckets import without_options
from mar.training import history
from mar.util.atomic import whole

if TYPE_CHECKING:
    from mar.training.trainer import Trainer

_CARD = """\
# {name}

An SF-NFNet pre-trained by `mar` {mar_version}, with {parameters:,} parameters and embeddings of
{dimensions} dimensions.

```python
import mar
model = mar.load_model("model.keras")
embedding = mar.Embedder(model)
```

`saved_model/` runs on TensorFlow without this package. {best}
The input is that of the front end below.

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
| made with | TensorFlow {tensorflow_version}, Keras {keras_version}, Python {python_version} |

## Last measures

{measures_table}

## Front end

{front_end_list}
"""


def write(trainer: "Trainer", network: keras.Model, folder: pathlib.Path, hardware: str) -> None:
    """Writes `model.keras`, `saved_model/`, `model_card.json`, `model_card.md` and `loss.png`.

    And `best.keras`, where the run was validated: the best checkpoint by validation.

    Args:
        trainer: of the run.
        network: the trained network, as `SfNfNetF0.build(explicit_draws=True)` returned it.
        folder: of the run.
        hardware: in words.

    Raises:
        InputError: the disk is full; the checkpoints are there.
    """
    frames = trainer.objective.network_frames(trainer.dataset)
    model = trainer.model.build(frames, front_end(network))
    model.set_weights(network.get_weights())
    try:
        save(model, folder / MODEL)
        best_step = runs.best_step(folder)
        if best_step is not None:
            save(load_model(f"{folder}@{best_step}"), folder / BEST_MODEL)
        if not (folder / "saved_model").exists():
            save_waveform_model(model, folder / "saved_model")
    except (OSError, tf.errors.OpError) as error:
        raise InputError(
            f"{folder}: the model cannot be written: {str(error).strip().splitlines()[0]}; it is "
            "trained, and the same command writes it from the last checkpoint"
        ) from None
    records = history.read(folder)
    described = facts(trainer, model, records, folder.resolve().name, hardware, best_step)
    with whole(folder / CARD_FACTS) as unfinished:
        text = json.dumps(described, indent=1, ensure_ascii=False)
        unfinished.write_text(text + "\n", "utf-8", "backslashreplace")  # is JSON's own escape
    with whole(folder / "model_card.md") as unfinished:
        unfinished.write_text(card(described), "utf-8", "backslashreplace")
    with whole(folder / "loss.png") as unfinished:
        history.draw_losses({"": records}).savefig(unfinished, format="png", dpi=150)


def facts(
    trainer: "Trainer",
    model: keras.Model,
    records: list[dict[str, Any]],
    name: str,
    hardware: str,
    best_step: int | None = None,
) -> dict[str, Any]:
    """What is known about a run, as plain data.

    Args:
        trainer: of the run.
        model: as it was saved.
        records: as `mar.training.history.read` returns them.
        name: of the model.
        hardware: of the last session, in words.
        best_step: after which the run was best by validation.

    Returns:
        Values by name: `tracks` and `hours` are those that are learnt from, without what is held
        out, hashes are SHA-256 (hex), `snippets_per_second` is the median of those
        logged, or None, `front_end` parameters by name, and `measures` the last record of each
        part of the run by the part's name.
    """
    manifest, learnt = trainer.dataset.manifest, trainer.dataset.tracks
    rates = sorted(r["snippets_per_second"] for r in records if "snippets_per_second" in r)
    return {
        "name": name,
        "objective": type(trainer.objective).__name__,
        "tracks": len(learnt),
        "hours": float(manifest.frames[learnt].sum() * manifest.header.hop_seconds / 3600),
        "labels": len(manifest.header.vocabulary),
        "records": without_options(str(trainer.dataset.records)),
        "batch_size": trainer.dataset.batch_size,
        "unit": "pairs" if len(trainer.objective.views) == 2 else "snippets",
        STEPS: trainer.total_steps,
        BEST_STEP: best_step,
        "seed": trainer.seed,
        "precision": trainer.precision,
        "hardware": hardware,
        "snippets_per_second": rates[len(rates) // 2] if rates else None,
        "configuration": trainer.hash(),
        "weights": fingerprint(model),
        "parameters": model.count_params(),
        "dimensions": model.output_shape[1],
        "mar_version": mar.__version__,
        "tensorflow_version": tf.__version__,
        "keras_version": keras.__version__,
        "python_version": platform.python_version(),
        "front_end": front_end(model).resolved()["LogMel"],
        "measures": {record["part"]: record for record in records},
    }


def card(described: dict[str, Any]) -> str:
    """The model card, Markdown, of what the function `facts` returns."""
    rate, best_step = described["snippets_per_second"], described[BEST_STEP]
    best = (
        "" if best_step is None else f"`{BEST_MODEL}` was best by validation (step {best_step:,})."
    )
    measures = ["| part | step | measure | value |", "|---|---|---|---|"]
    for part, record in described["measures"].items():
        for name, value in record.items():
            if name not in ("part", "step"):
                measures.append(f"| {part} | {record['step']} | {name} | {value:.6g} |")
    return _CARD.format(
        **described,
        best=best,
        rate="not measured" if rate is None else f"{rate:,.0f} snippets/s",
        measures_table="\n".join(measures),
        front_end_list="\n".join(f"* {k}: {v}" for k, v in described["front_end"].items()),
    )
