"""Small stand-in corpora for the tests, and what the generator says of them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

_WRITER = """
import json, sys
from pathlib import Path
from corpora.standin import write_standin

for corpus, out, more in json.loads(sys.argv[1]):
    write_standin(corpus, Path(out), **more)
"""


def write_all(*jobs: tuple[str, Path, dict[str, Any]]) -> None:
    """Write corpora in a process without the checks of shapes, three times as fast."""
    asked = json.dumps([(corpus, str(out), more) for corpus, out, more in jobs])
    subprocess.run([sys.executable, "-c", _WRITER, asked], check=True, capture_output=True)


def mark(root: Path) -> dict[str, Any]:
    """The generator's own account: `truth` by utterance, `dropped` labels."""
    return json.loads((root / "standin.json").read_text(encoding="utf-8"))


def faces_at(row: dict[str, Any], time_s: float) -> dict[str, list[float]]:
    """Who is in the picture at a time of the video, and where (x, y, width, height).

    Of `row["faces"]`, the first person is the speaker.
    """
    return {
        name: box
        for name, times in row["faces"].items()
        for start_s, end_s, *box in times
        if start_s <= time_s < end_s
    }
