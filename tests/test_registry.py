"""Extractors by name: found in their files, refused with the mend, hashed by all that they take."""

from pathlib import Path

import numpy as np
import pytest

import extractors
from amanda.store.errors import AmandaError, InputError
from extractors.base import Extractor, SequenceFeatures
from extractors.profiles import Profile, load_profile
from extractors.registry import build_extractor, extractor_names

LOUDNESS = """
from typing import ClassVar
import numpy as np
from extractors.base import SequenceFeatures
from extractors.profile_settings import Section

MODALITY = "acoustic"

class SETTINGS(Section):
    extractor: str = "%(name)s"
    floor_db: float = -60.0
    batch_size: int = 1
    %(version)s

class build:
    modality, n_layers, width = MODALITY, 1, 1
    def __init__(self, settings, *, device):
        self.floor_db = settings.floor_db
        self.attrs = {"extractor": settings.made_by, "model": "loudness", "revision": "1",
                      "sha256": "", "layers": [1], "rate_hz": 0.0, "dtype": "float32",
                      "preprocessing": f"floor {settings.floor_db} dB"}
    def __call__(self, clips):
        return [SequenceFeatures(values=np.full((1, 1, 1), self.floor_db, np.float32),
                                 time_s=np.zeros(1), valid=np.ones(1, bool)) for _ in clips]
"""
_SECTION = "from extractors.profile_settings import Section\nSETTINGS = Section\n"
_BUILD = "def build(settings, *, device): ...\n"
UNFINISHED = {
    "no_settings": f'MODALITY = "acoustic"\n{_BUILD}',
    "no_build": f'{_SECTION}MODALITY = "acoustic"\n',
    "no_frames": f'{_SECTION}MODALITY = "visual"\n{_BUILD}',
    "helper": f"{_SECTION}{_BUILD}",
}


@pytest.fixture(autouse=True)
def _more_files(tmp_path, monkeypatch) -> None:
    """A folder of files as if they lay in `extractors/`."""
    folder = tmp_path / "extractors"
    folder.mkdir()
    for name, text in UNFINISHED.items():
        (folder / f"{name}.py").write_text(text)
    for name, version in (("loudness", ""), ("louder", "VERSION: ClassVar[int] = 2")):
        (folder / f"{name}.py").write_text(LOUDNESS % {"name": name, "version": version})
    monkeypatch.setattr(extractors, "__path__", [*extractors.__path__, str(folder)])


def profile(folder: Path, section: str, base: str = "base: embedded, ") -> Profile:
    config = folder / "config.yaml"
    config.write_text(f"profiles:\n  mine: {{{base}{section}}}\n")
    return load_profile("mine", config)


def test_an_extractor_is_a_file_that_says_its_modality():
    own = ["louder", "loudness", "no_build", "no_settings"]
    assert extractor_names("acoustic") == ["acoustic", *own]
    assert extractor_names("visual") == ["no_frames", "visual"]
    assert extractor_names("lexical") == ["lexical"]


def test_another_extractor_starts_anew_and_the_same_goes_on(tmp_path):
    mine = profile(tmp_path, "acoustic: {extractor: loudness, floor_db: -40}")
    assert mine.acoustic.model_dump() == {
        "extractor": "loudness",
        "floor_db": -40.0,
        "batch_size": 1,
    }
    assert mine.lexical == load_profile("embedded").lexical
    assert ("whisper-base", None) not in mine.weights()
    (tmp_path / "config.yaml").write_text(
        "profiles:\n  a: {base: embedded, acoustic: {extractor: loudness, floor_db: -40}}\n"
        "  b: {base: a, acoustic: {batch_size: 2}}\n"
        "  c: {base: a, acoustic: {extractor: acoustic, model: x, layers: [1]}}\n"
    )
    b, c = (load_profile(name, tmp_path / "config.yaml") for name in "bc")
    assert b.acoustic.floor_db == -40
    assert c.acoustic.model == "x"


def test_naming_the_packages_own_extractor_changes_nothing(tmp_path):
    named = profile(tmp_path, "acoustic: {extractor: acoustic}")
    assert named == load_profile("embedded").model_copy(update={"name": "mine"})
    assert named.sha256 == load_profile("embedded").sha256


def test_the_hash_is_of_what_changes_features(tmp_path):
    def key(section: str) -> str:
        return profile(tmp_path, f"acoustic: {{{section}}}").sha256

    plain = key("extractor: loudness")
    assert key("extractor: loudness, batch_size: 9") == plain
    assert key("extractor: loudness, floor_db: -50") != plain
    # Equal settings, another file; and its VERSION is 2 (see `_more_files`).
    assert key("extractor: louder") != plain
    hashed = profile(tmp_path, "acoustic: {extractor: louder}").acoustic.hashed
    assert hashed == {"extractor": "louder/2", "floor_db": -60.0}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("acoustic: {extractor: loudnes}", r"'loudnes': no such acoustic.*did you mean 'loudness'"),
        ("acoustic: {extractor: helper}", "no such acoustic extractor"),
        ("acoustic: {extractor: ../helper}", "no such acoustic extractor"),
        ("lexical: {extractor: loudness}", "no such lexical extractor; known: lexical"),
        ("acoustic: {extractor: no_settings}", "no_settings.py has no SETTINGS, a subclass of Sec"),
        ("acoustic: {extractor: no_build}", "no_build.py has no function build"),
        ("visual: {extractor: no_frames}", "no SETTINGS, a subclass of VisualSection"),
        (
            "acoustic: {extractor: loudness, floor: 1}",
            "'acoustic.floor'; did you mean 'acoustic.fl",
        ),
        ("acoustic: {extractor: loudness, floor_db: low}", "acoustic.floor_db = 'low'"),
        ("acoustic: 3", "acoustic = 3: write its settings, or null"),
    ],
)
def test_mistakes_are_named(tmp_path, section, message):
    with pytest.raises(InputError, match=message) as caught:
        profile(tmp_path, section)
    assert str(tmp_path / "config.yaml") in str(caught.value)


class Said(Extractor):
    """An extractor that says what a test wants."""

    modality, n_layers, width = "acoustic", 1, 1

    def __init__(self, attrs):
        self.attrs = attrs

    def __call__(self, clips) -> list[SequenceFeatures]:
        return [SequenceFeatures.none(1, 1, status="no_audio", detail="") for _ in clips]


def test_what_was_built_says_what_it_is(tmp_path, monkeypatch):
    settings = profile(tmp_path, "acoustic: {extractor: loudness}").acoustic
    built = build_extractor("acoustic", settings, "cpu")
    assert built.attrs["extractor"] == "loudness/1"
    [features] = built([np.zeros(3, np.float32)])
    assert features.values.item() == -60
    module = __import__("extractors.loudness", fromlist=["build"])
    for attrs, message in (
        ({**built.attrs, "extractor": "acoustic/1"}, r"made by 'acoustic/1'; .* 'loudness/1'"),
        ({k: v for k, v in built.attrs.items() if k != "revision"}, "attrs has no revision"),
    ):
        monkeypatch.setattr(module, "build", lambda *_, attrs=attrs, **__: Said(attrs))
        with pytest.raises(AmandaError, match=message):
            build_extractor("acoustic", settings, "cpu")
