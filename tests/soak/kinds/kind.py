"""What a kind of file is, and all kinds by their names."""

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        make: writes a good one, and what lies beside it, into a folder; returns its path.
        read: reads it, and returns what was read.
        wrong: ways in which its content can be wrong while its checksums are right.
        checked: whether it has checksums, so that no damage may be read as something else.
    """

    make: Callable
    read: Callable
    wrong: tuple = ()
    checked: bool = False


KINDS: dict[str, Kind] = {}


def kind(name, wrong=(), checked=False):
    """Decorates a pair of functions, `(make, read)`."""

    def added(pair):
        make, read = pair()
        KINDS[name] = Kind(make, read, tuple(wrong), checked)
        return pair

    return added


def written(folder, name, content):
    """A file of a text or of bytes."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def plain(arrays):
    """Arrays as data that is compared to the bit."""
    return [(array.shape, array.dtype.str, array.tobytes()) for array in arrays]
