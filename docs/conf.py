"""How Sphinx builds the documentation site: `make docs`. The build reads files of the repository, never the network."""

from __future__ import annotations

import os
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER / "_ext"))
os.environ.setdefault("COLUMNS", "100")  # help texts and signatures wrap the same in every terminal

from hubbub import __version__  # noqa: E402

project = "hubbub"
release = version = __version__
author = copyright = "the hubbub contributors"  # noqa: A001

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "hubbub_site"]
exclude_patterns = ["_build", "_ext"]
nitpicky = True
# Types of other libraries, which the site does not describe; everything of hubbub's own has to be found.
nitpick_ignore_regex = [
    ("py:class", r"(numpy|np|npt|pandas|pd|pyarrow|pa|pydantic|pathlib|os|collections\.abc)\..*"),
    # distributed.Client; Matplotlib's Figure; paths, as the page of the library says.
    ("py:class", r"Client|Figure|Path|StoragePath|PathLike"),
]
default_role = "py:obj"  # a docstring's `name` leads to what it names, where the site describes it; else it is code
highlight_language = "text"

myst_heading_anchors = 3
myst_enable_extensions = ["deflist", "attrs_block"]

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"hubbub {__version__}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
toc_object_entries_show_parents = "hide"
html_copy_source = html_show_sourcelink = False
html_show_copyright = False
html_theme_options: dict[str, list[str]] = {"top_of_page_buttons": []}
pygments_style, pygments_dark_style = "default", "native"
