"""Labels that are taught by some examples: trained in a moment, looked at, corrected, saved.

A label is a logistic regression on the principal components of the data set. These are linear in
the embeddings, and so a head says of every embedding what was seen on the map.
"""

import dataclasses
import datetime
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

import mar
from mar.embedding.components import Components
from mar.errors import InputError
from mar.probing.calibration import Rule, uncalibrated
from mar.probing.dense import Layers, expit
from mar.probing.head import Head
from mar.probing.head_file import Parts

if TYPE_CHECKING:
    from mar.embedding.store import Embeddings

_OTHERS = 1000  # tracks that stand for what the label is not
_MOST = 10_000  # examples of a kind
_FOLDS = 5
_INVERSE_REGULARIZATION = 10.0  # of a variance of 1 in all; from 1 to 100 it matters little
_ASKED = 20


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained label.

    Attributes:
        kernel: float64 `(components,)`.
        bias: of its logit.
        probabilities: float32 `(tracks,)`.
        score: how well examples are told from others, as area under the ROC curve where they were
            not trained on, 0…1; None of too few.
        uncertain: tracks that are no examples, those first of which it is least sure.
    """

    kernel: np.ndarray
    bias: float
    probabilities: np.ndarray
    score: float | None
    uncertain: list[int]


def train(coordinates: np.ndarray, yes: Collection[int], no: Collection[int]) -> Trained:
    """Trains a label.

    Beside the examples, tracks that are drawn from all stand for what it is not, the same ones each
    time. Together they count as much as the examples that have it: some of them may have it, too.

    Args:
        coordinates: of all tracks, `(tracks, components)`.
        yes: which of them have the label.
        no: which have it not.

    Raises:
        InputError: there is no example, one is both, or all tracks are examples of it.
    """
    if both := set(yes) & set(no):
        raise InputError(f"expected tracks that have the label or not, got {len(both)} as both")
    if not yes:
        raise InputError("expected a track that has the label, got none")
    generator = np.random.default_rng(0)
    drawn = generator.permutation(len(coordinates))[: _OTHERS + len(yes) + len(no)]
    examples = np.array([*yes, *no], np.int64)
    others = drawn[~np.isin(drawn, examples)][:_OTHERS]
    if not no and not len(others):
        raise InputError("expected a track that has not the label, got it for all of them")
    kinds = [
        generator.permutation(np.array(kind, np.int64))[:_MOST]
        for kind in (sorted(yes), sorted(no))
    ]
    rows = np.concatenate([*kinds, others])
    targets = np.arange(len(rows)) < len(kinds[0])
    of_one = len(kinds[0]) / max(1, len(others))
    weights = np.where(np.isin(rows, others), of_one, 1.0)
    features = np.asarray(coordinates[np.sort(rows)], np.float64)[np.argsort(np.argsort(rows))]
    scale = np.sqrt(features.var(axis=0).sum()) or 1.0
    kernel, bias = _fit(features / scale, targets, weights)
    kernel = kernel / scale
    probabilities = expit(coordinates @ kernel.astype(np.float32) + np.float32(bias))
    unsure = np.abs(probabilities - 0.5)
    unsure[examples] = np.inf
    nearest = np.argpartition(unsure, min(_ASKED, len(unsure) - 1))[:_ASKED]
    asked = [int(row) for row in nearest[np.argsort(unsure[nearest])] if np.isfinite(unsure[row])]
    score = _score(features / scale, targets, weights)
    return Trained(kernel, bias, probabilities.astype(np.float32), score, asked)


def head(
    embeddings: "Embeddings", components: Components, name: str, labels: Mapping[str, Trained]
) -> Head:
    """The head of labels that were trained on the components of a data set."""
    axes = components.axes.astype(np.float64)
    kernel = np.stack([axes @ label.kernel for label in labels.values()], axis=1)
    biases = np.array([label.bias for label in labels.values()])
    count, dimensions = len(labels), embeddings.dimensions
    layers = Layers(
        components.mean,
        np.ones(dimensions, np.float32),
        (kernel.astype(np.float32),),
        (biases.astype(np.float32),),
        "linear",
        "sigmoid",
        np.zeros(count, np.float32),
        np.ones(count, np.float32),
    )
    about = {
        "task": name,
        "kind": "multilabel",
        "labels": list(labels),
        "pooling": "mean",
        "model": embeddings.folder.resolve().name,
        "test": {},
        "mar_version": mar.__version__,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "embeddings": embeddings.provenance,
        "dimensions": dimensions,
        "unit": "",
        "licence": None,
        "calibrated": False,
        "uncalibrated_labels": list(labels),
        "aim": None,
    }
    return Head(Parts(layers, Rule(uncalibrated(count, False), np.full(count, 0.5)), about))


def _fit(
    features: np.ndarray, targets: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, float]:
    """Kernel and bias of a logistic regression; both kinds of targets count the same."""
    from sklearn.linear_model import LogisticRegression

    against = weights[~targets].sum()
    counted = np.where(targets, weights, weights * targets.sum() / against)
    fitted = LogisticRegression(C=_INVERSE_REGULARIZATION, max_iter=1000)
    fitted.fit(features, targets, counted)
    return fitted.coef_[0], float(fitted.intercept_[0])


def _score(features: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> float | None:
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    if min(targets.sum(), (~targets).sum()) < _FOLDS:
        return None
    said = np.empty(len(targets))
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    for training, tested in folds.split(features, targets):
        kernel, bias = _fit(features[training], targets[training], weights[training])
        said[tested] = features[tested] @ kernel + bias
    return float(roc_auc_score(targets, said, sample_weight=weights))
