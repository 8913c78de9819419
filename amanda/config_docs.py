"""Write the config's JSON schema and its documented defaults from the models of `amanda.config`."""

import argparse
import json
import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from amanda.config import (
    OF_METHOD,
    TOP_LEVEL,
    Config,
    CorpusConfig,
    ExperimentsConfig,
    ReportConfig,
    Resources,
    StageResources,
    StandinConfig,
)
from amanda.settings import RELEASE_OVERRIDES, RunSettings
from amanda.store.atomic import write_text

SCHEMA, DOCS = "workflow/schemas/config.schema.json", "docs/config.md"

INTRODUCTION = """# The config

`config/config.yaml` is read by the workflow; another file is named with `--configfile`, and single
values are given with `--config seeds=1`. Unknown keys are refused, and the nearest one is named.
This page is generated: `python -m amanda.config --write`.

A run's settings are its identity: changing them trains that method again and no other, and a
finished run is kept under `results/runs/<pair>/<method>-<hash of the settings>.json`.
"""


def schema() -> str:
    """The JSON schema, as text."""
    generated = Config.model_json_schema()
    return (
        json.dumps({"title": "Amanda's config", **generated}, indent=2, ensure_ascii=False) + "\n"
    )


def documentation() -> str:
    """`docs/config.md`, as text."""
    of_train = [f for f in RunSettings.model_fields if f not in (*TOP_LEVEL, *OF_METHOD)]
    release = ", ".join(f"`{k}: {_shown(v)}`" for k, v in RELEASE_OVERRIDES.items())
    return "\n".join(
        [
            INTRODUCTION,
            "## Top level\n",
            _table(Config),
            "\n## `corpora.<name>`\n",
            "Give one of `standin`, `root`, `manifest` and `features`. Names hold lower-case "
            "letters, digits and underscores.\n",
            _table(CorpusConfig),
            "\n## `corpora.<name>.standin`\n",
            _table(StandinConfig),
            "\n## `train`, and entries of `methods`\n",
            "Under `train` they hold for every method; in an entry of `methods`, written as a "
            "mapping, for that one. An entry may also change "
            f"{', '.join(f'`{name}`' for name in TOP_LEVEL)}.\n",
            _table(RunSettings, of_train),
            f"\n`variant: release` changes the defaults to {release}.",
            "\n## `experiments`\n",
            "What `results/paper.html` trains ([the paper’s tables](reproducing-the-paper.md)).\n",
            _table(ExperimentsConfig),
            "\n## `report`\n",
            _table(ReportConfig),
            "\n## `resources.<stage>`\n",
            _table(StageResources),
            "\nDefaults by stage:\n",
            "| Stage | threads | mem_mb |",
            "|---|---|---|",
            *(
                f"| `{stage}` | {field.default.threads} | {field.default.mem_mb} |"
                for stage, field in Resources.model_fields.items()
            ),
            "",
        ]
    )


def _table(model: type[BaseModel], names: list[str] | None = None) -> str:
    rows = ["| Key | Default | Meaning |", "|---|---|---|"]
    for name in names or list(model.model_fields):
        field = model.model_fields[name]
        rows.append(f"| `{name}` | {_default(field)} | {_meaning(field)} |")
    return "\n".join(rows)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or isinstance(value, BaseModel) or value in ([], {}):
        return ""
    return f"`{_shown(value)}`"


def _meaning(field: FieldInfo) -> str:
    text = (field.description or "").replace("|", "\\|")
    text = re.sub(r"docs/([a-z-]+\.md)", r"[\1](\1)", text)  # a link on the page
    choices = _choices(field.annotation)
    return f"{text} One of {', '.join(f'`{c}`' for c in choices)}." if choices else text


def _choices(annotation: Any) -> tuple[str, ...]:
    """The names that a Literal, or an optional one, allows."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    optional = [a for a in get_args(annotation) if a is not type(None)]
    return _choices(optional[0]) if len(optional) == 1 and get_origin(annotation) else ()


def _shown(value: Any) -> str:
    """A value as one would write it in YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_shown(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_shown(v) for v in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Print, or with --write put in place under the folder given."""
    parser = argparse.ArgumentParser(prog="python -m amanda.config", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {SCHEMA} and {DOCS}")
    parser.add_argument("--root", type=Path, default=Path(), help="the repository")
    arguments = parser.parse_args()
    if not arguments.write:
        print(documentation())
        return
    for name, text in ((SCHEMA, schema()), (DOCS, documentation())):
        write_text(arguments.root / name, text)
        print(f"{name}: written")
