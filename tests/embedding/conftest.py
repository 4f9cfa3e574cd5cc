"""What several tests of embedding are given."""

import os

import pytest

from mar.audio.isolated import IsolatedDecoder


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that are decoded, as they are."""
    paths, opened = [], IsolatedDecoder.open

    def noting(self, path, **decoding):
        paths.append(os.path.basename(path))
        return opened(self, path, **decoding)

    monkeypatch.setattr(IsolatedDecoder, "open", noting)
    return paths
