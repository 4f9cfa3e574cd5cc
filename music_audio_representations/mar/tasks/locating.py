"""Which file is an item's audio.

A file is its path with its suffix. But collections are converted, and the disk may have another
Unicode form of a name (`mar.util.names`), so where there is no such file, one that differs in these
alone is taken, unless two would fit:

    wanted     there are             located
    a/0.wav    a/0.wav, a/0.flac     a/0.wav
    a/0.wav    a/0.flac              a/0.flac
    a/0.wav    a/0.mp3, a/0.flac     an error that names both
    a/0.wav, and of another item a/0.flac: neither is taken for the other

An official collection may also lie in a folder below, as its archive unpacks: `folder_of` tells it.
"""

import collections
import itertools
import os
import posixpath
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
    namesakes = collections.Counter(stems.get(p) or stem(p) for p in set(map(composed, stems)))

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


def folder_of(wanted: Sequence[Paths], paths: Iterable[str]) -> str:
    """The folder among `paths` below which most of the items' audio lies; "" where none does.

        wanted     blues/0.wav, blues/1.wav
        there are  gtzan/genres/blues/0.wav, gtzan/genres/blues/1.wav
        folder     gtzan/genres/

    Raises:
        InputError: two folders have as many.
    """
    by_name = collections.defaultdict(set)
    for path in itertools.chain.from_iterable(map(alternatives, wanted)):
        by_name[posixpath.basename(stem(path))].add(stem(path))
    counts: collections.Counter[str] = collections.Counter()
    for path in map(stem, paths):
        for name in by_name.get(posixpath.basename(path), ()):
            folder = path.removesuffix(name)
            if folder != path and folder.endswith("/"):
                counts[folder] += 1
    most = max(counts.values(), default=0)
    best = sorted((folder for folder, count in counts.items() if count == most), key=len)
    for other in best[1:]:
        if not other.startswith(best[0]):
            raise InputError(
                f"expected the collection in one folder, found as much of it in {best[0]} as in "
                f"{other}; give the one that is meant"
            )
    return best[0] if best else ""


def _grouped(paths: Iterable[str], name: Callable[[str], str]) -> dict[str, list[str]]:
    """`{name of the path: paths}`."""
    groups = collections.defaultdict(list)
    for path in paths:
        groups[name(path)].append(path)
    return groups
