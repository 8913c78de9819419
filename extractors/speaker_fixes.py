"""What a user says of the speaker's face, in place of the rule: a CSV of one line an utterance.

    id,face                                 or  speaker,face
    dia0_utt3,1                                 Ross,people/ross.jpg
    dia0_utt4,none
    dia2_utt0,"0.1,0.2,0.4,0.8"

`face` is the number of a person, as the contact sheets print it; `none`, where the speaker is not
in the picture; a box around where the person is (fractions of the frame from the top left; the
person whose face is in it most is taken); or a picture of the person, relative to the CSV's folder.
A line with a `speaker` instead of an `id` holds for all utterances of that speaker that have no
line of their own.

A picture is compared by the colours of hair and face (`extractors.tracks_look`), which is not face
recognition: it tells people apart who look different in the light of the corpus.
"""

import csv
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from amanda.store.errors import AmandaError, InputError, nearest
from amanda.store.manifest import Utterance
from extractors.base import FaceFix
from extractors.speaker import Choice, choose_as_told
from extractors.tracks import Track
from extractors.tracks_look import Look, likeness

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
COMPARED = ("hair", "eyes", "mouth")
"""Of a picture: the clothes may be others."""
LEAST_LIKENESS = 0.2


class FixError(AmandaError):
    """What a user says of a clip's face does not fit the clip."""


@dataclass(frozen=True, kw_only=True)
class FaceFixes:
    """Everything that a user says of faces.

    Attributes:
        by_id: utterance → what is said; lines for a speaker are spread over their utterances.
        sha256: of the lines and the pictures; "" where nothing is said.
    """

    by_id: Mapping[str, FaceFix] = field(default_factory=dict)
    sha256: str = ""


def read_fixes(path: Path, utterances: Sequence[Utterance]) -> FaceFixes:
    """The lines of a CSV for the utterances of a manifest.

    Raises:
        InputError: a file that cannot be read, a column or a value that is not known, an id or a
            speaker that the manifest does not have or that stands twice, or no such picture.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    lines = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    columns = lines.fieldnames or []
    if "face" not in columns or not {"id", "speaker"} & set(columns):
        raise InputError(f"{path}: its first line is {','.join(columns)!r}; write id,face")
    if strange := sorted(set(columns) - {"id", "speaker", "face"}):
        raise InputError(f"{path}: unknown column '{strange[0]}'; use id or speaker, and face")
    by_key: dict[str, dict[str, FaceFix]] = {"id": {}, "speaker": {}}
    hashes = [hashlib.sha256(text.encode()).hexdigest()]
    names = {"id": [u.id for u in utterances], "speaker": [u.speaker for u in utterances]}
    known = {key: set(each) for key, each in names.items()}
    for line in lines:
        where = f"{path}, line {lines.line_num}"
        cells = {key: (value or "").strip() for key, value in line.items() if key is not None}
        if None in line:
            raise InputError(f"{where}: too many cells; a box stands in quotes")
        kind = "id" if cells.get("id") else "speaker"
        name = cells.get(kind, "")
        if not name or name not in known[kind]:
            hint = nearest(name, sorted(known[kind]))
            raise InputError(f"{where}: the manifest has no {kind} '{name}'; {hint}")
        if name in by_key[kind]:
            raise InputError(f"{where}: {kind} '{name}' stands here a second time; keep one line")
        fix = _parse(cells["face"], Path(path).parent, where)
        if fix.image is not None:
            hashes.append(hashlib.sha256(fix.image.read_bytes()).hexdigest())
        by_key[kind][name] = fix
    by_id = {
        u.id: by_key["speaker"][u.speaker] for u in utterances if u.speaker in by_key["speaker"]
    }
    sha256 = hashlib.sha256("\n".join(hashes).encode()).hexdigest()
    return FaceFixes(by_id={**by_id, **by_key["id"]}, sha256=sha256)


def _parse(value: str, folder: Path, where: str) -> FaceFix:
    if value.lower() == "none":
        return FaceFix(nobody=True)
    if value.isdigit():
        return FaceFix(track=int(value))
    if value.lower().endswith(PICTURES):
        image = folder / value
        if not image.is_file():
            raise InputError(f"{where}: no such picture: {image}")
        read_picture(image)
        return FaceFix(image=image.resolve())
    try:
        box = tuple(float(part) for part in value.split(","))
    except ValueError:
        box = ()
    if len(box) == 4 and 0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1:
        return FaceFix(box=box)
    raise InputError(
        f"{where}: face '{value}' is none of: none, the number of a person, a box "
        '"x0,y0,x1,y1" in fractions of the frame (in quotes), a picture '
        f"({', '.join(PICTURES)})"
    )


def read_picture(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """A picture as RGB. Raises `InputError` when it is none."""
    content = np.frombuffer(Path(path).read_bytes(), np.uint8)
    data = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    if data is None:
        raise InputError(f"{path}: cannot be read as a picture")
    return np.ascontiguousarray(data[..., ::-1])


def fix_choice(
    fix: FaceFix,
    tracks: Sequence[Track],
    evidence: Sequence[Mapping[str, float]],
    shape: Sequence[int],
    region: tuple[int, int, int, int],
    look_of: Callable[[Path], Look] | None,
) -> Choice:
    """The choice that a user made.

    Args:
        shape: of the clip's frames, (n, height, width, 3).
        region: x0, y0, x1, y1 in pixels; boxes of tracks are relative to it.

    Raises:
        FixError: the clip has no such person.
    """
    if fix.nobody:
        return choose_as_told(tracks, evidence, None, "nobody")
    if fix.track is not None:
        if fix.track >= len(tracks):
            raise FixError(
                f"person {fix.track} was asked for, but there are {len(tracks)} (from 0)"
            )
        return choose_as_told(tracks, evidence, fix.track, "track")
    if fix.box is not None:
        inside = [_share_inside(track, fix.box, shape, region) for track in tracks]
        if not any(inside):
            raise FixError(f"no face is in the box {fix.box} that was asked for")
        return choose_as_told(tracks, evidence, int(np.argmax(inside)), "box")
    assert fix.image is not None
    assert look_of is not None
    wanted = look_of(fix.image)
    alike = [0.0 if t.look is None else likeness(t.look, wanted, COMPARED) for t in tracks]
    if not tracks or max(alike) < LEAST_LIKENESS:
        raise FixError(f"nobody looks like {fix.image.name} (likeness below {LEAST_LIKENESS:g})")
    return choose_as_told(tracks, evidence, int(np.argmax(alike)), "image")


def _share_inside(
    track: Track,
    box: tuple[float, float, float, float],
    shape: Sequence[int],
    region: tuple[int, int, int, int],
) -> int:
    """In how many frames the middle of a face is in a box."""
    height, width = shape[1:3]
    n_inside = 0
    for x0, y0, x1, y1 in track.boxes.values():
        x, y = (region[0] + (x0 + x1) / 2) / width, (region[1] + (y0 + y1) / 2) / height
        n_inside += int(box[0] <= x <= box[2] and box[1] <= y <= box[3])
    return n_inside
