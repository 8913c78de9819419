"""Whether two feature files can be trained on together: same classes, same models, shared senses.

Equal widths do not make equal features: BERT and a German BERT are both 768 wide.
"""

from collections.abc import Sequence

from amanda.store.errors import InputError, nearest
from amanda.store.feature_reader import FeatureFile, ModalityData, modality_order
from amanda.store.wording import counted

SHARED = "shared"


def check_pair(
    source: FeatureFile,
    target: FeatureFile,
    modalities: str = SHARED,
    *,
    allow_mismatch: bool = False,
) -> tuple[str, ...]:
    """The modalities that the two files can be trained on together, in the usual order.

    Args:
        modalities: "shared", those with usable rows in both files; or a list, "acoustic,lexical".
        allow_mismatch: pair features of different models. Their shapes must agree all the same.

    Raises:
        InputError: no modality is shared, one of the list is not in both, the classes differ, or
            the features are of different models or shapes; the message says both values.
    """
    if source.label_names != target.label_names:
        raise InputError(
            f"{source.path} has the classes {', '.join(source.label_names)}, {target.path} "
            f"{', '.join(target.label_names)}; write both files with the same classes"
        )
    names = _listed(source, target, modalities)
    if not names:
        raise InputError(
            f"{source.path} has usable {_usable_list(source)}, {target.path} "
            f"{_usable_list(target)}: no modality is shared; extract one from both"
        )
    for name in names:
        _refuse_mismatch(source, target, name, allow_mismatch)
    return names


def _listed(source: FeatureFile, target: FeatureFile, modalities: str) -> tuple[str, ...]:
    if modalities.strip() == SHARED:
        shared = set(_usable(source)) & set(_usable(target))
        return tuple(sorted(shared, key=lambda n: (modality_order(n), n)))
    names = {name.strip() for name in modalities.split(",") if name.strip()}
    for name in sorted(names):
        for file in (source, target):
            if name not in file.modalities:
                known = [SHARED, *file.modalities]
                raise InputError(
                    f"{file.path}: no modality '{name}' as --modalities asks; "
                    f"{nearest(name, known)}"
                )
            if name not in _usable(file):
                raise InputError(
                    f"{file.path}: no row has usable {name}, which --modalities asks for; "
                    "leave it out"
                )
    return tuple(sorted(names, key=lambda n: (modality_order(n), n)))


def _usable(file: FeatureFile) -> tuple[str, ...]:
    return tuple(name for name in file.modalities if file.modality(name).usable.any())


def _usable_list(file: FeatureFile) -> str:
    return ", ".join(_usable(file)) or "nothing"


def _refuse_mismatch(
    source: FeatureFile, target: FeatureFile, name: str, allow_mismatch: bool
) -> None:
    here, there = source.modality(name), target.modality(name)
    if not allow_mismatch:
        # First, so that the message says "other model" where other widths follow from it.
        for key, mine, other in _differences(here, there):
            raise InputError(
                f"{name}: {key} is {mine!r} in {source.path}, {other!r} in {target.path}; extract "
                "both with one profile, or pair them all the same with --allow-mismatch"
            )
    shapes = (here.n_layers, here.width), (there.n_layers, there.width)
    if shapes[0] != shapes[1]:
        raise InputError(
            f"{name}: {counted(shapes[0][0], 'layer')} of width {shapes[0][1]} in {source.path}, "
            f"{shapes[1][0]} of {shapes[1][1]} in {target.path}; extract both with one profile "
            "(--allow-mismatch does not help here)"
        )


def _differences(here: ModalityData, there: ModalityData) -> Sequence[tuple[str, object, object]]:
    mine, other = here.identity(), there.identity()
    # A user's own file may not know the hash of its weights.
    if here.attrs.get("sha256") and there.attrs.get("sha256"):
        mine["sha256"], other["sha256"] = here.attrs["sha256"], there.attrs["sha256"]
    return [(key, mine[key], other[key]) for key in mine if mine[key] != other[key]]
