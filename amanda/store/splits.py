"""Which utterances are for training, validation and test, and which a cap leaves out.

Every choice is random but depends only on the seed and on the names of what is chosen from:
neither the order of the rows nor the version of a library changes it. Names are ordered by a
hash of purpose, seed and name, which is a random permutation for each seed.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from amanda.store.errors import InputError, nearest
from amanda.store.names import CLASSES, SPLITS

SPLIT_RULES = ("paper", "speaker", "official", "column")
"""Rules that make the manifest's split."""
RESPLIT_RULES = ("file", "paper", "speaker", "kfold")
"""Rules that training can apply to feature files anew; "file" keeps the manifest's."""
SHARES = {"train": 17 / 24, "val": 2 / 24, "test": 5 / 24}
"""Shares of the paper's split (docs/paper.md); `speaker` comes as near to them as groups allow."""

_DRAWS = 50
_NEAR_ENOUGH = 0.01
_SLACK = 0.05
_GROUPS_NAMED = 5


def shuffled(names: Collection[str], seed: int, purpose: str) -> list[str]:
    """`names` in an order that is random by seed and the same for any order they come in."""

    def rank(name: str) -> tuple[bytes, str]:
        return hashlib.sha256(f"{purpose}\n{seed}\n{name}".encode()).digest(), name

    return sorted(names, key=rank)


def paper_split(ids: Collection[str], seed: int) -> dict[str, str]:
    """The split of each id: train floor(17 N / 24), val floor(N / 12), test the rest.

    The paper's rule, inferred from its Table 7 (docs/paper.md): by utterance, so speakers are in
    all three parts; not stratified.
    """
    n = len(ids)
    n_train, n_val = 17 * n // 24, n // 12
    splits = ["train"] * n_train + ["val"] * n_val + ["test"] * (n - n_train - n_val)
    return dict(zip(shuffled(ids, seed, "split"), splits, strict=True))


def speaker_split(group_of: Mapping[str, str], seed: int) -> dict[str, str]:
    """The split of each id, with no group in two splits and none of the splits empty.

    The groups are put in a random order and cut in three where the shares come nearest to the
    paper's. Where few or uneven groups allow no good cut of this order, other orders are drawn;
    the first is taken whose worst share is within 5 points of the best found, so that seeds give
    different splits and none gives a needlessly lopsided one.

    Args:
        group_of: the group of each id.

    Raises:
        InputError: an id without a group, or fewer than three groups.
    """
    sizes = _group_sizes(group_of)
    if len(sizes) < len(SPLITS):
        raise InputError(
            f"--split speaker needs at least 3 groups, one a split; there are {len(sizes)} "
            f"({', '.join(sorted(sizes)) or 'no rows'}); use --split paper, or say the split of "
            "each row in a CSV and use --split column"
        )
    drawn: list[tuple[float, dict[str, str]]] = []
    for draw in range(_DRAWS):
        order = shuffled(sizes, seed, f"groups {draw}")
        split_of = _cut(order, sizes)
        drawn.append((_worst_share(split_of, sizes), split_of))
        if drawn[-1][0] <= _NEAR_ENOUGH:
            break
    bound = min(worst for worst, _ in drawn) + _SLACK
    chosen = next(split_of for worst, split_of in drawn if worst <= bound)
    return {utterance_id: chosen[group] for utterance_id, group in group_of.items()}


def kfold_split(group_of: Mapping[str, str], k: int, fold: int, seed: int) -> dict[str, str]:
    """The split of each id when one of `k` folds is tested, with no group in two splits.

    Each group is in one fold, and folds are of about equal size: the largest groups are dealt out
    first, each to the fold that is smallest so far. Fold `fold` is test, the next one val, the
    others train; so each id is in test for one `fold` of range(k), and in val for one.

    Args:
        group_of: the group of each id.
        k: at least 3.
        seed: of which groups share a fold, and of the order of the folds.

    Raises:
        InputError: an id without a group, or fewer groups than folds.
    """
    if k < len(SPLITS) or not 0 <= fold < k:
        raise InputError(f"fold {fold} of {k}: give at least 3 folds, and one from 0 to k - 1")
    sizes = _group_sizes(group_of)
    if len(sizes) < k:
        raise InputError(
            f"{k} folds need at least {k} groups; there are {len(sizes)} "
            f"({', '.join(sorted(sizes)[:_GROUPS_NAMED]) or 'no rows'}); use fewer folds"
        )
    order = shuffled(sizes, seed, f"folds {k}")
    fold_of: dict[str, int] = {}
    filled = [0] * k
    for group in sorted(order, key=lambda group: -sizes[group]):
        fold_of[group] = min(range(k), key=lambda i: filled[i])
        filled[fold_of[group]] += sizes[group]
    part = {fold: "test", (fold + 1) % k: "val"}
    return {name: part.get(fold_of[group], "train") for name, group in group_of.items()}


def over_cap(
    label_of: Mapping[str, str],
    cap: Mapping[str, int],
    seed: int,
    classes: Sequence[str] = CLASSES,
) -> set[str]:
    """The ids to leave out so that no class has more than its cap; which ones is random.

    Raises:
        InputError: `cap` names no class, or a number below 0.
    """
    left_out: set[str] = set()
    for label, most in cap.items():
        if label not in classes:
            raise InputError(f"--cap {label}={most}: no such class; {nearest(label, [*classes])}")
        if most < 0:
            raise InputError(f"--cap {label}={most}: give a number from 0 up")
        of_class = [utterance_id for utterance_id, its in label_of.items() if its == label]
        left_out.update(shuffled(of_class, seed, "cap")[most:])
    return left_out


def _group_sizes(group_of: Mapping[str, str]) -> Counter[str]:
    without = [utterance_id for utterance_id, group in group_of.items() if not group]
    if without:
        raise InputError(
            f"{len(without)} rows have neither group nor speaker, the first is '{without[0]}'; "
            "fill one of these columns, or use --split paper"
        )
    return Counter(group_of.values())


def _cut(order: Sequence[str], sizes: Mapping[str, int]) -> dict[str, str]:
    """Train up to the cut nearest to its share, then val likewise, then test; each gets one."""
    total = sum(sizes.values())
    ends: list[float] = []
    running = 0
    for group in order:
        running += sizes[group]
        ends.append(running / total)
    n = len(order)
    train_end = min(range(n - 2), key=lambda i: abs(ends[i] - SHARES["train"]))
    val_share = ends[train_end] + SHARES["val"]
    val_end = min(range(train_end + 1, n - 1), key=lambda i: abs(ends[i] - val_share))
    return {
        group: "train" if i <= train_end else "val" if i <= val_end else "test"
        for i, group in enumerate(order)
    }


def _worst_share(split_of: Mapping[str, str], sizes: Mapping[str, int]) -> float:
    total = sum(sizes.values())
    share = dict.fromkeys(SPLITS, 0.0)
    for group, split in split_of.items():
        share[split] += sizes[group] / total
    return max(abs(share[split] - SHARES[split]) for split in SPLITS)
