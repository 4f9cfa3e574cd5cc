"""What is wrong with signals that are wrong in known ways, to either side of each limit."""

import numpy as np
import pytest
import soundfile

from helpers.signals import music
from mar.audio import inspection
from mar.audio.inspection import combined, measured

RATE = 8000


def measures_of(folder, samples, subtype="DOUBLE"):
    soundfile.write(folder / "a.wav", samples, RATE, subtype)
    return combined(measured(folder / "a.wav"))


def kinds(folder, samples, subtype="DOUBLE"):
    from mar.audio.decode import Condition

    measures = measures_of(folder, samples, subtype)
    return {problem.kind for problem in inspection.problems(measures, Condition())}


def tone(seconds=5.0, amplitude=0.5):
    time = np.arange(int(seconds * RATE)) / RATE
    return amplitude * np.sin(2 * np.pi * 220 * time)


def in_runs(samples):
    """Samples at full scale in runs of three, one by one."""
    count = 0
    for channel in np.abs(samples.reshape(len(samples), -1).T) >= inspection.FULL_SCALE:
        run = 0
        for at in [*channel, False]:
            count += run if not at and run >= 3 else 0
            run = run + 1 if at else 0
    return count


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_measures_are_those_of_the_samples(tmp_path, channels):
    """Of three blocks."""
    samples = np.clip(4 * music(25.0, RATE, channels).astype(np.float64) + 0.1, -1, 1)
    mono = np.float32(samples).mean(axis=1)
    measures = measures_of(tmp_path, samples)
    assert measures.seconds == 25.0
    assert measures.channel_peak == 1.0
    np.testing.assert_allclose(measures.peak, np.abs(mono).max(), rtol=1e-6)
    np.testing.assert_allclose(measures.offset, abs(samples.mean()), rtol=1e-4)
    at_edges = 2 * 2 * 2 * channels  # a run that two blocks share may be too short in each
    assert 0 <= in_runs(samples) - round(measures.clipped * samples.size) <= at_edges
    assert measures.clipped > 0.001


def test_sound_music_has_no_problem(tmp_path):
    for subtype in ("PCM_16", "PCM_24", "FLOAT"):
        assert kinds(tmp_path, music(4.0, RATE), subtype) == set()
        assert kinds(tmp_path, music(4.0, RATE) / 0.8, subtype) == set()  # to full scale


def test_silence(tmp_path):
    assert kinds(tmp_path, np.zeros((5 * RATE, 2))) == {"silent"}
    dither = np.random.default_rng(0).integers(-2, 3, (5 * RATE, 2)) / 2**15
    assert kinds(tmp_path, dither, "PCM_16") == {"silent"}
    assert kinds(tmp_path, tone(amplitude=0.0009)) == {"silent"}
    assert kinds(tmp_path, tone(amplitude=0.0011)) == set()
    assert kinds(tmp_path, np.stack([tone(), -tone()], axis=1)) == {"silent"}
    quiet_start = np.concatenate([np.zeros(30 * RATE), tone(1.0)])
    assert kinds(tmp_path, quiet_start) == set()


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_clipping(tmp_path, subtype):
    assert kinds(tmp_path, np.clip(tone(amplitude=2.0), -1, 1), subtype) == {"clipped"}
    one_side = np.stack([np.clip(tone(amplitude=2.0), -1, 1), tone()], axis=1)
    assert kinds(tmp_path, one_side, subtype) == {"clipped"}
    loud = tone(amplitude=1.0)
    assert kinds(tmp_path, loud, subtype) == set()
    loud[::2] = np.sign(loud[::2])  # single samples, none in a row
    assert kinds(tmp_path, 0.99 * loud, subtype) == set()
    few = tone()
    few[1000:1003] = 1.0  # 3 of 40,000
    assert kinds(tmp_path, few, subtype) == set()
    few[1000:1050] = 1.0
    assert kinds(tmp_path, few, subtype) == {"clipped"}


def test_offset_scale_and_length(tmp_path):
    assert kinds(tmp_path, tone() + 0.03) == {"offset"}
    assert kinds(tmp_path, tone() - 0.03) == {"offset"}
    assert kinds(tmp_path, tone() + 0.01) == set()
    assert kinds(tmp_path, 32768 * tone()) == {"loud"}
    assert kinds(tmp_path, 32768 * (tone() + 0.1)) == {"loud"}
    assert kinds(tmp_path, tone(2.99)) == {"short"}
    assert kinds(tmp_path, tone(3.0)) == set()
    assert kinds(tmp_path, np.zeros(1)) == {"short", "silent"}
