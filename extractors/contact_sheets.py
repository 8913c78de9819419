"""Contact sheets: the chosen face of every utterance as pictures, the doubtful ones first.

They are made from a finished feature file (boxes of the chosen person and of the runner-up) and the
recordings it was made from, which are decoded again; nothing is detected anew. Sheets stay where
they are written: they show people, and no report takes them in unless it is asked to.

    index.html     how to read the sheets and to correct a choice, and the sheets below one another
    sheet_001.png  `ROWS` utterances, the most doubtful first
    choices.csv    every utterance in that order: person chosen, scores, coverage, sheet, prediction

Doubtful: utterances without a face come first, then those with the smallest product of margin
(score of the chosen person less the runner-up's) and coverage (share of frames with the face).
Utterances without pictures come last: nothing on them can be corrected.
"""

import csv
import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from amanda.store.atomic import atomic_path, write_text
from amanda.store.errors import InputError
from amanda.store.feature_schema import read_text
from amanda.store.features import FeatureFile
from amanda.store.manifest import read_manifest
from amanda.store.progress import track
from extractors.base import VideoClip
from extractors.contact_sheets_draw import ROWS, Chosen, draw_sheet
from extractors.sources import Reader, group_sources

SCALARS = ("face_score", "face_runner_up", "n_tracks", "face_track", "runner_up_track")
NEEDED = ("boxes", "runner_up_boxes", "face_rule", *SCALARS)


def write_contact_sheets(
    features: Path, manifest: Path, folder: Path, predicted: Mapping[str, str] | None = None
) -> str:
    """Write the sheets of a feature file; returns where, and how many.

    Args:
        predicted: what a model says of an id, to be shown beside its faces, as "happy 0.83".

    Raises:
        InputError: a feature file without boxes of faces, another manifest than it was made from,
            or a folder that holds something else.
    """
    chosen, n_frames, corpus = read_choices(features)
    utterances = {u.id: u for u in read_manifest(Path(manifest), classes=None)}
    lost = [each.name for each in chosen if each.name not in utterances]
    if lost:
        raise InputError(f"{manifest}: has no id '{lost[0]}', which {features} holds; give its own")
    refuse_other_content(folder)
    chosen = [replace(each, predicted=(predicted or {}).get(each.name, "")) for each in chosen]
    chosen.sort(key=lambda each: (each.clarity, each.row))
    sheets = [chosen[i : i + ROWS] for i in range(0, len(chosen), ROWS)]
    reader = Reader(
        manifest=Path(manifest),
        utterances=[utterances[each.name] for each in chosen],
        n_frames=n_frames,
        downmix=False,
    )
    for number, rows in enumerate(track(sheets, total=len(sheets), what="contact sheets")):
        shown = _decode(rows, reader, number * ROWS)
        image = draw_sheet(shown, f"{corpus}: {number + 1} of {len(sheets)}", number * ROWS)
        with atomic_path(_sheet(folder, number)) as path:
            Image.fromarray(image).save(path, format="PNG")
    _write_csv(folder / "choices.csv", chosen)
    write_text(folder / "index.html", _page(corpus, chosen, len(sheets)))
    for path in folder.glob("sheet_*.png"):
        if path.name not in {_sheet(folder, i).name for i in range(len(sheets))}:
            path.unlink()
    return f"{folder / 'index.html'}, {len(chosen)} utterances on {len(sheets)} sheets"


def read_choices(features: Path) -> tuple[list[Chosen], int, str]:
    """Every utterance's choice, frames a clip, and the corpus.

    Raises:
        InputError: the file has no visual features, or they do not say which face was chosen.
    """
    with FeatureFile(features) as file:
        visual = file.modality("visual")
        group, n_frames = visual.group, int(visual.attrs.get("n_frames", 0))
        if missing := [name for name in NEEDED if name not in group]:
            raise InputError(
                f"{features}: /visual has no {missing[0]}, so its faces are not known; extract it "
                "with this version"
            )
        per_row = {
            name: group[name][:]
            for name in (
                "face_score",
                "face_runner_up",
                "n_tracks",
                "face_track",
                "runner_up_track",
            )
        }
        rules, boxes = read_text(group["face_rule"]), group["boxes"][:]
        others, valid = group["runner_up_boxes"][:], group["valid"][:].astype(bool)
        chosen = []
        for row, name in enumerate(file.ids):
            here = slice(visual.offsets[row], visual.offsets[row + 1])
            chosen.append(
                Chosen(
                    row=row,
                    name=name,
                    status=visual.status[row],
                    detail=visual.detail[row],
                    rule=rules[row],
                    n_persons=int(per_row["n_tracks"][row]),
                    person=int(per_row["face_track"][row]),
                    runner_up=int(per_row["runner_up_track"][row]),
                    score=float(per_row["face_score"][row]),
                    runner_up_score=float(per_row["face_runner_up"][row]),
                    coverage=float(valid[here].mean()) if here.stop > here.start else 0.0,
                    boxes=boxes[here],
                    runner_up_boxes=others[here],
                )
            )
        return chosen, n_frames, file.corpus


def _decode(rows: Sequence[Chosen], reader: Reader, first: int) -> list[Chosen]:
    """The same choices with their frames, where the recording still gives them."""
    mine = [reader.utterances[first + i] for i in range(len(rows))]
    clips: dict[int, VideoClip] = {}
    here = replace(reader, utterances=mine)
    for source in group_sources(mine):
        for _, decoded in here.read(source, ["visual"]):
            if isinstance(decoded.clip, VideoClip):
                clips[decoded.row] = decoded.clip
    return [
        replace(each, clip=clips[i]) if i in clips and _fits(each, clips[i]) else each
        for i, each in enumerate(rows)
    ]


def _fits(chosen: Chosen, clip: VideoClip) -> bool:
    return len(clip.frames) == len(chosen.boxes)


def _sheet(folder: Path, number: int) -> Path:
    return folder / f"sheet_{number + 1:03d}.png"


def refuse_other_content(folder: Path) -> None:
    """Raise `InputError` unless the folder is new, empty, or holds contact sheets."""
    if folder.is_file():
        raise InputError(f"{folder}: a file is in the way; choose another folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "choices.csv").is_file():
        raise InputError(f"{folder}: holds files that are no contact sheets; choose another folder")


def _write_csv(path: Path, chosen: Sequence[Chosen]) -> None:
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        head = "id,status,chosen_by,person,persons,score,runner_up,margin,coverage,sheet,predicted"
        writer.writerow(head.split(","))
        for i, each in enumerate(chosen):
            figures = (each.score, each.runner_up_score, each.margin, each.coverage)
            person = "" if each.person < 0 else each.person
            writer.writerow(
                [each.name, each.status, each.rule, person, each.n_persons]
                + [f"{value:.3f}" for value in figures]
                + [i // ROWS + 1, each.predicted]
            )


def _page(corpus: str, chosen: Sequence[Chosen], n_sheets: int) -> str:
    several = sum(each.n_persons > 1 for each in chosen)
    without = sum(each.person < 0 for each in chosen)
    said = (
        " Below a name stands the class that the model predicts, from all that the clip has, and "
        "its probability."
        if any(each.predicted for each in chosen)
        else ""
    )
    return "".join(_page_parts(html.escape(corpus), len(chosen), several, without, n_sheets, said))


def _page_parts(
    corpus: str, n: int, several: int, without: int, n_sheets: int, said: str
) -> Iterator[str]:
    yield (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{corpus}: chosen faces</title><style>{_STYLE}</style></head><body>"
        f"<h1>{corpus}: chosen faces</h1>"
        f"<p>{n:,} utterances, the most doubtful first: {without:,} without a face, {several:,} "
        "with several persons. Each row shows a whole frame, six faces of the person who was "
        f"chosen (hatched where the frame does not show it), and two of the runner-up.{said} These "
        "are pictures of people: keep the folder where the corpus may be.</p>"
        "<p>To correct a choice, list it in a CSV and extract again with <code>--faces "
        "faces.csv</code>; persons are numbered as on the sheets:</p>"
        "<pre>id,face\nutterance_a,1\nutterance_b,none\n"
        "utterance_c,&quot;0.1,0.2,0.4,0.8&quot;\nutterance_d,person.jpg</pre>"
        '<p>All of it as a table: <a href="choices.csv">choices.csv</a>.</p>'
    )
    for number in range(n_sheets):
        name = _sheet(Path(), number).name
        image = f'<img src="{name}" alt="Sheet {number + 1}" loading="lazy">'
        yield f'<figure><a href="{name}">{image}</a></figure>'
    yield "</body></html>\n"


_STYLE = """
:root { color-scheme: light dark; --paper: #fdfdfb; --ink: #1c1e21; --rule: #dcddd8; }
@media (prefers-color-scheme: dark) { :root { --paper: #15171a; --ink: #e5e6e4; --rule: #353a40; } }
body { margin: 2rem auto; max-width: 78rem; padding: 0 1.5rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.6 system-ui, sans-serif; }
h1 { font: 600 2rem/1.2 Charter, Georgia, serif; } p { max-width: 68ch; }
pre { padding: .8rem 1rem; border: 1px solid var(--rule); border-radius: .3rem; max-width: 40ch;
  overflow-x: auto; }
figure { margin: 1.5rem 0; } img { width: 100%; border: 1px solid var(--rule); }
"""
