"""How well `mar duplicates` tells the same recording from others, on transcodes.

    for f in MUSIC/*; do n=$(basename "${f%.*}")
      ffmpeg -ss 5 -t 40 -i "$f" -map 0:a:0 t/orig/$n.flac; done
    for f in t/orig/*; do n=$(basename "${f%.*}")
      ffmpeg -i $f -b:a 64k t/mp3_64/$n.mp3; ffmpeg -i $f -af adelay=1300:all=1 -q:a 5 t/lead/$n.mp3
      ffmpeg -ss 2 -i $f -c:a libopus -b:a 48k t/trim/$n.opus
      ffmpeg -i $f -ar 32000 -c:a libvorbis -q:a 2 t/ogg_32k/$n.ogg; done
    mar embed --model MODEL --output EMBEDDINGS t
    python benchmarks/duplicates.py EMBEDDINGS…

All are of one length, so that the vectors alone tell them apart. Files of one name are one
recording. Prints precision and recall of the pairs that are in one group, at several thresholds.
"""

import itertools
import pathlib

from absl import app

from mar.embedding.duplicates import THRESHOLD
from mar.embedding.store import Embeddings

THRESHOLDS = sorted({0.005, 0.01, 0.02, THRESHOLD, 0.05, 0.08, 0.1})


def pairs(paths):
    return itertools.combinations(sorted(paths), 2)


def main(argv):
    if len(argv) < 2:
        raise app.UsageError("expected folders that mar embed wrote")
    for folder in argv[1:]:
        embeddings = Embeddings(folder)
        recordings = {path: pathlib.Path(path).stem for path in embeddings.paths}
        same = {(a, b) for a, b in pairs(recordings) if recordings[a] == recordings[b]}
        print(
            f"{folder}: {len(recordings)} files of {len(set(recordings.values()))} recordings, "
            f"{len(same)} pairs are the same, {len(list(pairs(recordings))) - len(same)} are not"
        )
        for threshold in THRESHOLDS:
            groups = embeddings.duplicates(threshold=threshold)
            found = {pair for group in groups for pair in pairs(group.paths)}
            right = len(found & same)
            chosen = " (the default)" if threshold == THRESHOLD else ""
            print(
                f"  {threshold}: precision {right / max(1, len(found)):.4f}, recall "
                f"{right / len(same):.4f}{chosen}"
            )


if __name__ == "__main__":
    app.run(main)
