"""Other people's scripts, embedded in the pages unchanged, each with its licence.

tablesort 5.7.1 (https://github.com/tristen/tablesort, MIT): `dist/tablesort.min.js` and
`dist/sorts/tablesort.number.min.js` of the npm package.
"""

from importlib import resources

SHA256 = {
    "tablesort.min.js": "ee99f17ebc985170899a004e9f6bf09e7f60eb4b459b6bfe6683cf0140352c63",
    "tablesort.number.min.js": "e25dad08c53361182db670d0f670e85eea0f57e5d3bad0439831c75e1842096c",
}
"""Of each script as it is in the npm package; a test compares."""
LICENCE = "tablesort-LICENCE.txt"


def read_scripts() -> str:
    """The scripts one after another, under their licence as a comment."""
    texts = [_read(name).strip() for name in SHA256]
    return "\n".join([f"/*! tablesort\n{_read(LICENCE).strip()}\n*/", *texts])


def _read(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
