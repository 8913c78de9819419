"""The report: results in, one self-contained page out.

`page` is the shell (style, navigation, stand-in banner), `sections/` holds one function a section.
"""

from amanda.report.page import write_report

__all__ = ["write_report"]
