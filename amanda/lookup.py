"""Finding a method of a result file: by a name that a person types, or as a baseline."""

from collections.abc import Callable, Sequence

from amanda.result_schema import MethodResult, ResultFile
from amanda.store.errors import InputError, nearest


def find_method(file: ResultFile, name: str) -> MethodResult:
    """The method called `name`: its run_id or the beginning of it, its label, or its settings' name
    as configs write them ("dann", "amanda:norm:2").

    Raises:
        InputError: there is none (the nearest is named) or more than one.
    """
    for matches in (
        lambda m: m.run_id == name,
        lambda m: m.label == name,
        lambda m: name in _short_names(m),
        lambda m: m.run_id.startswith(name),
    ):
        found = [method for method in file.methods if matches(method)]
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(f"{m.run_id} ({m.label})" for m in found)
            raise InputError(
                f"run '{name}' is {len(found)} runs of {file.pair}: {listed}; name one"
            )
    known = [n for m in file.methods for n in (m.label, m.run_id, *_short_names(m))]
    raise InputError(f"run '{name}': not in the results of {file.pair}; {nearest(name, known)}")


def _short_names(method: MethodResult) -> tuple[str, ...]:
    if method.surrogate is None:
        return (method.method,)
    return (f"{method.method}:{method.surrogate}", method.surrogate)


def is_direct_transfer(method: MethodResult) -> bool:
    """Whether a method is the baseline that adaptation is measured from."""
    return method.method == "direct_transfer"


def is_plain_sum(method: MethodResult) -> bool:
    """Whether a method adds up the alignment losses with equal weights: A-N (p=1)."""
    return method.surrogate == "norm:1"


def is_upper_bound(method: MethodResult) -> bool:
    """Whether a method was trained with target labels, so that it bounds and does not compete."""
    return any(use.startswith(f"{method.method}:") for use in method.target_labels_used)


def find_baseline(
    methods: Sequence[MethodResult],
    method: MethodResult,
    is_baseline: Callable[[MethodResult], bool],
) -> MethodResult | None:
    """The baseline that `method` is measured from: with the same inputs, and of several the one
    with most settings in common. None for a baseline itself, or where there is none."""

    def in_common(other: MethodResult) -> tuple[int, int]:
        equal = sum(method.config.get(key) == value for key, value in other.config.items())
        return equal, -len(other.label)

    same_inputs = [
        other
        for other in methods
        if is_baseline(other)
        and (other.standardise, other.modalities) == (method.standardise, method.modalities)
        and other.variant == method.variant
    ]
    if is_baseline(method) or not same_inputs:
        return None
    return max(same_inputs, key=in_common)
