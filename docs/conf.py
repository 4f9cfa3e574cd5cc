"""The documentation, for Sphinx: `make docs`.

The pages of the commands, of the configuration and of the Python API are written by
`generated.py` from the code, when the site is built.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import generated

import mar

project = "mar"
author = project_copyright = "the contributors of music-audio-representations"
version = release = mar.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["miniature", "_build"]

myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"mar {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = ["miniature/report.html"]  # the page of `make miniature`, as it is
html_show_sphinx = False
html_copy_source = False
pygments_style = "friendly"
copybutton_exclude = ".linenos, .gp, .go"


def setup(app):
    app.connect("builder-inited", lambda app: generated.write(pathlib.Path(app.srcdir)))
    app.connect("autodoc-process-signature", generated.short_signature)
    app.connect("autodoc-process-docstring", generated.as_restructured_text, priority=400)
