"""Tiny collections in the exact formats of the official distributions."""

import csv
import io
import json

import numpy as np

from helpers import quick

ITEMS = {"train": 24, "valid": 12, "test": 12}
_FAMILIES = ["bass", "brass", "flute", "guitar"]


def _parts(names=("train", "valid", "test")):
    return zip(names, ITEMS.values(), strict=True)


def _text(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def _array(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def cp_list(names):
    """A Python 2 pickle of protocol 0, as the split lists are."""
    first, *rest = names
    lines = ["(lp1", f"S'{first}'", "p2"]
    for number, name in enumerate(rest, 3):
        lines += [f"aS'{name}'", f"p{number}"]
    return "\n".join([*lines, "a."])


def tags_of(number, count):
    """Which of `count` tags an item has; every tag occurs, and is absent, in every part."""
    return [tag for tag in range(count) if (number + tag) % 3 == 0]


def _multi_hot(count, labels, first=0):
    rows = np.zeros((count, labels))
    for row in range(count):
        rows[row, tags_of(first + row, labels)] = 1
    return rows


def magnatagatune(folder):
    """Returns the audio paths, as every function here does."""
    tags = ["no vocals", "female vocal", *(f"tag {number}" for number in range(60))]
    lines, paths = [["clip_id", *tags, "mp3_path"]], []
    for characters, count in zip(("05ab", "c", "def"), ITEMS.values(), strict=True):
        for number in range(count):
            path = f"{characters[number % len(characters)]}/artist-album-{number}-0-29.mp3"
            chosen = tags_of(number + len(characters), len(tags))  # other rows in other parts
            flags = ["1" if tag in chosen else "0" for tag in range(len(tags))]
            lines.append([str(len(lines) + 1), *flags, path])
            paths.append(path)
    lines.append(["35644", *["0"] * len(tags), "6/corrupt-0-29.mp3"])
    text = "".join("\t".join(f'"{cell}"' for cell in line) + "\r\n" for line in lines)
    _text(folder / "annotations_final.csv", text)
    return paths


def magnatagatune_lists(folder):
    paths = []
    for (split, count), digit in zip(_parts(), "0cd", strict=True):
        names = [f"{digit}/clip-{number}-0-29" for number in range(count)]
        _text(folder / f"MTAT_split/{split}_list_pub.cP", cp_list([f"{n}.npy" for n in names]))
        _array(folder / f"MTAT_split/y_{split}_pub.npy", _multi_hot(count, 50))
        paths += [f"{name}.mp3" for name in names]
    _text(folder / "MTAT_split/top50_tags.txt", "\n".join(f"tag{n}" for n in range(50)) + "\n")
    return paths


def gtzan(folder):
    paths = []
    for split, count in _parts():
        names = [
            f"{('blues', 'pop', 'rock')[number % 3]}.{len(paths) + number:05d}.wav"
            for number in range(count)
        ]
        names = [f"{name.split('.')[0]}/{name}" for name in names]
        _text(folder / f"{split}_filtered.txt", "\n".join(names) + "\n")
        paths += [f"genres/{name}" for name in names]
    return paths


def msds(folder):
    """With all tracks for training, which `filtered_list_train.cP` is cut at."""
    from mar.tasks.msd import TRAIN_ITEMS

    if TRAIN_ITEMS > 10_000:
        quick.refuse("writes 200,000 tracks")
    train = [f"TRAAA{number:013d}" for number in range(TRAIN_ITEMS)]
    valid = [f"TRBBB{number:013d}" for number in range(ITEMS["valid"])]
    test = [f"TRCCC{number:013d}" for number in range(ITEMS["test"])]
    home = folder / "MSD_split"
    _text(home / "filtered_list_train.cP", cp_list(train + valid))
    _text(home / "filtered_list_test.cP", cp_list(test))
    _text(home / "50tagList.txt", "\n".join(f"tag{n}" for n in range(50)) + "\n")
    parent = folder / "MSD_split_for_tagging"
    for split, ids in (("train", train), ("valid", valid), ("test", test)):
        _text(parent / f"{split}_x_msd_id.txt", "\n".join(ids) + "\n")
        names = [f"{id[-1]}/{id[-2]}/{id[-7:]}.npy" for id in ids]
        _text(parent / f"{split}_x_filename.txt", "\n".join(names) + "\n")
        _array(
            parent / f"{split}_y.npy",
            np.tile(_multi_hot(12, 50), (-(-len(ids) // 12), 1))[: len(ids)] > 0,
        )
    used = train[: ITEMS["train"]] + valid + test
    return [f"{id[-1]}/{id[-2]}/{id[-7:]}.clip.mp3" for id in used]


def msd_arrays(folder, prefix=""):
    labels = 6
    ids = [f"TR{number:016d}" for number in range(sum(ITEMS.values()))]
    _array(folder / f"{prefix}tags.npy", np.array([f"tag {n}" for n in range(labels)]))
    _array(folder / f"{prefix}existing_ids.npy", np.array(ids))
    _array(folder / f"{prefix}binaries.npy", _multi_hot(len(ids), labels))
    _split_ids(folder, ids, prefix)
    return [f"{id[2]}/{id[3]}/{id[4]}/{id}.mp3" for id in ids]


def _split_ids(folder, ids, prefix=""):
    first = 0
    for split, count in _parts():
        entries = [f"{row}//{ids[row]}" for row in range(first, first + count)]
        _array(folder / f"{prefix}{split}_ids.npy", np.array(entries))
        first += count


def msd500(folder):
    """The last track has no tag of the vocabulary, and tags of low scores count for nothing."""
    ids = [f"SO{number:016d}" for number in range(sum(ITEMS.values()))]
    lines = []
    for number, id in enumerate(ids[:-1]):
        lines += [f"{id}\tTag{t}\ttag {t}\tgenre\t80.0" for t in tags_of(number, 6)]
        lines.append(f"{id}\tother\ttag {(number + 1) % 6}\tgenre\t20.0")
    lines.append(f"{ids[-1]}\tseldom\tseldom\tmood\t90.0")
    _text(folder / "track_tags.tsv", "\n".join(lines) + "\n")
    _text(folder / "selected_tags.tsv", "\n".join(f"tag {t}\tgenre" for t in range(6)) + "\n")
    _split_ids(folder, ids)
    return [f"{id}.mp3" for id in ids[:-1]]


def amm(folder):
    rows, first = [], 0
    for name, count in _parts(("train", "val", "test")):
        order = np.arange(first, first + count)
        _array(folder / f"data/{name}_idx.npy", order[::-1].copy())
        for number in order:
            rows.append([f"AR{name}", str(number // 10), f"SO{number:016d}", f"TR{number:016d}"])
            rows[-1] += ["Sigur Rós", 'Title, "quoted"', "Über"]
        first += count
    text = io.StringIO(newline="")
    names = "artist_id,album_id,song_id,track_id,artist_name,album_name,track_name"
    csv.writer(text, lineterminator="\n").writerows([names.split(","), *rows])
    _text(folder / "data/metadata.csv", text.getvalue())
    _text(folder / "data/moods.txt", "Acerbic\nAmiable/Good-Natured\nWry\nYearning")
    _array(folder / "data/mood_target.npy", _multi_hot(len(rows), 4).astype(np.int64))
    return [f"{row[3]}.mp3" for row in rows]


def mumu(folder, albums=False):
    """With `albums` the split lists albums, of which each has two tracks."""
    _text(folder / "genre_labels_MuMu.tsv", "Pop\nDance Pop\nR&B\nAlbum-Oriented Rock (AOR)")
    ids = []
    for number, (part, count) in enumerate(_parts(("train", "val", "test"))):
        names = [f"{'B0' if albums else 'TR'}{number}{row:015d}" for row in range(count)]
        _text(folder / f"splits/items_index_{part}_MuMu.tsv", "\n".join(names))
        _array(folder / f"splits/y_{part}_class_4_MuMu.npy", _multi_hot(count, 4))
        ids += names
    if albums:
        rows = ["amazon_id,album_mbid,MSD_track_id,artist_mbid,MSD_artist,genres"]
        rows += [f'{id},m,TR{n}{id[2:]},a,x,"Pop,R&B"' for id in ids for n in (1, 2)]
        _text(folder / "MuMu_dataset_multi-label.csv", "\n".join(rows) + "\n")
        ids = [f"TR{n}{id[2:]}" for id in ids for n in (1, 2)]
    return [f"{id}.mp3" for id in ids]


def nsynth(folder):
    paths = []
    for split, count in _parts():
        notes = {}
        for number in range(count):
            family, pitch = number % 3, 40 + number % 4
            name = f"{_FAMILIES[family]}_acoustic_{split[:2]}{number:02d}-{pitch:03d}-075"
            notes[name] = {
                **{"qualities": [0] * 10, "pitch": pitch, "note": number, "velocity": 75},
                **{"instrument_source_str": "acoustic", "instrument_str": name[:-8]},
                **{"instrument": number, "sample_rate": 16000, "qualities_str": ["dark"]},
                **{"instrument_source": 0, "note_str": name, "instrument_family": family},
                "instrument_family_str": _FAMILIES[family],
            }
        text = json.dumps(notes, indent=4, separators=(", ", ": ")).replace(",\n", ", \n")
        _text(folder / f"nsynth-{split}/examples.json", text)
        paths += [f"nsynth-{split}/audio/{name}.wav" for name in notes]
    return paths


def emomusic(folder):
    """Official cells carry stray tabs; times are `min.sec`, a single digit being tens."""
    header = (
        "song_id,file_name,Artist,Song title,start of the segment (min.sec),"
        "end of the segment (min.sec),Genre,Mediaeval 2013 set"
    )
    songs, static, ids = [header], ["song_id,mean_arousal,std_arousal,mean_valence,std_valence"], []
    for number in range(2, 62):
        start, end = (("0.48", "1.33"), ("0.5", "1.35"), ("1", "1.45"))[number % 3]
        part = "evaluation" if number % 5 == 0 else "development"
        artist = f"Künstler {chr(97 + number % 23)}{chr(97 + number % 7)}"
        songs.append(f"{number},{number}.mp3,\t{artist}\t,Title\t,{start},{end},Blues\t,{part}")
        static.append(f"{number},{3 + number % 7 / 2},1.0,{6 - number % 4 / 3},0.9")
        ids.append(number)
    _text(folder / "songs_info.csv", "\n".join(songs) + "\n")
    _text(folder / "static_annotations.csv", "\n".join(static) + "\n")
    return [f"clips_45seconds/{id}.mp3" for id in ids]


def giantsteps(folder):
    test, mtg = folder / "giantsteps-key-dataset", folder / "giantsteps-mtg-key-dataset"
    paths = []
    for number in range(24):
        key = f"{('C', 'Db', 'Gb', 'A')[number % 4]} {('minor', 'major')[number % 2]}"
        _text(test / f"annotations/key/{1000 + number}.LOFI.key", key)
        paths.append(f"giantsteps-key-dataset/audio/{1000 + number}.LOFI.mp3")
    keys = ["ID\tMANUAL KEY\tC"]
    songs = ["ID\tARTIST\tSONG TITLE\tMIX\tLABEL\tBP GENRE\tBP BPM\tBP KEY"]
    oddities = [("-", "0"), ("F minor / G# major", "2"), ("A-A# minor", "1"), ("C minor", "1")]
    for number in range(80):
        key = f"{('C', 'C#', 'F#', 'A')[number % 4]} {('minor', 'major')[number % 2]} "
        confidence = "2"
        if number < len(oddities):
            key, confidence = oddities[number]
        else:
            paths.append(f"giantsteps-mtg-key-dataset/audio/{number}.LOFI.mp3")
        keys.append(f"{number}\t{key}\t{confidence}")
        songs.append(f"{number}\tArtist {number}, Å {number}\tS\tM\tL\tTrance\t132\tD# major")
    _text(mtg / "annotations/annotations.txt", "\n".join(keys) + "\n")
    _text(mtg / "annotations/beatport_metadata.txt", "\n".join(songs) + "\n")
    return paths


def jamendo(folder, subset):
    tags = ("genre---rock", "instrument---piano", "mood/theme---happy", "mood/theme---ballad")
    paths = []
    for part, count in _parts(("train", "validation", "test")):
        lines = ["TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS"]
        for _ in range(count):
            number = 214 + len(paths)
            path = f"{number % 100:02d}/{number}.mp3"
            chosen = [tags[tag] for tag in tags_of(number, len(tags))]
            fields = [f"track_{number:07d}", f"artist_{part}", "album_000031", path, "124.6"]
            lines.append("\t".join([*fields, *chosen]))
            paths.append(path)
        text = "".join(f"{line}\r\n" for line in lines)
        _text(folder / f"data/splits/split-0/{subset}-{part}.tsv", text)
    return paths


WRITERS = {
    "MSDS": msds,
    "MSD50": lambda folder: msd_arrays(folder, "sub_"),
    "MSD100": msd_arrays,
    "MSD500": msd500,
    "AMM": amm,
    "MuMu": mumu,
    "MTT": magnatagatune,
    "MTT_filtered": magnatagatune_lists,
    "NSynth_P": nsynth,
    "NSynth_I": nsynth,
    "GTZAN": gtzan,
    "Emo": emomusic,
    "GS_Key": giantsteps,
    "Jam-50": lambda folder: jamendo(folder, "autotagging_top50tags"),
    "Jam-All": lambda folder: jamendo(folder, "autotagging"),
    "Jam-MT": lambda folder: jamendo(folder, "autotagging_moodtheme"),
}
