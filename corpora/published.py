"""Counts that others published, to lay one's own beside.

`published.json` holds the paper's Table 7 (class by split, after its choice of utterances) and the
utterances of each class in the corpora as distributed.
"""

import json
from functools import cache
from importlib import resources
from typing import Any


@cache
def _published() -> dict[str, Any]:
    return json.loads(resources.files("corpora").joinpath("published.json").read_text("utf-8"))


def table7(reader: str) -> dict[str, dict[str, int]]:
    """Class to split to utterances in the paper's Table 7; {} for a corpus that is not in it."""
    found: dict[str, dict[str, int]] = _published()["table7"].get(reader, {})
    return found


def native_counts(reader: str) -> dict[str, int]:
    """Utterances of each class in the corpus as distributed; {} where we know none."""
    found: dict[str, int] = _published()["native"].get(reader, {})
    return found
