"""Whether real files in twelve formats are decoded as the program ffmpeg decodes them.

    apt-get download wesnoth-1.16-music warzone2100-music asc-music singularity-music \\
        hyperrogue-music ufoai-music nexuiz-music
    for package in *.deb; do dpkg -x $package music; done
    nice python benchmarks/real_files.py --music music --output files.csv [--pieces 84]

Takes pieces from below a folder, evenly over their names: an excerpt from the middle of each, in
twelve formats, encoded by ffmpeg; and every fourth piece as it is, at full length. Compared are

* the lengths, at the file's own rate: within a frame of the codec;
* the samples, before anything is mixed: the largest difference, full scale being 1;
* the log-mel frames of `mar.LogMel()`, of our samples and of ffmpeg's, both brought to 16 kHz by
  our resampler: the largest difference, at most `LOG_MEL`;
* for comparison, how far frames are from ours, on average, where ffmpeg also resamples.

Prints a line for each format, and each file that is off, and ends with 1 where one is. Files that
the table has already are not compared again.
"""

import csv
import itertools
import pathlib
import subprocess
import tempfile

import av
import numpy as np
import pandas as pd
from absl import app, flags

import mar
from mar.audio import decode
from mar.audio.resampling import resample
from mar.errors import InputError

FLAGS = flags.FLAGS
flags.DEFINE_string("music", None, "Folder of audio files.", required=True)
flags.DEFINE_string("output", "files.csv", "Table of all files.")
flags.DEFINE_integer("pieces", 84, "How many pieces.")
flags.DEFINE_float("seconds", 12.0, "Length of the excerpts.")
SUFFIXES = (".ogg", ".opus", ".mp3", ".flac", ".wav", ".m4a")
LOG_MEL = 0.001  # of values between 0 and about 5
LONGEST_FRAME = 2880  # samples, of any codec that the pieces may have
FORMATS = {  # suffix, samples of a frame, the encoder's options
    "WAV, 16 bits": ("wav", 1, "-c:a pcm_s16le"),
    "WAV, float": ("wav", 1, "-c:a pcm_f32le"),
    "AIFF, 24 bits": ("aiff", 1, "-c:a pcm_s24be"),
    "FLAC": ("flac", 1, "-c:a flac"),
    "ALAC in MP4": ("m4a", 1, "-c:a alac"),
    "WavPack": ("wv", 1, "-c:a wavpack"),
    "MP3, constant rate": ("mp3", 1152, "-c:a libmp3lame -b:a 128k"),
    "MP3, variable rate, no tag": ("mp3", 1152, "-c:a libmp3lame -q:a 4 -write_xing 0"),
    "Ogg Vorbis": ("ogg", 2048, "-c:a libvorbis -q:a 4"),
    "Opus": ("opus", 2880, "-c:a libopus -b:a 96k"),
    "AAC in MP4": ("m4a", 1024, "-c:a aac -b:a 128k"),
    "AAC in ADTS": ("aac", 1024, "-c:a aac -b:a 128k"),
}
AS_IT_IS, EVERY = "as it is", 4
COLUMNS = ["piece", "format", "error", "seconds", "frame", "length", "samples", "log_mel", "ffmpeg"]


def ffmpeg(*arguments):
    """Runs the program."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    subprocess.run(command, check=True)


def decoded(path, channels, rate):
    """`(samples, channels)` that the program gives of a file: at the file's rate, and another."""
    stream = ("-map", "0:a:0", "-f", "f32le")
    with tempfile.NamedTemporaryFile() as own, tempfile.NamedTemporaryFile() as other:
        ffmpeg("-i", path, *stream, own.name, *stream, "-ar", rate, other.name)
        return [np.fromfile(file, np.float32).reshape(-1, channels) for file in (own, other)]


def compared(path, frame, log_mel):
    """What the table says of one file."""
    pieces, info = [], decode.info(path)
    blocks = decode.blocks(path, **log_mel.decoding, observe=lambda block, _: pieces.append(block))
    ours = np.concatenate(list(log_mel.stream_blocks(blocks)))
    samples = np.concatenate(pieces)
    theirs, by_ffmpeg = decoded(path, info.channels, log_mel.sample_rate)
    mono = [decode.mix(theirs, log_mel.downmix)]
    resampled = resample(mono, info.sample_rate, log_mel.sample_rate, log_mel.resampler)
    reference, frames = (
        np.concatenate(list(log_mel.stream_blocks(waveform)))
        for waveform in (resampled, [decode.mix(by_ffmpeg, log_mel.downmix)])
    )
    return {
        "seconds": f"{len(samples) / info.sample_rate:.3f}",
        "frame": frame,
        "length": len(samples) - len(theirs),
        "samples": f"{largest(samples, theirs):.3g}",
        "log_mel": f"{largest(ours, reference):.3g}",
        "ffmpeg": f"{np.abs(ours[: len(frames)] - frames[: len(ours)]).mean():.3g}",
    }


def largest(one, other):
    """The largest difference of two arrays, where there are both."""
    common = min(len(one), len(other))
    return np.abs(one[:common] - other[:common]).max(initial=0.0)


def versions(number, piece, folder):
    """Yields name, path and frame length of a piece and of its excerpts."""
    if number % EVERY == 0:
        yield AS_IT_IS, piece, LONGEST_FRAME
    with av.open(str(piece)) as container:
        length = container.duration / av.time_base
    begin = max(0.0, (length - FLAGS.seconds) / 2)
    source = folder / "excerpt.wav"
    excerpt = ("-ss", begin, "-t", FLAGS.seconds, "-i", piece, "-map", "0:a:0")
    ffmpeg(*excerpt, "-c:a", "pcm_f32le", source)
    paths = {name: folder / f"{name}.{FORMATS[name][0]}" for name in FORMATS}
    outputs = ([*FORMATS[name][2].split(), path] for name, path in paths.items())
    ffmpeg("-i", source, *itertools.chain(*outputs))
    for name, path in paths.items():
        yield name, path, FORMATS[name][1]


def summary(table):
    """A line for each format, and those of the files that are off."""
    print(f"{len(table)} files, {table.seconds.sum() / 3600:.1f} h")
    for name, rows in table.groupby("format"):
        off = rows.length.abs()
        print(
            f"{name:<27} {len(rows):>4} files, {rows.error.notna().sum()} refused; off by "
            f"{off.max():.0f} samples in length ({(off == 0).sum()} by none), by "
            f"{rows.samples.max():.1g}, and {rows.log_mel.max():.1g} in log-mel, at most; with "
            f"ffmpeg's resampler by {rows.ffmpeg.mean():.2g} on average"
        )
    good = (table.length.abs() <= table.frame) & (table.log_mel <= LOG_MEL) & table.error.isna()
    print(table[~good].to_string() if not good.all() else "all agree")
    return 0 if good.all() else 1


def main(_):
    music, output = pathlib.Path(FLAGS.music), pathlib.Path(FLAGS.output)
    found = sorted(path for path in music.rglob("*") if path.suffix.lower() in SUFFIXES)
    chosen = [found[at] for at in np.linspace(0, len(found) - 1, FLAGS.pieces).astype(int)]
    log_mel = mar.LogMel()
    is_new = not output.exists()
    done = set() if is_new else set(pd.read_csv(output).piece)
    with open(output, "a", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, COLUMNS)
        if is_new:
            rows.writeheader()
        for number, piece in enumerate(chosen):
            name = piece.relative_to(music).as_posix()
            if name in done:
                continue
            made = []
            with tempfile.TemporaryDirectory() as folder:
                for version, path, frame in versions(number, piece, pathlib.Path(folder)):
                    try:
                        row = compared(path, frame, log_mel)
                    except InputError as error:
                        row = {"error": error}
                    made.append({"piece": name, "format": version, **row})
            rows.writerows(made)
            file.flush()
    return summary(pd.read_csv(output))


if __name__ == "__main__":
    app.run(main)
