"""Results as data frames, tables, figures and one page.

    from mar import reporting

    results = mar.Results("results/")
    reporting.overview_table(reporting.summarize(results))

The public names are listed in `__init__.pyi`, and are loaded when they are first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
