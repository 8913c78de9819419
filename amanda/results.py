"""The result file: what training writes, and what pages, tables and comparisons read.

`docs/results-format.md` describes it for readers, `amanda.result_schema` types it. A method's file
holds one method on one pair; `merge_results` joins the methods of a pair. Everything that differs
between two runs of one command (dates, machine, wall times) is in `provenance` and `wall_s`.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from amanda.metrics import SCORES
from amanda.predictions import (
    file_sha256,
    merge_predictions,
    predictions_path,
    read_predictions,
    write_predictions,
)
from amanda.provenance import describe_features, describe_program
from amanda.records import RunRecord
from amanda.result_schema import FORMAT, VERSION, CorpusInfo, MethodResult, ResultFile
from amanda.result_text import as_text
from amanda.scoring import aggregate, prediction_blocks, score_branch, score_run
from amanda.settings import METHOD_LABELS, RunSettings, shared_changes
from amanda.store.atomic import write_text
from amanda.store.errors import InputError
from amanda.store.names import STANDIN

__all__ = [
    "Result",
    "check_result",
    "describe_features",
    "merge_results",
    "method_order",
    "read_result",
    "refuse_other_pair",
    "write_method_result",
]


@dataclass(frozen=True, kw_only=True)
class Result:
    """A result file in memory, and where it lies."""

    path: Path
    file: ResultFile

    @property
    def predictions_path(self) -> Path:
        return predictions_path(self.path)

    def to_text(self) -> str:
        """The scores of the last epoch as a table for a terminal."""
        return as_text(self.file)


def write_method_result(
    path: Path,
    settings: RunSettings,
    runs: Sequence[RunRecord],
    *,
    source: CorpusInfo,
    target: CorpusInfo,
    label_names: Sequence[str],
    modalities: Sequence[str],
    device: str,
    target_labels_used: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> Result:
    """Write one method's result file and, before it, the predictions file beside it.

    Args:
        source, target: of `describe_features`, taken when the files were read.
        modalities: what the branches of this training were.
        device: where it ran, for the reader.
        target_labels_used: what touched target labels before testing, as "cap:train" or, for a
            supervised run, "supervised:train".
        warnings: sentences that a reader of the figures should see.

    Raises:
        ValueError: no run, or two of one seed and fold.
    """
    ordered = sorted(runs, key=lambda run: (run.fold, run.seed))
    if not ordered or len({(run.fold, run.seed) for run in ordered}) < len(ordered):
        raise ValueError(f"{settings.run_id}: needs runs, and one a seed and fold")
    scored = [score_run(run, label_names) for run in ordered]
    method = {
        "run_id": settings.run_id,
        "label": settings.label,
        "method": settings.method,
        "surrogate": settings.surrogate if settings.method == "amanda" else None,
        "variant": settings.variant,
        "standardise": settings.standardise,
        "modalities": list(modalities),
        "target_labels_used": list(target_labels_used),
        "warnings": list(warnings),
        "config": settings.model_dump(mode="json"),
        "config_sha256": settings.sha256,
        "aggregate": aggregate([run["selections"] for run in scored]),
        "runs": scored,
        "provenance": {"device": device, **describe_program()},
    }
    blocks = prediction_blocks(settings.run_id, ordered)
    predictions = write_predictions(predictions_path(path), blocks, label_names)
    file = ResultFile.model_validate(
        {
            "format": FORMAT,
            "version": VERSION,
            "source": source.corpus,
            "target": target.corpus,
            "corpora": "stand-in" if STANDIN in (source.origin, target.origin) else "real",
            "label_names": list(label_names),
            "target_labels_used": sorted(target_labels_used),
            "features": {"source": source.model_dump(), "target": target.model_dump()},
            "predictions": predictions.model_dump(),
            "provenance": describe_program(),
            "methods": [_finite(method)],
        }
    )
    return _write(path, file)


def merge_results(files: Sequence[Path], out: Path) -> Result:
    """Join result files of one pair, made from the same feature files, into one.

    Methods come in the order of the paper's tables, whatever the order of `files`.

    Raises:
        InputError: no file, another pair, other feature files or splits, a method twice, or no
            predictions.
    """
    if not files:
        raise InputError(f"{out}: no result file to merge; train a method first")
    parts = sorted(
        (read_result(path) for path in files), key=lambda p: method_order(p.file.methods[0])
    )
    first = parts[0]
    seen: dict[str, Path] = {}
    for part in parts:
        refuse_other_pair(first, part)
        for method in part.file.methods:
            if method.run_id in seen:
                raise InputError(
                    f"{part.path}: run {method.run_id} is in {seen[method.run_id]} too; "
                    "merge each run once"
                )
            seen[method.run_id] = part.path
    predictions = merge_predictions(
        [part.predictions_path for part in parts], predictions_path(out), first.file.label_names
    )
    methods = _relabelled(
        sorted((m for part in parts for m in part.file.methods), key=method_order)
    )
    merged = first.file.model_copy(
        update={
            "target_labels_used": sorted({u for p in parts for u in p.file.target_labels_used}),
            "predictions": predictions,
            "provenance": describe_program(),
            "methods": methods,
        }
    )
    return _write(out, merged)


def read_result(path: Path) -> Result:
    """Read a result file; its predictions are not opened.

    Raises:
        InputError: the file cannot be read, is no result file, or breaks the format.
    """
    path = Path(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not JSON, or cut short ({error}); train again") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InputError(f"{path}: not a result file (it has no format: {FORMAT})")
    if data.get("version") != VERSION:
        raise InputError(
            f"{path}: result file version {data.get('version')!r}; this program reads {VERSION}"
        )
    try:
        return Result(path=path, file=ResultFile.model_validate(data))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        shown = repr(first["input"])[:80]
        raise InputError(
            f"{path}: {where} = {shown}: {first['msg']}; see docs/results-format.md"
        ) from error


def check_result(path: Path) -> list[str]:
    """Everything that is wrong with a result file and the predictions beside it.

    The scores are computed again from the predictions.
    """
    try:
        result = read_result(path)
        blocks = read_predictions(result.predictions_path, result.file.label_names)
    except InputError as error:
        return [str(error)]
    problems = []
    file, beside = result.file, result.predictions_path
    if file_sha256(beside) != file.predictions.sha256:
        problems.append(f"{beside}: its hash is not the one in {path}; they are of two trainings")
    found = {(b.run_id, b.seed, b.fold, b.selection): b for b in blocks}
    for method in file.methods:
        for run in method.runs:
            for name, selection in run.selections.items():
                where = f"{method.run_id}, seed {run.seed}, {name}"
                block = found.pop((method.run_id, run.seed, run.fold, name), None)
                if block is None:
                    problems.append(f"{beside}: no rows of {where}")
                    continue
                scores = score_branch(block.label, block.probabilities, file.label_names)
                for score in SCORES:
                    here, there = getattr(selection, score), scores[score]
                    if (here is None) != (there is None) or abs((here or 0) - (there or 0)) > 1e-6:
                        problems.append(
                            f"{path}: {where}: {score} is {here}, the predictions give {there}"
                        )
    problems += [f"{beside}: rows of {key}, which {path} does not name" for key in found]
    return problems


def method_order(method: MethodResult) -> tuple[int, bool, float, str, str]:
    """Place among the paper's rows: by method, then norms by p, then log-exp by t."""
    names = list(METHOD_LABELS)
    place = names.index(method.method) if method.method in names else len(names)
    kind, _, parameter = (method.surrogate or "").partition(":")
    try:
        number = float(parameter)
    except ValueError:
        number = 0.0
    return place, kind != "norm", number, method.label, method.run_id


def _relabelled(methods: list[MethodResult]) -> list[MethodResult]:
    """Labels that say what tells the methods apart, and not the settings they all share."""
    try:
        runs = [RunSettings(**method.config) for method in methods]
    except (InputError, ValidationError):  # a method or setting that this version does not know
        return methods
    shared = shared_changes(runs)
    labels = [run.label_beside(shared) for run in runs]
    pairs = zip(methods, labels, strict=True)
    return [method.model_copy(update={"label": label}) for method, label in pairs]


def refuse_other_pair(first: Result, part: Result) -> None:
    """Raise `InputError` unless both are of one pair, made from the same files and splits."""
    a, b = first.file, part.file
    if a.pair != b.pair:
        raise InputError(
            f"{part.path}: of the pair {b.pair}, but {first.path} is of {a.pair}; merge a pair"
        )
    for side in ("source", "target"):
        here, there = getattr(a.features, side), getattr(b.features, side)
        if here.file_sha256 != there.file_sha256:
            raise InputError(
                f"{part.path}: made from another {side} feature file (sha256 "
                f"{there.file_sha256[:12]}) than {first.path} ({here.file_sha256[:12]}); "
                "train it again"
            )
        for split, info in here.splits.items():
            if info.ids_sha256 != there.splits[split].ids_sha256:
                raise InputError(
                    f"{part.path}: its {side} {split} split ({there.split_rule or 'of the file'}) "
                    f"is another than that of {first.path} ({here.split_rule or 'of the file'}); "
                    "methods are compared on one split"
                )


def _finite(value: Any) -> Any:
    """The same with None for numbers that are not finite."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value


def _write(path: Path, file: ResultFile) -> Result:
    write_text(Path(path), _lay_out(file.model_dump(mode="json")) + "\n")
    return Result(path=Path(path), file=file)


def _lay_out(value: Any, indent: str = "") -> str:
    """JSON with each innermost object or list on a line of its own, for people to read."""
    children = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list) or not any(isinstance(c, dict | list) for c in children):
        return json.dumps(value, allow_nan=False, ensure_ascii=False)
    inner = indent + " "
    if isinstance(value, dict):
        items = [f"{inner}{json.dumps(k)}: {_lay_out(v, inner)}" for k, v in value.items()]
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + _lay_out(v, inner) for v in value) + f"\n{indent}]"
