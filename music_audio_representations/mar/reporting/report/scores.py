"""What the report shows of the results: names, and differences of those it compares."""

from mar.errors import InputError

NAMES = {
    "supervised": "Supervised",
    "contrastive": "Contrastive",
    "random": "Untrained",
    "logmel_mean": "Mean log-mel",
}
TASKS = ("key", "instrument", "genre", "meter", "tempo", "pitch")
PAIRS = (
    ("supervised", "contrastive"),
    ("supervised", "logmel_mean"),
    ("contrastive", "logmel_mean"),
)


def contrasts(columns, differences):
    """Paired differences of what is compared, where there are results of both.

    Args:
        columns: names, "task, metric".
        differences: the table, `mar.reporting.comparison.differences`.

    Returns:
        `{(first, second): {column: (difference, (low, high))}}`.

    Raises:
        InputError: there are none.
    """
    found = {}
    for task, metric, first, second, cell in differences.rows:
        column, pair = f"{task.text}, {metric.text}", (first.text, second.text)
        if column in columns and pair in PAIRS and cell.interval:
            found.setdefault(pair, {})[column] = cell.value, cell.interval
    if PAIRS[0] not in found:
        raise InputError(f"expected results of {' and '.join(PAIRS[0])} on the same test items")
    return found


def lowest(lines):
    """Where an axis has to begin to show the values and intervals of these `Line`s: 0 or below."""
    return min(0.0, *(end for line in lines for end in (line.value, *(line.interval or ()))))


def reach(contrasts):
    """How far an axis has to reach to either side of 0 to show these intervals: at most 1."""
    intervals = [interval for found in contrasts.values() for _, interval in found.values()]
    return min(1.0, max(abs(end) for interval in intervals for end in interval))
