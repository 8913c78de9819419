"""What one extraction is: a manifest, a profile, options; what all its shards have in common."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from amanda.store.errors import InputError, nearest
from amanda.store.features import UtteranceTable
from amanda.store.manifest import Utterance, manifest_classes, read_manifest
from amanda.store.names import MODALITIES, RECORDED, STANDIN
from extractors import EXTRACT_VERSION
from extractors.audio import RESAMPLER
from extractors.base import Extractor
from extractors.profiles import AcousticSettings, LexicalSettings, Profile
from extractors.provenance import library_versions, source_checksums
from extractors.registry import build_extractor
from extractors.sources import Reader, present_modalities
from extractors.speaker_fixes import FaceFixes, read_fixes
from extractors.video import FRAME_RULE
from extractors.weights import language_warning


@dataclass(frozen=True, kw_only=True)
class Job:
    """One extraction, with everything that its shards must agree on.

    Attributes:
        manifest_sha256: of the CSV's bytes.
        classes: what its labels name, in the order of the feature file.
        modalities: those extracted: of the profile, asked for, and present in the corpus.
        faces: what the user says of the speakers' faces.
    """

    manifest: Path
    manifest_sha256: str
    classes: tuple[str, ...]
    utterances: Sequence[Utterance]
    corpus: str
    profile: Profile
    modalities: Sequence[str]
    device: torch.device
    downmix: bool
    faces: FaceFixes = field(default_factory=FaceFixes)
    _extractors: dict[str, Extractor] = field(default_factory=dict, repr=False)

    @cached_property
    def key(self) -> str:
        """What decides whether a finished shard can be used again."""
        parts = {
            "manifest": self.manifest_sha256,
            "classes": list(self.classes),
            "corpus": self.corpus,
            "profile": self.profile.key,
            "stage": EXTRACT_VERSION,
            "modalities": list(self.modalities),
            "downmix": self.downmix,
            **({"faces": self.faces.sha256} if self.faces.sha256 else {}),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @property
    def origin(self) -> str:
        """Stand-in as soon as one row is: nothing made with it speaks about real recordings."""
        return STANDIN if any(u.origin == STANDIN for u in self.utterances) else RECORDED

    @property
    def reader(self) -> Reader:
        visual = self.profile.visual
        return Reader(
            manifest=self.manifest,
            utterances=self.utterances,
            n_frames=visual.n_frames if visual else 0,
            downmix=self.downmix,
            glimpse_hz=visual.glimpses_hz if visual else 0.0,
            with_sound=visual is not None and visual.glimpses_hz > 0,
            faces=self.faces.by_id,
        )

    def builder(self, modality: str) -> Callable[[], Extractor]:
        """A function that gives the modality's extractor, loading its model at the first call."""

        def build() -> Extractor:
            if modality not in self._extractors:
                section = self.profile.section(modality)
                assert section is not None
                self._extractors[modality] = build_extractor(modality, section, str(self.device))
            return self._extractors[modality]

        return build

    @property
    def languages(self) -> list[str]:
        """Those that the manifest names."""
        return sorted({u.language for u in self.utterances if u.language})

    def language_warnings(self) -> list[str]:
        """One sentence for each model that was not trained on a language of the corpus."""
        warnings = []
        for modality in ("lexical", "acoustic"):
            section = self.profile.section(modality)
            if modality in self.modalities and isinstance(
                section, LexicalSettings | AcousticSettings
            ):
                found = (
                    language_warning(modality, section, language) for language in self.languages
                )
                warnings += [warning for warning in found if warning]
        return warnings

    def attrs(self) -> dict[str, Any]:
        """Provenance, for the root of the feature file."""
        return {
            "manifest_sha256": self.manifest_sha256,
            **_made_by(self.manifest, self.manifest_sha256),
            "profile_key": self.profile.key,
            "profile_json": self.profile.model_dump_json(),
            "extract_version": EXTRACT_VERSION,
            "versions": json.dumps(library_versions()),
            "device": self.device.type,
            "frame_rule": FRAME_RULE,
            "resampler": RESAMPLER,
            "downmix": self.downmix,
            "faces_sha256": self.faces.sha256,
            "languages": ", ".join(self.languages),
            "warnings": "\n".join(self.language_warnings()),
        }

    def table(self, rows: Sequence[int], end_s: dict[int, float]) -> UtteranceTable:
        """The columns of these rows. `end_s` holds ends that were found by decoding.

        Whether there are targets is decided by the whole manifest, so that all shards have them.
        """
        chosen = [self.utterances[row] for row in rows]
        ends = [
            u.end_s if u.end_s is not None else end_s.get(row, np.nan)
            for row, u in zip(rows, chosen, strict=True)
        ]
        return UtteranceTable(
            id=[u.id for u in chosen],
            label=np.array([self._label(u) for u in chosen], np.int8),
            split=[u.split for u in chosen],
            speaker=[u.speaker for u in chosen],
            group=[u.group for u in chosen],
            text=[u.text for u in chosen],
            start_s=np.array([u.start_s or 0.0 for u in chosen], np.float64),
            end_s=np.array(ends, np.float64),
            source=[u.path or u.audio_path for u in chosen],
            source_sha256=source_checksums(self.manifest, chosen),
            label_names=self.classes,
            **self._targets(chosen),
        )

    def _label(self, utterance: Utterance) -> int:
        return self.classes.index(utterance.label) if utterance.label else -1

    def _targets(self, chosen: Sequence[Utterance]) -> dict[str, np.ndarray]:
        targets: dict[str, np.ndarray] = {}
        if any(value is not None for u in self.utterances for value in _vad(u)):
            vad = [[np.nan if v is None else v for v in _vad(u)] for u in chosen]
            targets["vad"] = np.array(vad, np.float32).reshape(-1, 3)
        if any(u.shares for u in self.utterances):
            none = dict.fromkeys(self.classes, np.nan)
            shares = [u.shares or none for u in chosen]
            dist = [[share.get(name, 0.0) for name in self.classes] for share in shares]
            targets["label_dist"] = np.array(dist, np.float32).reshape(-1, len(self.classes))
        if any(u.n_raters is not None for u in self.utterances):
            targets["n_raters"] = np.array([u.n_raters or 0 for u in chosen], np.int32)
        return targets


def make_job(
    manifest: Path,
    *,
    corpus: str,
    profile: Profile,
    modalities: Sequence[str],
    device: torch.device,
    downmix: bool,
    faces: Path | None = None,
) -> Job:
    """Read a manifest and decide what is extracted from it.

    Raises:
        InputError: the manifest is wrong, a modality is unknown or not in the profile, no file of
            the manifest exists, or nothing of what is wanted is in it.
    """
    classes = manifest_classes(manifest)
    utterances = read_manifest(manifest, classes=classes)
    for name in modalities:
        if name not in MODALITIES:
            raise InputError(f"--modalities '{name}': {nearest(name, list(MODALITIES))}")
        if name not in profile.modalities:
            raise InputError(
                f"--modalities '{name}': profile '{profile.name}' has no section {name}; it has "
                f"{', '.join(profile.modalities)}"
            )
    wanted = [m for m in profile.modalities if not modalities or m in modalities]
    return Job(
        manifest=manifest,
        manifest_sha256=hashlib.sha256(Path(manifest).read_bytes()).hexdigest(),
        classes=classes,
        utterances=utterances,
        corpus=corpus,
        profile=profile,
        modalities=present_modalities(manifest, utterances, wanted),
        device=device,
        downmix=downmix,
        faces=read_fixes(faces, utterances) if faces else FaceFixes(),
    )


def _vad(utterance: Utterance) -> tuple[float | None, float | None, float | None]:
    return utterance.valence, utterance.arousal, utterance.dominance


def _made_by(manifest: Path, sha256: str) -> dict[str, str]:
    """How the manifest's rows were divided and capped, from the note beside it.

    Nothing where there is no note, or where the CSV was edited after it: then nobody knows.
    """
    try:
        note = json.loads(manifest.with_suffix(".meta.json").read_text(encoding="utf-8"))
        if note["manifest_sha256"] != sha256:
            return {}
        rule, seed, cap = str(note["split"]), int(note["split_seed"]), dict(note["cap"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    drawn = f"{rule}, seed {seed}" if rule in ("paper", "speaker") else rule
    capped = ", ".join(f"{name}={most}" for name, most in cap.items())
    return {"split_rule": drawn, "label_cap": capped}
