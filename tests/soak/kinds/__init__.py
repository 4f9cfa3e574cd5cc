"""Every kind of file that is read: how a good one is made, and how it is read.

A kind's `read` returns plain data, by which what was read from a damaged file is compared with what
was read from the good one. Where the format has checksums, a damaged file is the same or an error.
"""

from soak.kinds import audio, embeddings, models, records, results, texts  # noqa: F401, each adds its
from soak.kinds.kind import KINDS, Kind, written

__all__ = ["KINDS", "Kind", "written"]
