"""The shell of the report: one HTML file, its style, navigation and banner."""

import base64
import datetime
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from amanda import __version__
from amanda.report.corpora import Used, gather
from amanda.report.plots import number_figures
from amanda.report.registry import Page, Pair, Section, load_sections
from amanda.report.vendor import read_scripts
from amanda.result_text import STANDIN_SENTENCE
from amanda.results import read_result
from amanda.store.atomic import write_text
from amanda.store.errors import InputError


def write_report(
    results: Sequence[Path],
    out: Path,
    features: Sequence[Path] = (),
    contact_sheets: Sequence[Path] = (),
) -> None:
    """Write one page on all of `results`, whole or not at all.

    Args:
        results: result files, one a pair.
        features: feature files, for durations and coverage of the corpora.
        contact_sheets: folders of them; given, the page shows people.

    Raises:
        InputError: no result, two of one pair, or a file that cannot be read.
    """
    for folder in contact_sheets:
        if not (Path(folder) / "sheet_001.png").is_file():
            raise InputError(f"{folder}: holds no contact sheet; amanda contact-sheets writes them")
    page = _read(results, out, features)
    page = replace(page, contact_sheets=tuple(Path(folder) for folder in contact_sheets))
    opening, of_pair, closing = (load_sections(s) for s in ("opening", "pair", "closing"))
    parts = [_part(section, section.name, page) for section in opening]
    for pair in page.pairs:
        children = [_part(section, f"{pair.name}-{section.name}", pair) for section in of_pair]
        parts.append(
            {
                "id": pair.name,
                "pair": True,
                "title": pair.title,
                "standin": pair.standin,
                "content": "",
                "children": [child for child in children if child["content"]],
            }
        )
    parts += [_part(section, section.name, page) for section in closing]
    text = render(
        title="Adaptation report: " + ", ".join(pair.title for pair in page.pairs),
        kicker="Adaptation report",
        heading=[pair.title for pair in page.pairs],
        standin=page.standin,
        partly=not all(pair.standin for pair in page.pairs),
        parts=parts,
    )
    write_text(Path(out), text)


def render(
    *,
    title: str,
    kicker: str,
    heading: Sequence[str],
    standin: bool,
    partly: bool,
    parts: Sequence[dict[str, Any]],
) -> str:
    """A page in the shell: style, navigation, banner.

    Args:
        standin: whether generated data is on it; `partly`, not only such.
        parts: `id`, `title`, `standin`, `content` and `children` (of the same form) of each; those
            without content or children are left out. Of parts with `pair` the reader picks one.
    """
    environment = Environment(
        loader=PackageLoader("amanda.report", "."),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    files = resources.files("amanda.report")
    style = files.joinpath("style.css").read_text(encoding="utf-8")
    script = read_scripts() + "\n" + files.joinpath("page.js").read_text(encoding="utf-8")
    html = environment.get_template("page.html").render(
        title=title,
        kicker=kicker,
        heading=heading,
        style=Markup(style),
        script=Markup(script),
        policy=content_security_policy(script),
        banner=STANDIN_SENTENCE if standin else "",
        partly=partly,
        parts=[part for part in parts if part["content"] or part["children"]],
        version=__version__,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )
    return number_figures(html)


def content_security_policy(script: str) -> str:
    """What a browser lets the page do: nothing over the network, and no script but this one."""
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _read(results: Sequence[Path], out: Path, features: Sequence[Path]) -> Page:
    if not results:
        raise InputError(f"{out}: no result file to report on; train a method first")
    pairs: dict[str, Pair] = {}
    for path in results:
        pair = Pair(read_result(path))
        if pair.name in pairs:
            raise InputError(
                f"{path}: of the pair {pair.name}, as is {pairs[pair.name].result.path}; "
                "join them first with amanda merge-results"
            )
        pairs[pair.name] = pair
    used = [
        Used(
            info=info,
            label_names=tuple(pair.file.label_names),
            split=str(pair.file.methods[0].config.get("split", "file")),
            split_seed=int(pair.file.methods[0].config.get("split_seed", 0)),
            folds=int(pair.file.methods[0].config.get("folds", 0)),
        )
        for pair in pairs.values()
        for info in (pair.file.features.source, pair.file.features.target)
    ]
    return Page(
        pairs=tuple(pairs.values()),
        corpora=tuple(gather(used, features)),
        feature_files=tuple(Path(path) for path in features),
        out=Path(out),
    )


def _part(section: Section, anchor: str, subject: Page | Pair) -> dict[str, object]:
    return {
        "id": anchor,
        "title": section.title,
        "standin": subject.standin,
        "content": section.render(subject),
        "children": [],
    }
