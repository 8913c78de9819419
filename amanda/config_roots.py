"""Where corpora are, written into a config's text: its comments and all else stay as they are.

Known is the form that `config/paper.yaml` has: a block `corpora:`, a name a block below it, and a
line `root:`, `manifest:` or `standin:` in that.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from amanda.config import parse_config
from amanda.paper_tables import PAIRS
from amanda.store.errors import InputError
from amanda.store.names import check_corpus_name, split_pair

_PLACES = ("standin", "root", "manifest", "features", "reader")
_PLACE_LINE = re.compile(rf"^ +(?:{'|'.join(_PLACES)}):")


@dataclass(frozen=True, slots=True)
class Place:
    """A corpus and where it is; `key` is root or manifest, `reader` "" where the name says it."""

    name: str
    key: str
    path: str
    reader: str = ""

    def lines(self, indent: str) -> list[str]:
        """Its lines in the corpus's block."""
        reader = [f"{indent}reader: {_scalar(self.reader)}"] if self.reader else []
        return [f"{indent}{self.key}: {_scalar(self.path)}", *reader]


def known_places(text: str, where: str) -> dict[str, str]:
    """Where the config has its corpora: its root or other place, by name.

    Raises:
        InputError: `text` is no YAML, or no config.
    """
    corpora = config_values(text, where).get("corpora") or {}
    if not isinstance(corpora, Mapping):
        raise InputError(f"{where}: corpora is no mapping; write it as corpora: {{ie: ...}}")
    found = {}
    for name, corpus in corpora.items():
        keys = [key for key in _PLACES if isinstance(corpus, Mapping) and key in corpus]
        found[str(name)] = str(corpus[keys[0]]) if keys else ""
    return found


def with_places(text: str, places: Mapping[str, Place], where: str) -> str:
    """`text` with corpora at these places; those that it lacks are added below the others.

    Raises:
        InputError: the file has another form, or would be no config afterwards.
    """
    lines = text.splitlines()
    first, end = _block(lines, "corpora:", 0, len(lines), where)
    for place in places.values():
        check_corpus_name(place.name)
        indent = _indent(lines[first:end]) or "  "
        heading = f"{indent}{place.name}:"
        at = next((i for i in range(first, end) if lines[i].rstrip() == heading), None)
        if at is None:
            if any(line.startswith(heading) for line in lines[first:end]):
                raise InputError(
                    f"{where}: the entry of {place.name} is written in one line; "
                    f"write it by hand: {place.name}: {{{place.key}: {_scalar(place.path)}}}"
                )
            split = "speaker" if place.key == "manifest" else "paper"
            added = [heading, *place.lines(2 * indent), f"{2 * indent}split: {split}"]
        else:
            stop = _end_of_entry(lines, at, end, indent)
            inner = _indent(lines[at + 1 : stop]) or 2 * indent
            kept = [line for line in lines[at + 1 : stop] if not _PLACE_LINE.match(line)]
            added = [heading, *place.lines(inner), *kept]
            del lines[at:stop]
            end -= stop - at
        lines[at if at is not None else end : at if at is not None else end] = added
        end += len(added)
    changed = "\n".join(lines) + "\n"
    parse_config(config_values(changed, where), where)
    return changed


def with_pairs(text: str, here: set[str], where: str) -> tuple[str, list[str]]:
    """`text` with the paper's pairs among the corpora that are `here`, and these pairs.

    A list of pairs that holds any other is somebody's own and stays as it is.
    """
    values = config_values(text, where)
    listed = values.get("pairs") or []
    wanted = [pair for pair in PAIRS if set(split_pair(pair)) <= here]
    if not wanted or not set(listed) <= set(PAIRS):
        return text, list(listed)
    line = f"pairs: [{', '.join(wanted)}]"
    if "pairs" not in values:
        return f"{text}\n{line}\n", wanted
    changed, n = re.subn(r"^pairs: *\[[^\]]*\]", line, text, count=1, flags=re.M)
    return (changed, wanted) if n else (text, list(listed))


def config_values(text: str, where: str) -> dict[str, Any]:
    """The keys and values of a config's text.

    Raises:
        InputError: `text` is no YAML, or has no keys.
    """
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{where}{line}: not YAML ({getattr(error, 'problem', error)})") from error
    if not isinstance(values, dict):
        raise InputError(f"{where}: no config; it has no keys")
    return values


def _block(lines: list[str], heading: str, first: int, end: int, where: str) -> tuple[int, int]:
    """The lines below `heading`, without the empty ones and comments that follow them."""
    start = next((i for i in range(first, end) if lines[i].rstrip() == heading), None)
    if start is None:
        raise InputError(
            f"{where}: no line '{heading}' that begins the corpora; write them by hand"
        )
    stop = start + 1
    for i in range(start + 1, end):
        if lines[i][:1] == " " and lines[i].strip():
            stop = i + 1
        elif lines[i].strip() and lines[i][0] != "#":
            break
    return start + 1, stop


def _end_of_entry(lines: list[str], at: int, end: int, indent: str) -> int:
    """The line after a corpus's last one; a comment less indented belongs to the next."""
    i = at + 1
    while i < end and (lines[i].startswith(indent + " ") or not lines[i].strip()):
        i += 1
    return i


def _indent(lines: list[str]) -> str:
    line = next((x for x in lines if x.strip() and not x.strip().startswith("#")), "")
    return line[: len(line) - len(line.lstrip())]


def _scalar(value: str) -> str:
    """A text as YAML, quoted where it has to be."""
    return yaml.safe_dump(value, width=10**6, allow_unicode=True).split("\n")[0]
