"""What is decided with a probe's probabilities, and how good that is on the test set."""

from typing import Any

import numpy as np
import pandas as pd

from mar.probing.calibration import (
    Rule,
    calibration_error,
    most_probable,
    reliability,
    uncalibrated,
)
from mar.probing.fitting import Aim


def judge(
    rule: Rule, logits: np.ndarray, targets: np.ndarray, labels: list[str], aim: Aim
) -> dict[str, Any]:
    """What a result says of its probabilities and decisions, from the test set; plain data.

    Returns:
        `calibrated`, whether all labels are, and `uncalibrated_labels`; `calibration_error`, the
        expected one, and `reliability`, both `before` and `after`; `aim`; `coverage`, the share of
        items that are given a label, and `precision`, that of right ones among the labels given
        (None where none is).
    """
    calibration, exclusive = rule.calibration, rule.calibration.exclusive
    plain = uncalibrated(len(labels), exclusive)
    bins = {
        "before": reliability(plain(logits), targets, exclusive),
        "after": reliability(calibration(logits), targets, exclusive),
    }
    given = rule.decide(calibration(logits))
    left_out = [
        label for label, how in zip(labels, calibration.methods, strict=True) if how == "none"
    ]
    return {
        "calibrated": not left_out,
        "uncalibrated_labels": left_out,
        "calibration_error": {when: calibration_error(each) for when, each in bins.items()},
        "reliability": {when: each.tolist() for when, each in bins.items()},
        "aim": {"measure": aim.measure, "value": aim.value},
        "coverage": float(given.any(axis=1).mean()),
        "precision": float(targets[given].mean()) if given.any() else None,
    }


def by_decision(rule: Rule, logits: np.ndarray, targets: np.ndarray) -> pd.DataFrame:
    """Precision, recall, F1 and support of each label on the test set: a row each.

    Classes are the most probable ones, whatever the thresholds are. What is divided by zero is 0.
    """
    probabilities = rule.calibration(logits)
    exclusive = rule.calibration.exclusive
    given = most_probable(probabilities) if exclusive else rule.decide(probabilities)
    right, decided, support = (
        np.count_nonzero(of_label, axis=0) for of_label in (given & (targets > 0), given, targets)
    )
    return pd.DataFrame(
        {
            "precision": right / np.maximum(decided, 1),
            "recall": right / np.maximum(support, 1),
            "f1": 2 * right / np.maximum(decided + support, 1),
            "support": support,
        }
    )
