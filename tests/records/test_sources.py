"""Audio files as a source: what is read, and what costs no more than one file."""

import numpy as np
import pytest
import soundfile

from helpers.processes import stop_the_warm_decoder
from helpers.signals import music
from mar.audio.logmel import LogMel
from mar.errors import InputError
from mar.records import sources


@pytest.fixture
def source(tmp_path):
    soundfile.write(tmp_path / "song.flac", music(3.0), 44100)
    (tmp_path / "text.mp3").write_text("not a song")
    return sources.AudioSource(str(tmp_path), LogMel().resolved(), "float16")


def test_reads_the_log_mel_of_a_file(source, tmp_path):
    found = source.read({"path": "song.flac"})
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, LogMel().read(tmp_path / "song.flac"), atol=3e-3)
    assert source.seconds({"path": "song.flac"}) == pytest.approx(3.0)


def test_what_is_no_audio_is_refused(source):
    for name in ("text.mp3", "none.mp3"):
        with pytest.raises(InputError, match=rf"^{name}: (?!/)"):
            source.read({"path": name})
        assert source.seconds({"path": name}) is None


def test_a_decoder_that_crashes_costs_one_file(source):
    before = source.read({"path": "song.flac"})
    stop_the_warm_decoder(f"{source.root}/song.flac", kill=True)
    with pytest.raises(InputError, match=r"song\.flac: the decoder crashed"):
        source.read({"path": "song.flac"})
    np.testing.assert_array_equal(source.read({"path": "song.flac"}), before)


def test_values_beyond_the_type_become_infinite_for_the_writer_to_refuse(source):
    loud = {**LogMel(level=1e6, mag_compression="linear").resolved()}
    found = sources.AudioSource(source.root, loud, "float16").read({"path": "song.flac"})
    assert np.isinf(found).any()
    assert np.isfinite(
        sources.AudioSource(source.root, loud, "float32").read({"path": "song.flac"})
    ).all()
