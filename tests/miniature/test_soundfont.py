"""Synthesis: what soundfonts of known samples must sound like, and the pitches of the real one."""

import struct

import librosa
import numpy as np
import pytest

from examples.miniature.dataset import compositions, performance, single_notes
from examples.miniature.dataset.soundfont import ATTENUATION, SoundFont
from helpers.resources import needs
from mar.errors import InputError

RATE = 32000
# Samples, all with the root key 69. The sine's is 440 Hz; the levels show what is done to volume.
_TIME = np.arange(1000)
SINE = {"wave": 0.5 * np.sin(2 * np.pi * _TIME / 100), "loop": (400, 900), "rate": 44000}
HIGH, LOW = ({"wave": np.full(500, v), "loop": (100, 400), "rate": RATE} for v in (0.5, 0.125))
SAMPLES = (SINE, HIGH, LOW)
GENERATORS = {
    **{"filter_cents": 8, "filter_q": 9, "attack": 34, "hold": 35, "decay": 36, "sustain": 37},
    **{"release": 38, "hold_by_key": 39, "decay_by_key": 40, "instrument": 41, "keys": 43},
    **{"velocities": 44, "attenuation": 48, "coarse": 51, "fine": 52, "sample": 53, "loop": 54},
    **{"scale": 56, "root": 58},
}


def sample(which, loop=1, **values):
    """A zone that plays one of `SAMPLES`."""
    return {"loop": loop, **values, "sample": [each is which for each in SAMPLES].index(True)}


def font(folder, *instruments, presets=None):
    """Writes a soundfont and reads it.

    Args:
        folder: of the file.
        instruments: the zones of each.
        presets: `(program, bank, zones)` of each; None for one that plays the first instrument.
    """
    presets = presets or [(0, 0, [{"instrument": 0}])]
    data, headers = b"", b""
    for number, each in enumerate(SAMPLES):
        start = len(data) // 2
        data += (32767 * each["wave"]).round().astype("<i2").tobytes()
        ends = start, len(data) // 2, *(start + edge for edge in each["loop"])
        headers += struct.pack("<20sIIIIIBbHH", b"%d" % number, *ends, each["rate"], 69, 0, 0, 1)
        data += bytes(92)
    chunks = {"smpl": data, "shdr": headers + bytes(46)}
    firsts, chunks["pbag"], chunks["pgen"] = _zones([zones for *_, zones in presets])
    places = [place for *place, _ in presets] + [(0, 0)]
    chunks["phdr"] = b"".join(
        struct.pack("<20sHHHIII", b"preset %d" % place[0], *place, first, 0, 0, 0)
        for place, first in zip(places, firsts, strict=True)
    )
    firsts, chunks["ibag"], chunks["igen"] = _zones(instruments)
    chunks["inst"] = b"".join(struct.pack("<20sH", b"instrument", first) for first in firsts)
    chunks |= {"ifil": struct.pack("<HH", 2, 1), "pmod": bytes(10), "imod": bytes(10)}
    lists = {
        "INFO": ("ifil",),
        "sdta": ("smpl",),
        "pdta": ("phdr", "pbag", "pmod", "pgen", "inst", "ibag", "imod", "igen", "shdr"),
    }
    body = b"sfbk"
    for name, members in lists.items():
        body += _chunk("LIST", name.encode() + b"".join(_chunk(m, chunks[m]) for m in members))
    (folder / "tiny.sf2").write_bytes(_chunk("RIFF", body))
    return SoundFont(folder / "tiny.sf2")


def _chunk(name, data):
    return name.encode() + struct.pack("<I", len(data)) + data


def _zones(items):
    """Each item's first zone, the chunk of zones and that of generators."""
    firsts, zones, generators = [0], [], b""
    for item in items:
        for zone in item:
            zones.append(len(generators) // 4)
            for name, value in zone.items():
                raw = bytes(value) if isinstance(value, tuple) else struct.pack("<h", value)
                generators += struct.pack("<H", GENERATORS[name]) + raw
        firsts.append(len(zones))
    zones.append(len(generators) // 4)
    return firsts, b"".join(struct.pack("<HH", zone, 0) for zone in zones), generators + bytes(4)


def hertz(wave):
    """The frequency of a sine, from the maximum of its spectrum."""
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 8 * len(wave)))
    peak = int(spectrum.argmax())
    left, middle, right = np.log(spectrum[peak - 1 : peak + 2])
    peak += 0.5 * (left - right) / (left - 2 * middle + right)
    return peak * RATE / (8 * len(wave))


def semitones(wave):
    """Above the root key."""
    return 12 * np.log2(hertz(wave) / 440)


def timecents(seconds):
    return round(1200 * np.log2(seconds))


def decibels(ratio):
    return 20 * np.log10(ratio)


# ------------------------------------------------------------------------------------------ pitch


@pytest.mark.parametrize("key", [33, 57, 69, 76, 93])
def test_keys_sound_at_their_pitch(tmp_path, key):
    wave = font(tmp_path, [sample(SINE)]).note(0, key, 100, 1.0, RATE)
    assert semitones(wave[:RATE]) == pytest.approx(key - 69, abs=0.01)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"fine": -30}, 11.7),
        ({"coarse": 2}, 14),
        ({"root": 60}, 21),
        ({"scale": 50}, 6),
        ({"scale": 50, "root": 71, "coarse": -3, "fine": 40}, 5 - 2.6),
    ],
)
def test_tuning(tmp_path, values, expected):
    wave = font(tmp_path, [sample(SINE, **values)]).note(0, 81, 100, 1.0, RATE)
    assert semitones(wave[:RATE]) == pytest.approx(expected, abs=0.01)


def test_a_looped_sample_goes_on_without_a_seam(tmp_path):
    """22 ms of sample, two seconds of a sine that is as clean as in the sample itself."""
    wave = font(tmp_path, [sample(SINE)]).note(0, 71, 127, 2.0, RATE)[: 2 * RATE]
    time = np.arange(len(wave)) / RATE
    expected = 0.5 * np.sin(2 * np.pi * 440 * 2 ** (2 / 12) * time)
    late = slice(RATE // 10, -RATE // 10)
    np.testing.assert_allclose(wave[late], expected[late], atol=2e-3)


def test_a_sample_without_a_loop_ends(tmp_path):
    wave = font(tmp_path, [sample(SINE, loop=0)]).note(0, 57, 127, 2.0, RATE)
    assert len(wave) / RATE == pytest.approx(2 * 1000 / 44000, abs=1e-3)
    assert abs(wave[-1]) < 1e-3


# ----------------------------------------------------------------------------------------- volume


def test_amplitude_is_the_square_of_velocity(tmp_path):
    tiny = font(tmp_path, [sample(HIGH)])
    for velocity in (20, 64, 127):
        wave = tiny.note(0, 69, velocity, 0.5, RATE)
        assert wave[RATE // 4] == pytest.approx(0.5 * (velocity / 127) ** 2, rel=1e-3)


def test_the_envelope_of_volume(tmp_path):
    """Attack 0.2 s, linear; hold 0.1 s; decay 50 dB/s to −20 dB; from 1 s on release 50 dB/s."""
    times = {"attack": timecents(0.2), "hold": timecents(0.1), "decay": timecents(2.0)}
    shape = {**times, "sustain": 200, "release": timecents(2.0)}
    wave = font(tmp_path, [sample(HIGH, **shape)]).note(0, 69, 127, 1.0, RATE) / 0.5
    at = {second: wave[round(second * RATE)] for second in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)}
    assert list(at.values()) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1], abs=0.01)
    seconds = np.array([0.4, 0.5, 0.7, 0.8, 0.99, 1.1, 1.2, 1.5])
    losses = decibels(wave[(seconds * RATE).astype(int)])
    assert losses == pytest.approx([-5, -10, -20, -20, -20, -25, -30, -45], abs=0.2)
    assert len(wave) == 2 * RATE
    assert wave[-1] == 0


def test_higher_keys_decay_faster_where_the_sample_says_so(tmp_path):
    shape = {"decay": timecents(2.0), "sustain": 900, "decay_by_key": 100}
    tiny = font(tmp_path, [sample(HIGH, **shape)])
    losses = [decibels(tiny.note(0, key, 127, 1.0, RATE)[RATE // 4] / 0.5) for key in (60, 72)]
    assert losses == pytest.approx([-12.5, -25], abs=0.5)


@pytest.mark.parametrize(("key", "gain"), [(33, 0.0), (69, -3.01), (93, -24.1)])
def test_the_low_pass_falls_by_12_decibels_an_octave(tmp_path, key, gain):
    """A Butterworth filter at 440 Hz: 3 dB there, 24 dB two octaves above."""
    cents = round(1200 * np.log2(440 / 8.176))
    loud, filtered = (
        font(tmp_path, [sample(SINE, **values)]).note(0, key, 100, 1.0, RATE)[RATE // 2 : RATE]
        for values in ({}, {"filter_cents": cents})
    )
    assert decibels(filtered.std() / loud.std()) == pytest.approx(gain, abs=0.3)


def test_the_low_pass_resonates(tmp_path):
    values = {"filter_cents": round(1200 * np.log2(440 / 8.176)), "filter_q": 200}
    wave = font(tmp_path, [sample(SINE, **values)]).note(0, 69, 127, 1.0, RATE)[RATE // 2 : RATE]
    assert decibels(wave.std() / (0.5 / np.sqrt(2))) == pytest.approx(20 - 3.01, abs=0.1)


# ------------------------------------------------------------------------------------------ zones


def level(soundfont, key=69, velocity=127, program=0):
    """How loud the middle of a note is; None where there is none."""
    wave = soundfont.note(program, key, velocity, 0.5, RATE)
    return wave[RATE // 4] if len(wave) else None


def test_zones_of_keys_and_velocities(tmp_path):
    tiny = font(
        tmp_path,
        [
            sample(HIGH, keys=(40, 59)),
            sample(LOW, keys=(60, 80), velocities=(0, 99)),
            sample(HIGH, keys=(60, 80), velocities=(100, 127)),
            sample(LOW, keys=(80, 90), velocities=(100, 127)),
        ],
    )
    assert level(tiny, 39) is None
    assert level(tiny, 40) == level(tiny, 59) == level(tiny, 60) == pytest.approx(0.5, abs=1e-3)
    soft = (99 / 127) ** 2
    assert level(tiny, 60, 99) == pytest.approx(0.125 * soft, abs=1e-3)
    assert level(tiny, 80) == pytest.approx(0.625, abs=1e-3), "zones that overlap add up"
    assert level(tiny, 81, 99) is None


def test_instruments_set_and_presets_add(tmp_path):
    """What a zone says, or else the global zone; of the preset on top of the instrument's."""
    tiny = font(
        tmp_path,
        [
            {"attenuation": 200, "fine": 50},  # global: for what a zone leaves open
            sample(HIGH, keys=(0, 60)),
            sample(HIGH, keys=(61, 127), attenuation=50),
        ],
        [sample(SINE, fine=20)],
        presets=[
            (0, 0, [{"instrument": 0}]),
            (1, 0, [{"attenuation": 100}, {"instrument": 0}]),
            (2, 0, [{"attenuation": 100}, {"attenuation": 30, "instrument": 0}]),
            (3, 0, [{"keys": (50, 70), "instrument": 0}]),
            (4, 0, [{"fine": 30, "coarse": 1, "instrument": 1}]),
            (5, 0, [{"filter_cents": 6900 - 13500, "instrument": 1}]),
            (0, 128, [{"instrument": 1}]),
        ],
    )
    written = {(0, 40): 200, (0, 69): 50, (1, 40): 300, (1, 69): 150, (2, 40): 230, (2, 69): 80}
    for (program, key), centibels in written.items():
        loss = -decibels(level(tiny, key, program=program) / 0.5)
        assert loss == pytest.approx(ATTENUATION * centibels / 10, abs=0.02), (program, key)
    assert [level(tiny, key, program=3) is None for key in (49, 50, 70, 71)] == [1, 0, 0, 1]
    tuned = tiny.note(4, 69, 127, 1.0, RATE)
    assert semitones(tuned[:RATE]) == pytest.approx(1.5, abs=0.01)
    quiet = tiny.note(5, 69, 127, 1.0, RATE)[RATE // 2 : RATE]
    assert decibels(quiet.std() / (0.5 / np.sqrt(2))) == pytest.approx(-3.1, abs=0.2)
    assert tiny.programs == {program: f"preset {program}" for program in range(6)}, "bank 0 alone"


def test_shared_samples_are_seen(tmp_path):
    tiny = font(
        tmp_path,
        [sample(SINE, keys=(0, 60)), sample(LOW, keys=(61, 127))],
        [sample(LOW, fine=20)],
        [sample(HIGH)],
        presets=[(program, 0, [{"instrument": program}]) for program in range(3)],
    )
    assert len(tiny.samples(0)) == 2
    assert tiny.samples(1) < tiny.samples(0)
    assert tiny.samples(2).isdisjoint(tiny.samples(0))


# ------------------------------------------------------------------------------------------ files


def test_a_file_that_is_no_soundfont_is_refused(tmp_path):
    path = tmp_path / "x.sf2"
    for content in (b"", b"no soundfont", b"RIFF\x04\0\0\0WAVE", b"RIFF\x04\0\0\0sfbk"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"x\.sf2: expected a SoundFont 2 file"):
            SoundFont(path)


def test_a_cut_off_soundfont_is_refused(tmp_path):
    font(tmp_path, [sample(SINE)])
    whole = (tmp_path / "tiny.sf2").read_bytes()
    for length in range(16, len(whole), 97):
        (tmp_path / "cut.sf2").write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"cut\.sf2: "):
            SoundFont(tmp_path / "cut.sf2")


# --------------------------------------------------------------------------------- the real one


@pytest.fixture(scope="module")
def general_midi():
    needs("pretty_midi")
    return SoundFont(compositions.data_file("pretty_midi", "TimGM6mb.sf2"))


def heard(soundfont, program, key):
    """The pitch of a note by YIN, in semitones."""
    wave = soundfont.note(program, key, 90, 0.8, 16000)[1600:9600]
    if len(wave) < 4000:
        return np.nan
    track = librosa.yin(wave, fmin=36, fmax=2200, sr=16000, frame_length=2048)
    return np.median(librosa.hz_to_midi(track))


def test_single_notes_sound_at_the_pitch_of_their_key(general_midi):
    wrong = {}
    for (low, high), *parts in single_notes.FAMILIES.values():
        for program in sum(parts, ()):
            for key in ((3 * low + high) // 4, (low + 3 * high) // 4):
                found = heard(general_midi, program, key)
                if not abs(found - key) < 0.5:
                    wrong[program, key] = found
    assert not wrong


def test_instruments_of_tracks_sound_in_the_right_key(general_midi):
    """At the pitch class of the key: organs sound in other octaves, too."""
    programs = sum(performance.FAMILIES.values(), ())
    right = [
        abs((heard(general_midi, program, key) - key + 6) % 12 - 6) < 0.5
        for program in programs
        for key in (60, 67)
    ]
    assert np.mean(right) > 0.97


def test_programs_are_the_instruments_that_they_are_called(general_midi):
    names = general_midi.programs
    assert len(names) == 128
    for program, word in {0: "Piano", 40: "Violin", 56: "Trumpet", 73: "Flute"}.items():
        assert word in names[program]
