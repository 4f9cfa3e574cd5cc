"""Which file is an item's audio.

A file is its path with its suffix. But collections are converted, and the disk may have another
Unicode form of a name (`mar.util.names`), so where there is no such file, one that differs in these
alone is taken, unless two would fit:

    wanted     there are             located
    a/0.wav    a/0.wav, a/0.flac     a/0.wav
    a/0.wav    a/0.flac              a/0.flac
    a/0.wav    a/0.mp3, a/0.flac     an error that names both
    a/0.wav, and of another item a/0.flac: neither is taken for the other
"""

import collections
import os
from collections.abc import Callable, Iterable, Sequence

from mar.embedding.files import AUDIO
from mar.errors import InputError
from mar.util.names import composed

Paths = str | tuple[str, ...]


def alternatives(paths: Paths) -> tuple[str, ...]:
    """An item's candidate paths as a tuple."""
    return paths if isinstance(paths, tuple) else (paths,)


def stem(path: str) -> str:
    """A path without the suffix of an audio format, in Unicode's composed form."""
    return composed(AUDIO.sub("", path.replace(os.sep, "/")))


def locate(
    wanted: Sequence[Paths], paths: Iterable[str], with_suffixes: bool = True
) -> list[str | None]:
    """Which of `paths` each item's audio is; None where none is.

    Args:
        wanted: of every item, its path; or candidates in a tuple, the first that is there counts.
        paths: that there are.
        with_suffixes: whether the suffixes of `wanted` mean anything.

    Raises:
        InputError: two paths fit one item.
    """
    there = dict.fromkeys(paths)
    by_name, by_stem = _grouped(there, composed), _grouped(there, stem)
    stems = {path: stem(path) for candidates in wanted for path in alternatives(candidates)}
    namesakes = collections.Counter(map(stem, set(map(composed, stems))))

    def of(path: str) -> str | None:
        others = by_stem.get(stems[path], [])
        if not with_suffixes:
            fitting = others
        elif path in there:
            fitting = [path]
        else:
            is_alone = namesakes[stems[path]] == 1
            fitting = by_name.get(composed(path)) or (others if is_alone else [])
        if len(fitting) > 1:
            raise InputError(
                f"{path}: expected one file, but {' and '.join(map(repr, sorted(fitting)))} fit, "
                f"and nothing tells which is meant; leave one of them there"
            )
        return fitting[0] if fitting else None

    return [next(filter(None, map(of, alternatives(candidates))), None) for candidates in wanted]


def _grouped(paths: Iterable[str], name: Callable[[str], str]) -> dict[str, list[str]]:
    """`{name of the path: paths}`."""
    groups = collections.defaultdict(list)
    for path in paths:
        groups[name(path)].append(path)
    return groups
