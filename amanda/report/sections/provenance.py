"""What made these figures, and the commands that make them again."""

import shlex
from typing import Any

from markupsafe import Markup

from amanda.report.markup import Cell, Row, Text, bullets, commands, paragraphs, shown_path, table
from amanda.report.registry import Page, Pair, section
from amanda.result_schema import CorpusInfo, MethodResult
from amanda.settings import parse_settings, to_flags
from amanda.store.errors import InputError

IMPORTED = "imported"
"""Profile of a feature file that `amanda import` made."""


@section("provenance", "Provenance and commands", scope="closing", order=90)
def provenance(page: Page) -> Markup:
    """Feature files, programs, devices, settings, commands."""
    return Markup("").join(
        [
            _features(page),
            _methods(page),
            Markup("<h3>Programs</h3>"),
            bullets(_programs(page)),
            Markup("<h3>Commands</h3>"),
            _extractions(page),
            paragraphs("The same settings again, from the feature files:"),
            commands(_commands(page)),
        ]
    )


def _features(page: Page) -> Markup:
    groups: list[tuple[Text, list[Row]]] = []
    seen = set()
    for info in _corpora(page):
        if info.file_sha256 in seen:
            continue
        seen.add(info.file_sha256)
        heading = Markup("{}, sha256 {}; profile {}; from the manifest with sha256 {}").format(
            info.file, _short(info.file_sha256), info.profile or "–", _short(info.manifest_sha256)
        )
        rows: list[Row] = []
        for name, modality in info.modalities.items():
            layers = modality.layers
            listed = ", ".join(map(str, layers)) if isinstance(layers, list) else str(layers)
            rows.append(
                [
                    name,
                    Cell(modality.model, css="text"),
                    Cell(listed, css="text wrap"),
                    Cell(_short(modality.sha256), css="text"),
                ]
            )
        groups.append((heading, rows))
    head: Row = ["Modality", *(Cell(t, css="text") for t in ("Model", "Layers", "weights sha256"))]
    caption = Markup("<b>Feature files</b> and the models that made them.")
    return table(caption, [head], [], groups=groups, sortable=False)


def _corpora(page: Page) -> list[CorpusInfo]:
    """Source and target of each pair."""
    return [
        info
        for pair in page.pairs
        for info in (pair.file.features.source, pair.file.features.target)
    ]


def _methods(page: Page) -> Markup:
    head: Row = [
        "Run",
        *(Cell(t, css="text") for t in ("Method", "Pair", "Modalities", "Device", "Date")),
        "seconds a run",
    ]
    rows: list[Row] = [
        [
            Markup("<code>{}</code>").format(method.run_id),
            Cell(method.label, css="text"),
            Cell(pair.title, css="text"),
            Cell(", ".join(method.modalities), css="text wrap"),
            Cell(str(method.provenance.get("device", "")), css="text"),
            Cell(str(method.provenance.get("created", ""))[:10], css="text"),
            _wall(method),
        ]
        for pair in page.pairs
        for method in pair.file.methods
    ]
    return table(Markup("<b>Trainings.</b>"), [head], rows, css="dense")


def _wall(method: MethodResult) -> str:
    times = [run.wall_s for run in method.runs if run.wall_s is not None]
    return f"{sum(times) / len(times):.0f}" if times else "–"


def _programs(page: Page) -> list[Text]:
    lines: dict[str, None] = {}
    for pair in page.pairs:
        for method in pair.file.methods:
            lines[_program(method.provenance)] = None
    return list(lines)


def _program(record: dict[str, Any]) -> str:
    packages = record.get("packages", {})
    listed = ", ".join(f"{name} {version}" for name, version in packages.items())
    return (
        f"amanda {record.get('code_version', '?')}, Python {record.get('python', '?')}, "
        f"{record.get('platform', '?')}; {listed}"
    )


def _extractions(page: Page) -> Markup | str:
    """How the feature files were made, of those that this program extracted."""
    lines: dict[str, None] = {}
    for info in _corpora(page):
        if info.profile and info.profile != IMPORTED:
            made = ["amanda", "extract", "--manifest", f"manifests/{info.corpus}.csv"]
            made += ["--profile", info.profile, "--out", info.file]
            lines[shlex.join(made)] = None
    if not lines:
        return ""
    said = (
        "The features, from the manifests of the checksums above (a profile of your own needs the "
        "config that has it, --config):"
    )
    return Markup("{}{}").format(paragraphs(said), commands(list(lines)))


def _commands(page: Page) -> list[str]:
    lines = []
    for pair in page.pairs:
        lines += _pair_commands(pair)
    report = ["amanda", "report", *(shown_path(pair.result.path) for pair in page.pairs)]
    for path in page.feature_files:
        report += ["--features", shown_path(path)]
    for folder in page.contact_sheets:
        report += ["--thumbnails", shown_path(folder)]
    return [*lines, shlex.join([*report, "--out", shown_path(page.out)])]


def _pair_commands(pair: Pair) -> list[str]:
    source, target = pair.file.features.source.file, pair.file.features.target.file
    lines, parts = [], []
    for method in pair.file.methods:
        part = f"results/runs/{pair.name}/{method.run_id}.json"
        parts.append(part)
        train = ["amanda", "train", "--source", source, "--target", target, *_flags(method)]
        lines.append(shlex.join([*train, "--out", part]))
    merge = ["amanda", "merge-results", *parts, "--out", shown_path(pair.result.path)]
    return [*lines, shlex.join(merge)]


def _flags(method: MethodResult) -> list[str]:
    try:
        return to_flags(parse_settings(method.config, method.run_id))
    except InputError:  # a setting of another version of this program
        return ["--method", method.method]


def _short(sha256: str) -> Text:
    return Markup('<code title="{}">{}</code>').format(sha256, sha256[:12]) if sha256 else "–"
