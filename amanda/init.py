"""Corpora looked at, and where they are written into a config."""

from pathlib import Path

from amanda.config_roots import Place, known_places, with_pairs, with_places
from amanda.store.atomic import atomic_path
from amanda.store.errors import InputError
from amanda.store.names import split_pair

PAPER_CONFIG = Path(__file__).resolve().parents[1] / "config" / "paper.yaml"
SHIPPED = {
    "ie": "data/IEMOCAP_full_release",
    "msp": "data/MSP-IMPROV",
    "meld": "data/MELD.Raw",
    "mosei": "data/CMU-MOSEI",
}
"""Where `config/paper.yaml` looks as it comes: to write over these takes nothing from anybody."""


def find_place(given: str) -> tuple[Place, str]:
    """What NAME=PATH stands for, and what was found there.

    Raises:
        InputError: no such path, or not a corpus that can be read.
    """
    name, _, path_text = given.partition("=")
    if not name or not path_text:
        raise InputError(f"--corpus {given}: write NAME=PATH, as ie=/data/IEMOCAP")
    path = Path(path_text).expanduser()
    if path.is_file():
        from amanda.store.manifest import read_manifest

        n_rows = sum(1 for _ in read_manifest(path))
        return Place(name, "manifest", str(path)), f"{path}: {n_rows} rows of your own"
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; give where {name} is")
    from corpora.check_root import check_root
    from corpora.readers import reader_names

    report = check_root(path, name if name in reader_names() else "", media=False)
    reader = "" if report.reader == name else report.reader
    hint = f"`amanda check {path}` opens its media too" if not report.problems else (
        f"{len(report.problems)} things to look at: `amanda check {path}`"
    )  # fmt: skip
    return Place(name, "root", str(path), reader), f"{report.to_text().splitlines()[0]}; {hint}"


def write_places(places: dict[str, Place], out: Path, *, force: bool = False) -> list[str]:
    """Write places into the config `out`; what was done, a line each.

    Raises:
        InputError: the config has another path for one of them, which only `force` changes; or it
            cannot be read or written.
    """
    text = _read(out if out.exists() else PAPER_CONFIG)
    had = known_places(text, str(out))
    for name, place in places.items():
        before = had.get(name, "")
        if before not in ("", place.path, SHIPPED.get(name)) and not force:
            raise InputError(
                f"{out}: has {name} at {before} already; add --force to change it to {place.path}"
            )
    changed = with_places(text, places, str(out))
    here = {name for name, place in known_places(changed, str(out)).items() if Path(place).exists()}
    changed, pairs = with_pairs(changed, here, str(out))
    if out.exists() and changed == text:
        return [f"{out}: says so already"]
    with atomic_path(out) as partial:
        partial.write_text(changed, encoding="utf-8")
    asked = {name for pair in pairs for name in split_pair(pair)}
    if absent := sorted(asked - here):
        places_text = ", ".join(known_places(changed, str(out)).get(name) or "" for name in absent)
        run = (
            f"Before a run: {', '.join(absent)} is not there ({places_text}); say where with "
            "--corpus, or change pairs"
        )
    else:
        run = f"Run: snakemake --cores 8 --configfile {out}"
    return [f"{out}: written; pairs {', '.join(pairs)}", run]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise InputError(f"{path}: cannot be read ({reason})") from error
