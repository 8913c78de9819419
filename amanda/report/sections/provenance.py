"""What made these figures, and the commands that make them again."""

import shlex
from pathlib import Path
from typing import Any

from markupsafe import Markup

from amanda.report.markup import Cell, Row, Text, bullets, code, table
from amanda.report.registry import Page, Pair, section
from amanda.result_schema import MethodResult
from amanda.settings import parse_settings, to_flags
from amanda.store.errors import InputError


@section("provenance", "Provenance and commands", scope="closing", order=90)
def provenance(page: Page) -> Markup:
    """Feature files, programs, devices, settings, commands."""
    return Markup("").join(
        [
            _features(page),
            _methods(page),
            Markup("<h3>Programs</h3>"),
            bullets(_programs(page)),
            Markup("<h3>Commands</h3><p>The same settings again, from the feature files:</p>"),
            code("\n".join(_commands(page))),
        ]
    )


def _features(page: Page) -> Markup:
    rows: list[Row] = []
    seen = set()
    for pair in page.pairs:
        for info in (pair.file.features.source, pair.file.features.target):
            if info.file_sha256 in seen:
                continue
            seen.add(info.file_sha256)
            for number, (name, modality) in enumerate(info.modalities.items()):
                layers = modality.layers
                listed = ", ".join(map(str, layers)) if isinstance(layers, list) else str(layers)
                rows.append(
                    [
                        info.file if number == 0 else "",
                        Cell(_short(info.file_sha256) if number == 0 else "", css="text"),
                        Cell(name, css="text"),
                        Cell(modality.model, css="text"),
                        Cell(listed, css="text"),
                        Cell(_short(modality.sha256), css="text"),
                    ]
                )
    head: Row = [
        "Feature file",
        *(Cell(t, css="text") for t in ("sha256", "Modality", "Model", "Layers", "weights sha256")),
    ]
    return table(Markup("<b>Feature files</b> and the models that made them."), [head], rows)


def _methods(page: Page) -> Markup:
    head: Row = [
        "Run",
        *(Cell(t, css="text") for t in ("Method", "Pair", "Modalities", "Device", "Date")),
        "s a run",
    ]
    rows: list[Row] = [
        [
            Markup("<code>{}</code>").format(method.run_id),
            Cell(method.label, css="text"),
            Cell(pair.title, css="text"),
            Cell(", ".join(method.modalities), css="text"),
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


def _commands(page: Page) -> list[str]:
    lines = []
    for pair in page.pairs:
        lines += _pair_commands(pair)
    report = ["amanda", "report", *(_shown(pair.result.path) for pair in page.pairs)]
    for path in page.feature_files:
        report += ["--features", _shown(path)]
    return [*lines, shlex.join([*report, "--out", _shown(page.out)])]


def _pair_commands(pair: Pair) -> list[str]:
    source, target = pair.file.features.source.file, pair.file.features.target.file
    lines, parts = [], []
    for method in pair.file.methods:
        part = f"results/runs/{pair.name}/{method.run_id}.json"
        parts.append(part)
        train = ["amanda", "train", "--source", source, "--target", target, *_flags(method)]
        lines.append(shlex.join([*train, "--out", part]))
    merge = ["amanda", "merge-results", *parts, "--out", _shown(pair.result.path)]
    return [*lines, shlex.join(merge)]


def _flags(method: MethodResult) -> list[str]:
    try:
        return to_flags(parse_settings(method.config, method.run_id))
    except InputError:  # a setting of another version of this program
        return ["--method", method.method]


def _shown(path: Path) -> str:
    """A path as the user gave it; of an absolute one its name alone, since folders name people."""
    return path.name if path.is_absolute() else path.as_posix()


def _short(sha256: str) -> Text:
    return Markup('<code title="{}">{}</code>').format(sha256, sha256[:12]) if sha256 else "–"
