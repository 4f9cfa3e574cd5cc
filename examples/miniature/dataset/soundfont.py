"""Notes from a SoundFont 2 file, in NumPy.

What sample-based synthesis consists of is here: key and velocity ranges, tuning, loops, the volume
envelope, the low-pass filter and attenuation. Modulators, the modulation envelope, low-frequency
oscillators and panning are not. Numbers in comments are those of the SoundFont 2.04 specification.
"""

import dataclasses
import itertools
import math
import pathlib
import struct

import numpy as np
from scipy.signal import lfilter

from mar.errors import InputError

ATTENUATION = 0.4  # of what is written: what the synthesizers do that soundfonts are made with
_RELEASE_SECONDS = 1.0  # the longest
_SILENT_DB = 70.0

# Generators (section 8.1.2) and their values where a zone has none.
_START, _END, _LOOP_START, _LOOP_END = 0, 1, 2, 3
_START_COARSE, _END_COARSE, _LOOP_START_COARSE, _LOOP_END_COARSE = 4, 12, 45, 50
_FILTER_CENTS, _FILTER_Q = 8, 9
_DELAY, _ATTACK, _HOLD, _DECAY, _SUSTAIN, _RELEASE = range(33, 39)
_HOLD_BY_KEY, _DECAY_BY_KEY = 39, 40
_INSTRUMENT, _KEY_RANGE, _VELOCITY_RANGE = 41, 43, 44
_ATTENUATION, _COARSE_TUNE, _FINE_TUNE, _SAMPLE = 48, 51, 52, 53
_SAMPLE_MODES, _SCALE_TUNING, _ROOT_KEY = 54, 56, 58
_DEFAULTS = {
    _FILTER_CENTS: 13500,
    **dict.fromkeys((_DELAY, _ATTACK, _HOLD, _DECAY, _RELEASE), -12000),
    _SCALE_TUNING: 100,
    _ROOT_KEY: -1,
}
_RANGES = (_KEY_RANGE, _VELOCITY_RANGE)
_EVERYTHING = (0, 127)


@dataclasses.dataclass(frozen=True)
class Sample:
    """Where a recorded sample lies among all of them (7.10); loop ends are exclusive."""

    start: int
    end: int
    loop_start: int
    loop_end: int
    rate: int
    root: int
    correction_cents: int


class SoundFont:
    """A soundfont, read whole.

    Attributes:
        programs: names of the presets of bank 0, by General MIDI program counted from 0.

    Raises:
        InputError: the file is not a soundfont.
    """

    def __init__(self, path: str | pathlib.Path):
        chunks = _chunks(path)
        self._waves = np.frombuffer(chunks[b"smpl"], "<i2").astype(np.float32) / 32768
        self._samples = [Sample(*row[1:8]) for row in _rows(chunks[b"shdr"], "<20sIIIIIBbHH")]
        instruments = [
            _zones(zones, _SAMPLE, absolute=True) for zones in _bags(chunks, "inst", "<20sH")
        ]
        presets = list(_rows(chunks[b"phdr"], "<20sHHHIII"))
        self.programs, self._zones = {}, {}
        for (name, program, bank, *_), zones in zip(
            presets, _bags(chunks, "phdr", "<20sHHHIII", "p"), strict=False
        ):
            if bank == 0:
                self.programs[program] = name.split(b"\0")[0].decode("latin-1")
                self._zones[program] = [
                    _sum(preset, zone)
                    for preset in _zones(zones, _INSTRUMENT, absolute=False)
                    for zone in instruments[preset[_INSTRUMENT]]
                ]

    def note(
        self, program: int, key: int, velocity: int, seconds: float, rate: int = 32000
    ) -> np.ndarray:
        """One note of an instrument.

        Args:
            program: General MIDI program, counted from 0.
            key: MIDI note number; 60 is middle C.
            velocity: 1 to 127.
            seconds: from the onset to the release, which is heard after it.
            rate: of the result, Hz.

        Returns:
            float32 `(samples,)`; silence where the instrument has no such note.
        """
        parts = [
            self._voice(zone, key, velocity, seconds, rate)
            for zone in self._zones[program]
            if _within(zone[_KEY_RANGE], key) and _within(zone[_VELOCITY_RANGE], velocity)
        ]
        total = np.zeros(max(map(len, parts), default=0), np.float32)
        for part in parts:
            total[: len(part)] += part
        return total

    def samples(self, program: int) -> set[int]:
        """The beginnings of all samples that an instrument plays: what it shares with others."""
        return {self._samples[zone[_SAMPLE]].start for zone in self._zones[program]}

    def _voice(self, zone, key, velocity, seconds, rate):
        sample = self._samples[zone[_SAMPLE]]
        release = min(_timecents(zone[_RELEASE]) * _SILENT_DB / 100, _RELEASE_SECONDS)
        wave = self._played(zone, sample, key, round((seconds + release) * rate), rate)
        wave = _low_passed(wave, zone, rate)
        gain = (velocity / 127) ** 2 * 10 ** (-ATTENUATION * zone[_ATTENUATION] / 200)
        return (gain * wave * _envelope(zone, key, seconds, len(wave), rate)).astype(np.float32)

    def _played(self, zone, sample, key, count, rate):
        """At most `count` samples at the pitch of `key`, interpolated linearly, looped."""
        root = zone[_ROOT_KEY] if zone[_ROOT_KEY] >= 0 else sample.root
        cents = (key - root) * zone[_SCALE_TUNING] + sample.correction_cents
        cents += 100 * zone[_COARSE_TUNE] + zone[_FINE_TUNE]
        step = 2 ** (cents / 1200) * sample.rate / rate
        start = sample.start + zone[_START] + 32768 * zone[_START_COARSE]
        end = sample.end + zone[_END] + 32768 * zone[_END_COARSE]
        first = sample.loop_start + zone[_LOOP_START] + 32768 * zone[_LOOP_START_COARSE] - start
        last = sample.loop_end + zone[_LOOP_END] + 32768 * zone[_LOOP_END_COARSE] - start
        wave = self._waves[start:end]
        looped = zone[_SAMPLE_MODES] & 1 and 0 <= first < last <= len(wave)
        if looped:
            rounds = max(0, math.ceil((step * count + 2 - last) / (last - first)))
            wave = np.concatenate([wave[:last], np.tile(wave[first:last], rounds)])
        else:
            count = min(count, int((len(wave) - 1) / step))
        position = step * np.arange(count)
        index = position.astype(np.int32)
        share = (position - index).astype(np.float32)
        return wave[index] * (1 - share) + wave[1:][index] * share


def _envelope(zone, key, seconds, count, rate):
    """Volume over time (8.1.2, 33 to 38): decay and release are linear in dB, attack in volume."""
    time = np.arange(count, dtype=np.float32) / rate
    delay, attack = _timecents(zone[_DELAY]), _timecents(zone[_ATTACK])
    hold = _timecents(zone[_HOLD] + zone[_HOLD_BY_KEY] * (60 - key))
    decay = _timecents(zone[_DECAY] + zone[_DECAY_BY_KEY] * (60 - key))
    held = delay + attack + hold
    sustain = min(max(zone[_SUSTAIN] / 10, 0.0), 100.0)
    loss = np.minimum(np.maximum(time - held, 0) * (100 / decay), sustain)
    loss += np.maximum(time - seconds, 0) * (100 / _timecents(zone[_RELEASE]))
    rise = np.clip((time - delay) / attack, 0, 1)
    level = rise * 10 ** (-loss / 20)
    fade = min(count, rate // 200)  # a sample that ends, or a release that is cut off
    level[count - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return level


def _low_passed(wave, zone, rate):
    """Second-order low-pass (8.1.2, 8 and 9)."""
    frequency = 8.176 * 2 ** (zone[_FILTER_CENTS] / 1200)
    if frequency >= min(0.45 * rate, 19000):
        return wave
    quality = max(10 ** ((zone[_FILTER_Q] / 10 - 3.01) / 20), 0.5)
    angle = 2 * np.pi * frequency / rate
    alpha, cosine = np.sin(angle) / (2 * quality), np.cos(angle)
    numerator = np.array([(1 - cosine) / 2, 1 - cosine, (1 - cosine) / 2])
    denominator = np.array([1 + alpha, -2 * cosine, 1 - alpha])
    return lfilter(numerator / denominator[0], denominator / denominator[0], wave)


def _timecents(value):
    return 2 ** (min(max(value, -12000), 8000) / 1200)


def _within(bounds, value):
    return bounds[0] <= value <= bounds[1]


# ---------------------------------------------------------------------------------------- reading


def _chunks(path):
    """The contents of the file's chunks by name."""
    data = pathlib.Path(path).read_bytes()
    if data[:4] != b"RIFF" or data[8:12] != b"sfbk":
        raise InputError(f"{path}: expected a SoundFont 2 file, found {data[:12]!r}")
    expected = 8 + int.from_bytes(data[4:8], "little")
    if len(data) < expected:
        raise InputError(f"{path}: expected {expected} bytes, found {len(data)}: it is cut off")
    found, at = {}, 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        if name == b"LIST":
            at += 12
            continue
        found[name] = data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    missing = {b"smpl", b"phdr", b"pbag", b"pgen", b"inst", b"ibag", b"igen", b"shdr"} - set(found)
    if missing:
        names = ", ".join(sorted(name.decode() for name in missing))
        raise InputError(f"{path}: expected a SoundFont 2 file, found none of its chunks {names}")
    return found


def _rows(chunk, layout):
    """The records of a chunk, without the last, which marks the end."""
    return list(struct.iter_unpack(layout, chunk))[:-1]


def _bags(chunks, header, layout, letter="i"):
    """The generators `[(number, raw value)]` of every zone of every instrument or preset."""
    place = 1 if letter == "i" else 3
    firsts = [row[place] for row in struct.iter_unpack(layout, chunks[header.encode()])]
    bags = [row[0] for row in struct.iter_unpack("<HH", chunks[f"{letter}bag".encode()])]
    generators = list(struct.iter_unpack("<H2s", chunks[f"{letter}gen".encode()]))
    for first, behind in itertools.pairwise(firsts):
        yield [generators[bags[bag] : bags[bag + 1]] for bag in range(first, behind)]


def _zones(zones, target, absolute):
    """Zones as `{generator: value}`; the first is for all others if it names no `target`."""
    common, found = {}, []
    for number, generators in enumerate(zones):
        values = {generator: _value(generator, raw) for generator, raw in generators}
        if target in values:
            found.append({**common, **values})
        elif number == 0:
            common = values
    if absolute:
        return [{**dict.fromkeys(range(61), 0), **_DEFAULTS, **zone} for zone in found]
    return found


def _value(generator, raw):
    if generator in _RANGES:
        return tuple(raw)
    return int.from_bytes(raw, "little", signed=generator not in (_SAMPLE, _INSTRUMENT))


def _sum(preset, zone):
    """A zone of an instrument as a preset plays it: ranges intersect, other values add up."""
    total = dict(zone)
    for generator, value in preset.items():
        if generator not in (*_RANGES, _INSTRUMENT):
            total[generator] += value
    for generator in _RANGES:
        ours, theirs = (values.get(generator) or _EVERYTHING for values in (preset, zone))
        total[generator] = max(ours[0], theirs[0]), min(ours[1], theirs[1])
    return total
