"""`amanda check FOLDER`: a corpus as its owners distribute it, read whole and its media opened."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from amanda.store.errors import InputError
from amanda.store.names import CLASSES, RECORDED, STANDIN
from corpora.account import Account, folder_of, is_standin, read_corpus
from corpora.check_media import MediaCheck, check_media
from corpora.labels import rule_of
from corpora.published import native_counts
from corpora.readers import fitting_readers, known_defects, nearest_fit, reader_names
from corpora.root_report import Group, RootReport
from corpora.rows import Dropped, Note, is_no_class

_EXAMPLES = 3
_FETCH = "fetch what is missing, or go on: what is left out is not used"
_ADVICE = {
    "no clip": _FETCH,
    "neither video nor audio file": _FETCH,
    "media file missing": _FETCH,
    "label line does not parse": "look at these lines; they may be of a damaged download",
    "CSV line does not parse": "look at these lines, at their quotes first",
}


def check_root(root: Path, reader: str = "", *, media: bool = True) -> RootReport:
    """Read a corpus's folder, open its media files, and say what is there and what is not.

    Args:
        root: as for `amanda manifest --root`.
        reader: its layout; "" finds it.
        media: open every media file that an utterance names.

    Raises:
        InputError: no layout that we know, or a file of the corpus cannot be read.
    """
    root = Path(root)
    reader = reader or _find_reader(root)
    account = read_corpus(reader, root, rule_of(reader, None))
    media_found = MediaCheck()
    if media:
        folder, rows = folder_of(root), [*account.kept, *account.other_label]
        media_found = check_media(rows, lambda p: folder / p, what=f"{root.name}: media")
    left_out = [d for d in account.dropped if not is_no_class(d.reason)]
    known, known_files = _known(reader, folder_of(root), account, media_found)
    classes = Counter(row.label for row in account.kept)
    generated = is_standin(root)
    return RootReport(
        root=str(root),
        reader=reader,
        origin=STANDIN if generated else RECORDED,
        labels_read=dict(account.labels_read.most_common()),
        classes={name: classes[name] for name in (*CLASSES, "") if classes[name]},
        totals="" if generated else _compare(classes, native_counts(reader)),
        n_speakers=len({row.speaker for row in account.kept if row.speaker}),
        n_groups=len({row.group for row in account.kept if row.group}),
        other_label=len(account.other_label),
        left_out=_groups((d.reason, d) for d in left_out),
        seen=_groups((n.what, n) for n in account.notes),
        known=[f"{who}: {what}" for who, what in known.items()],
        n_files=media_found.n_files,
        length_s=media_found.length_s,
        failed=[f"{each.path} ({each.problem})" for each in media_found.failed],
        problems=[
            *_rows_left_out(root, (d for d in left_out if d.id not in known)),
            *_media_problems(root, media_found, known_files),
        ],
    )


def _find_reader(root: Path) -> str:
    fitting = fitting_readers(root)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise InputError(f"{root}: fits {' and '.join(fitting)}; say which with --corpus")
    near = nearest_fit(root)
    known = ", ".join(name for name in reader_names() if name != "csv")
    hint = (
        f"did you mean {near[1]} ({near[0]})?"
        if near
        else "name one with --corpus to see what it looks for; a corpus of your own is a CSV"
    )
    raise InputError(f"{root}: not the layout of a corpus that we know ({known}); {hint}")


def _known(
    reader: str, folder: Path, account: Account, found: MediaCheck
) -> tuple[dict[str, str], set[Path]]:
    """What is wrong here as it is in the corpus as distributed: by id, and the files of it."""
    defects = known_defects(reader)
    failed = {each.path for each in found.failed}
    users: dict[Path, list[str]] = {}
    for row in (*account.kept, *account.other_label) if failed else ():
        for place in filter(None, (row.path, row.audio_path)):
            if folder / place in failed:
                users.setdefault(folder / place, []).append(row.id)
    files = {file for file, ids in users.items() if all(who in defects for who in ids)}
    here = {d.id for d in account.dropped} | {who for file in files for who in users[file]}
    return {who: what for who, what in defects.items() if who in here}, files


def _compare(classes: Mapping[str, int], published: Mapping[str, int]) -> str:
    """One's own counts beside the published ones."""
    if not published:
        return ""
    total = sum(published.values())
    parts = " + ".join(f"{n} {name}" for name, n in published.items())
    off = {name: classes[name] - n for name, n in published.items() if classes[name] != n}
    if not off:
        return f"as published: {total} = {parts}"
    told = ", ".join(f"{abs(n)} {name} {'more' if n > 0 else 'fewer'}" for name, n in off.items())
    return f"{told} than published: {total} = {parts}"


def _groups(items: Iterable[tuple[str, Dropped | Note]]) -> list[Group]:
    """By what they are, the most frequent first, with the places of the first few."""
    found: dict[str, list[Dropped | Note]] = {}
    for what, item in items:
        found.setdefault(what, []).append(item)
    return [
        Group(what, len(its), [place for i in its[:_EXAMPLES] if (place := _place(i))])
        for what, its in sorted(found.items(), key=lambda pair: -len(pair[1]))
    ]


def _place(item: Dropped | Note) -> str:
    where = item.file if item.line is None else f"{item.file}:{item.line}"
    who = item.id if isinstance(item, Dropped) else ""
    return " ".join(filter(None, (where, who)))


def _rows_left_out(root: Path, left_out: Iterable[Dropped]) -> Iterator[str]:
    for group in _groups((d.reason, d) for d in left_out):
        first = f", the first at {group.first[0]}" if group.first else ""
        advice = _ADVICE.get(group.what, "look at them, or go on without them")
        yield f"{root}: {group.n} left out: {group.what}{first}; {advice}"


def _media_problems(root: Path, found: MediaCheck, known: set[Path]) -> Iterator[str]:
    failed = [each for each in found.failed if each.path not in known]
    if failed:
        yield (
            f"{root}: {len(failed)} of {found.n_files} media files do not open, the first is "
            f"{failed[0].path} ({failed[0].problem}); fetch them again, or go on: extraction "
            "marks their utterances unreadable"
        )
    if found.late:
        yield (
            f"{root}: {len(found.late)} utterances end after their file does ({found.late[0]}); "
            "fetch the file again, or go on with what is there of them"
        )
