"""ELAN annotation files (.eaf): time-aligned annotations on tiers.

Utterances are the annotations of tiers without a parent; tiers that depend on others (translations,
words) speak of the same stretches again. XML is read with the standard library's expat; a document
type, which could define entities that grow without end, is refused.
Source: MPI Nijmegen, "EAF Annotation Format Schema Documentation", version 3.0.
"""

from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from amanda.store.errors import InputError
from corpora.segments.segment import MAX_BYTES, Segment, is_part_of_utterances, seconds, speaker_of

_MAX_VALUE_CHARS = 100_000


@dataclass
class _Tier:
    name: str
    speaker: str
    is_detail: bool


@dataclass
class _Annotation:
    tier: _Tier
    slots: tuple[str, str]
    line: int
    parts: list[str] = field(default_factory=list)


class _Reader:
    """Receives what expat finds, in document order."""

    def __init__(self, path: Path):
        self.path = path
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.characters
        self.parser.StartDoctypeDeclHandler = self.document_type
        self.slots_ms: dict[str, float] = {}
        self.annotations: list[_Annotation] = []
        self.depth = 0
        self.tier: _Tier | None = None
        self.open: _Annotation | None = None
        self.in_value = False

    @property
    def where(self) -> str:
        return f"{self.path}, line {self.parser.CurrentLineNumber}"

    def document_type(self, *_: object) -> None:
        raise InputError(f"{self.where}: a document type, which ELAN does not write; take it out")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth == 1 and tag != "ANNOTATION_DOCUMENT":
            raise InputError(f"{self.where}: <{tag[:40]}> where ELAN has <ANNOTATION_DOCUMENT>")
        if tag == "HEADER" and attributes.get("TIME_UNITS", "milliseconds") != "milliseconds":
            raise InputError(
                f"{self.where}: times in {attributes['TIME_UNITS'][:40]}; save it from ELAN, in "
                "milliseconds"
            )
        if tag == "TIME_SLOT" and "TIME_VALUE" in attributes:
            value = seconds(attributes["TIME_VALUE"], "TIME_VALUE", self.where)
            self.slots_ms[attributes.get("TIME_SLOT_ID", "")] = value
        elif tag == "TIER":
            name = attributes.get("TIER_ID", "")
            self.tier = _Tier(
                name=name,
                speaker=attributes.get("PARTICIPANT", "").strip() or speaker_of(name),
                is_detail="PARENT_REF" in attributes or is_part_of_utterances(name),
            )
        elif tag == "ALIGNABLE_ANNOTATION" and self.tier is not None:
            slots = (attributes.get("TIME_SLOT_REF1", ""), attributes.get("TIME_SLOT_REF2", ""))
            self.open = _Annotation(self.tier, slots, self.parser.CurrentLineNumber)
        elif tag == "ANNOTATION_VALUE":
            self.in_value = True

    def end(self, tag: str) -> None:
        self.depth -= 1
        if tag == "TIER":
            self.tier = None
        elif tag == "ANNOTATION_VALUE":
            self.in_value = False
        elif tag == "ALIGNABLE_ANNOTATION" and self.open is not None:
            self.annotations.append(self.open)
            self.open = None

    def characters(self, text: str) -> None:
        if self.in_value and self.open is not None:
            self.open.parts.append(text)

    def segments(self) -> list[Segment]:
        """Annotations with their times, which may stand after them in the file."""
        found: list[Segment] = []
        for annotation in self.annotations:
            tier = annotation.tier
            where = f"{self.path}, line {annotation.line}"
            text = " ".join("".join(annotation.parts).split())
            if len(text) > _MAX_VALUE_CHARS:
                raise InputError(
                    f"{where}: a text of {len(text)} characters; is this an utterance?"
                )
            times = [self.slots_ms.get(slot) for slot in annotation.slots]
            if times[0] is None or times[1] is None:
                if tier.is_detail:  # ELAN leaves parts of an annotation without times of their own
                    continue
                slot = annotation.slots[0 if times[0] is None else 1]
                raise InputError(f"{where}: time slot '{slot[:40]}' has no time in this file")
            found.append(
                Segment(
                    start_s=times[0] / 1000,
                    end_s=times[1] / 1000,
                    speaker=tier.speaker,
                    text=text,
                    tier=tier.name,
                    is_detail=tier.is_detail,
                    line=annotation.line,
                )
            )
        return found


def read_elan(path: Path) -> list[Segment]:
    """The annotations of an ELAN file that have times, tier by tier.

    Raises:
        InputError: the file is no ELAN file, or broken; the line is named.
    """
    reader = _Reader(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than {MAX_BYTES // 10**6} MB; is this an ELAN file?")
        with open(path, "rb") as file:
            reader.parser.ParseFile(file)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except expat.ExpatError as error:
        problem = expat.ErrorString(error.code) or "broken"
        raise InputError(
            f"{path}, line {error.lineno}: not XML ({problem}); save it anew"
        ) from error
    except (LookupError, ValueError) as error:
        raise InputError(
            f"{path}, line 1: an encoding that is none ({error}); use UTF-8"
        ) from error
    return reader.segments()
