"""Builds the documentation: `make docs`, then open build/docs/index.html."""

from pathlib import Path

from amanda import __version__

project = "Amanda"
author = "The Amanda developers"
copyright = "The Amanda developers, Apache-2.0"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
# Docstrings describe attributes of dataclasses; their fields need no entry of their own.
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "description"
suppress_warnings = ["misc.highlighting_failure"]  # blocks of CSV have no highlighter
exclude_patterns: list[str] = []
html_theme = "furo"
html_title = f"Amanda {__version__}"
html_static_path: list[str] = []
html_extra_path = [str(Path(__file__).parent / "flow.svg")]
html_show_sphinx = False
