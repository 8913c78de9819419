"""Builds the documentation: `make docs`, then open build/docs/index.html.

The pages ask for nothing over a network: equations are MathML, which browsers draw themselves.
"""

from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert

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
highlight_language = "none"  # of a block that names none: a drawing, or what a program prints
default_role = "code"  # single backticks in docstrings
html_math_renderer = "mathml"
exclude_patterns: list[str] = []
html_theme = "furo"
html_title = f"Amanda {__version__}"
html_static_path = ["pages.css"]
html_css_files = ["pages.css"]
html_extra_path = [str(Path(__file__).parent / "flow.svg")]
html_show_sphinx = False


def _visit_math(translator: Any, node: nodes.math) -> None:
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _visit_math_block(translator: Any, node: nodes.math_block) -> None:
    equation = convert(node.astext(), display="block")
    translator.body.append(f'<div class="equation">{equation}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Register the renderer of equations."""
    app.add_html_math_renderer("mathml", (_visit_math, None), (_visit_math_block, None))
