"""Collections of one's own, for tests."""


def write_table(path, rows):
    path.write_text("\n".join(rows) + "\n")
    return path


def sides(names, splits):
    """The splits that each has items in."""
    return {name: {s for n, s in zip(names, splits, strict=True) if n == name} for name in names}
