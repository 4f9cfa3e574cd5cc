"""Networks. Importing this module registers their layers with Keras."""

from mar.models import layers  # noqa: F401
