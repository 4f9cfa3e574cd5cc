"""Official files that may be downloaded freely, and where the others are to be had.

`PROBES` stands for the configurations of the paper's ninety probes, by task and model, as they were
published: `MTT/Musicset_ULarge.yml`.
"""

import csv
import pathlib

from mar.tasks import fetched_folder
from mar.util.download import download

_FILES = pathlib.Path(__file__).with_name("official_files.csv")
PROBES = "probes"
PROBES_LICENCE = "CC BY-NC 4.0"
PROBES_CITATION = "M. C. McCallum, F. Korzeniowski, S. Oramas, F. Gouyon, A. F. Ehmann, ISMIR 2022"
_PREVIEWS = (
    "Audio: 30 to 60 s previews of the Million Song Dataset from 7digital, as "
    "<7digital path>.clip.mp3 or <id[2]>/<id[3]>/<id[4]>/<track id>.mp3; they are not distributed."
)
ELSEWHERE = {
    "MSDS": (
        "filtered_list_train.cP and msd_id_to_tag_vector.cP, in MSD_split/ of "
        "github.com/jongpillee/music_dataset_split. Instead of the latter: train_y.npy of "
        "github.com/keunwoochoi/MSD_split_for_tagging, in MSD_split_for_tagging/.",
        _PREVIEWS,
    ),
    "MSD50": (
        "reproducible_splits.tar.gz, on the drive that "
        "github.com/minzwon/tag-based-music-retrieval links to; unpack it.",
        _PREVIEWS,
    ),
    "MSD500": (
        "msd500.tar.gz and the split's {train,valid,test}_ids.npy, on the drive that "
        "github.com/minzwon/tag-based-music-retrieval links to; unpack them into one folder.",
        _PREVIEWS,
    ),
    "AMM": (
        "metadata.csv, in data/ of github.com/fdlm/listening-moods.",
        "mood_target.npy, 0/1 of 66,993 x 188 in the order of metadata.csv and moods.txt: "
        "AllMusic's labels are not distributed and have to be licensed.",
        _PREVIEWS,
    ),
    "MuMu": (
        "MuMu_dataset.zip (zenodo.org/record/831189) and the archive of splits "
        "(zenodo.org/record/1236906); unpack both into one folder.",
        _PREVIEWS,
    ),
    "MTT": (
        "Audio: mp3.zip.001, .002 and .003, from "
        "mirg.city.ac.uk/codeapps/the-magnatagatune-dataset; join them with cat, then unzip: "
        "folders 0 to f.",
    ),
    "MTT_MTG": (
        "train.npy, valid.npy, test.npy, binary.npy and tags.npy, in split/mtat of "
        "github.com/minzwon/sota-music-tagging-models; into one folder, which is --metadata.",
        "Audio: as of MTT.",
    ),
    "NSynth_P": (
        "nsynth-{train,valid,test}.jsonwav.tar.gz from magenta.tensorflow.org/datasets/nsynth, "
        "labels and audio; unpack them into one folder, and give it as --metadata and as --audio.",
    ),
    "GTZAN": ("Audio: genres.tar.gz, 1,000 clips by genre; it has no official address any more.",),
    "Emo": (
        "Audio: clips_45sec.tar.gz from cvml.unige.ch/databases/emoMusic.",
        "Instead of the file downloaded here: annotations.tar.gz, from the same place.",
    ),
    "GS_Key": (
        "Audio: audio_dl.sh of github.com/GiantSteps/giantsteps-key-dataset and "
        "github.com/GiantSteps/giantsteps-mtg-key-dataset, into each repository's audio/.",
    ),
    "Jam-All": (
        "Audio: scripts/download/download.py of github.com/MTG/mtg-jamendo-dataset, with the set "
        "autotagging_moodtheme for Jam-MT, else raw_30s (full tracks).",
    ),
}
_SAME = {
    **{"MSD100": "MSD50", "NSynth_I": "NSynth_P", "MTT_filtered": "MTT"},
    **{"Jam-50": "Jam-All", "Jam-MT": "Jam-All"},
}


def official_files(task: str) -> list[tuple[str, str, str]]:
    """`(name, address, sha256)` of the files of a task, or `PROBES`, that may be downloaded."""
    with open(_FILES, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["task"] == _files_of(task)]
    return [(row["name"], row["address"], row["sha256"]) for row in rows]


def elsewhere(task: str) -> tuple[str, ...]:
    """Sentences on what else the task needs, and where it is to be had."""
    return ELSEWHERE[_SAME.get(_files_of(task), _files_of(task))]


def _files_of(task: str) -> str:
    """The task whose official files a task has."""
    return fetched_folder(task).name


def fetch(task: str) -> list[pathlib.Path]:
    """Downloads the files of a task, or `PROBES`, each once and verified.

    Returns:
        The paths, in the folder that `mar.Task` reads by default.

    Raises:
        InputError: a download failed, or its content is not the known one.
    """
    folder = pathlib.PurePath("tasks") / fetched_folder(task).name
    return [
        download(address, sha256, folder / name) for name, address, sha256 in official_files(task)
    ]
