"""The tables of settings in docs/extractors.md, from the settings themselves.

python -m extractors.profile_docs --write
"""

import sys
from pathlib import Path

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from extractors.profile_settings import AcousticSettings, LexicalSettings, VisualSettings

PAGE = Path(__file__).parents[1] / "docs" / "extractors.md"
BEGIN, END = "<!-- settings: written by extractors.profile_docs -->", "<!-- end of settings -->"
SECTIONS: dict[str, type[BaseModel]] = {
    "lexical": LexicalSettings,
    "acoustic": AcousticSettings,
    "visual": VisualSettings,
}


def settings_tables() -> str:
    """One table a section: name, default, meaning."""
    parts = []
    for name, section in SECTIONS.items():
        lines = [f"### `{name}`", "", "| Setting | Default | |", "|---|---|---|"]
        for key, field in section.model_fields.items():
            needed = field.default is PydanticUndefined
            default = "needed" if needed else f"`{_plain(field.default)}`"
            meaning = (field.description or "").replace("|", "\\|")
            lines.append(f"| `{key}` | {default} | {meaning} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def with_tables(page: str) -> str:
    """A page with the tables between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{settings_tables()}\n\n{END}{after}"


def _plain(value: object) -> str:
    """As YAML writes it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__" and "--write" in sys.argv:
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
