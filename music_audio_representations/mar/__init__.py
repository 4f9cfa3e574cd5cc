"""Music audio representations: pre-train, embed, probe.

Names are loaded when they are first used, so that `import mar` is instant and imports neither
TensorFlow nor NumPy. They are listed in `__init__.pyi`, which editors and type checkers read too.
"""

from typing import Any

import lazy_loader

__version__ = "0.2.0"

_public, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    from mar.util.backends import needed_by

    with needed_by(f"mar.{name}"):
        return _public(name)
