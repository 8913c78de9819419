"""Everything that `amanda check` says: of files, and of corpora as their owners distribute them."""

import importlib.util
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from amanda.config import Config, parse_config
from amanda.config_roots import config_values
from amanda.settings import RunSettings
from amanda.store.check import check_files
from amanda.store.compare import compare_text
from amanda.store.errors import InputError
from amanda.store.names import may_be_manifest, unfit_name
from corpora.labels import MIDDLE_VALENCE, read_label_map
from corpora.root_report import RootReport

_YAML = (".yaml", ".yml")


@dataclass(frozen=True)
class CheckReport:
    """What was found.

    Attributes:
        roots: a report of each corpus's folder that could be read.
        notes: what was not checked, and why.
    """

    paths: Sequence[Path]
    problems: Sequence[str]
    roots: Sequence[RootReport]
    notes: Sequence[str]

    def to_json(self) -> str:
        """One JSON object."""
        roots = [root.to_dict() for root in self.roots]
        content = {"problems": self.problems, "roots": roots, "notes": self.notes}
        return json.dumps(content, ensure_ascii=False)

    def to_text(self) -> str:
        """Reports of folders, then problems, one a line, or that there is none."""
        lines = [root.to_text() for root in self.roots]
        lines += [*self.notes, *self.problems]
        return "\n".join(lines if self.problems else [*lines, f"{_names(self.paths)}: sound"])


def check_paths(paths: Sequence[Path], *, reader: str = "", media: bool = True) -> CheckReport:
    """Check manifests, feature files, results, predictions, YAML files and folders of corpora.

    Args:
        reader: the layout of the folders; "" finds it.
        media: open the media files that folders and sound rows of manifests name.
    """
    paths = [Path(path) for path in paths]
    notes: list[str] = []
    if media and importlib.util.find_spec("av") is None:
        media = False
        notes.append("media files are not opened: PyAV is not installed (the extra `extract`)")
    files = [path for path in paths if not path.is_dir()]
    settings = [path for path in files if path.suffix.lower() in _YAML and path.is_file()]
    problems = check_files([path for path in files if path not in settings])
    problems += [problem for path in settings if (problem := _check_yaml(path, reader))]
    notes += [note for path in files if (note := unfit_name(path))]
    features = [path for path in files if path.suffix.lower() in (".h5", ".hdf5")]
    for other in features[1:]:
        with suppress(InputError):  # a file that cannot be read is among the problems
            notes.append(compare_text(features[0], other))
    for path in files if media else ():
        if may_be_manifest(path) and path.is_file():
            from corpora.check_media import check_manifest_media

            problems += check_manifest_media(path)
    roots: list[RootReport] = []
    for path in paths:
        if path.is_dir():
            from corpora.check_root import check_root

            try:
                roots.append(check_root(path, reader, media=media))
            except InputError as error:
                problems.append(str(error))
    problems += [problem for root in roots for problem in root.problems]
    return CheckReport(paths, problems, roots, notes)


def _check_yaml(path: Path, reader: str) -> str:
    """The first thing wrong with a config of the workflow, or a map of labels; "" for none.

    A map for no named layout may leave out the middle of the valence, which layouts know.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = config_values(text, str(path))
        if "corpora" in values:
            parse_config(values, str(path))
        elif values.keys() & (Config.model_fields.keys() | RunSettings.model_fields.keys()):
            return f"{path}: neither a config, which has corpora, nor a map of labels"
        else:
            read_label_map(path, reader or next(iter(MIDDLE_VALENCE)))
    except (OSError, UnicodeDecodeError) as error:
        return f"{path}: cannot be read ({error})"
    except InputError as error:
        return str(error)
    return ""


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))
