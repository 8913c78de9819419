"""Whether the corpora of a config can become manifests, as far as a plan can know.

What a config says is checked in `amanda.config`; this asks the readers and looks at the disk, and
reads no more than a CSV's first line.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from amanda.config import Config, CorpusConfig
from amanda.store.errors import InputError, nearest
from corpora.readers import reader_names


def check_corpora(config: Config, where: str = "config") -> list[str]:
    """Check that each corpus has a reader and each CSV its splits; `where` names the config's file.

    Returns:
        A sentence for each root that is not there: a warning, since plans are made on machines
        without the corpora too.

    Raises:
        InputError: a manifest cannot be made of a corpus as it is configured.
    """
    try:
        for name, corpus in config.corpora.items():
            if corpus.manifest:
                _check_split(name, corpus, Path(corpus.manifest))
            elif not corpus.features:
                _check_reader(name, corpus)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return [f"{where}: {warning}" for warning in _missing_roots(config)]


def _check_split(name: str, corpus: CorpusConfig, manifest: Path) -> None:
    if (corpus.split or "column") != "column" or not manifest.exists():
        return  # a CSV in a store is read when its manifest is made
    with open(manifest, encoding="utf-8-sig", errors="replace", newline="") as file:
        header = [column.strip() for column in next(csv.reader(file), [])]
    if "split" not in header:
        raise InputError(
            f"corpora.{name}: {manifest} has no column split; write split: speaker beside its "
            "manifest (or paper, at random), or add the column"
        )


def _check_reader(name: str, corpus: CorpusConfig) -> None:
    known = [reader for reader in reader_names() if reader != "csv"]
    if corpus.standin is not None and name not in known:
        raise InputError(
            f"corpora.{name}: there is no generated corpus '{name}'; {nearest(name, known)}"
        )
    if corpus.reader and corpus.reader not in known:
        hint = nearest(corpus.reader, known)
        raise InputError(f"corpora.{name}.reader: no reader '{corpus.reader}'; {hint}")
    if not corpus.reader and name not in known:
        raise InputError(
            f"corpora.{name}: no reader '{name}'; a corpus under a name of its own needs "
            f"reader: {known[0]} or the like, and clips of your own manifest: FILE.csv; "
            f"{nearest(name, known)}"
        )


def _missing_roots(config: Config) -> Iterator[str]:
    for name, corpus in config.corpora.items():
        if corpus.root and not Path(corpus.root).exists():
            yield (
                f"corpora.{name}.root: there is no {corpus.root} on this machine; what is planned "
                "holds, but jobs that read it will fail here"
            )
