"""Profiles: what the built-in ones hold, how a config changes them, and what is refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from amanda.store.errors import InputError
from extractors.profiles import LexicalSettings, builtin_profiles, load_profile


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_the_built_in_profiles_are_those_of_the_documentation() -> None:
    assert builtin_profiles() == ["embedded", "paper", "paper_vit"]
    embedded, paper = load_profile("embedded"), load_profile("paper")
    assert (embedded.visual.n_frames, paper.visual.n_frames) == (16, 64)
    assert (embedded.lexical.model, paper.lexical.model) == (
        "all-mpnet-base-v2",
        "google-bert/bert-base-uncased",
    )
    assert embedded.lexical.layers == paper.lexical.layers == paper.acoustic.layers == (1, 7, 12)
    assert embedded.acoustic.layers == (1, 4, 6)
    assert embedded.modalities == ("acoustic", "visual", "lexical")
    assert [name for name, _ in embedded.weights()] == [
        "all-mpnet-base-v2",
        "whisper-base",
        "retinaface-mobilenet0.25",
        "fer-mini-xception",
    ]


def test_a_profile_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_profile("embedded").lexical.layers = (1,)


def test_a_config_starts_from_a_base_and_changes_what_it_names(tmp_path: Path) -> None:
    config = write(
        tmp_path / "config.yaml",
        """
        corpora: {ie: {root: data/ie}}
        profiles:
          german:
            base: embedded
            lexical: {model: FacebookAI/xlm-roberta-base, revision: e73636d4f797}
            visual: null
          german_large: {base: german, acoustic: {layers: [6]}}
          embedded: {visual: {n_frames: 8}}
        """,
    )
    german = load_profile("german", config)
    assert german.lexical == LexicalSettings(
        model="FacebookAI/xlm-roberta-base", revision="e73636d4f797", layers=(1, 7, 12)
    )
    assert german.modalities == ("acoustic", "lexical")
    assert german.weights() == [
        ("FacebookAI/xlm-roberta-base", "e73636d4f797"),
        ("whisper-base", None),
    ]
    assert load_profile("german_large", config).acoustic.layers == (6,)
    changed = load_profile("embedded", config)
    assert changed.visual.n_frames == 8
    assert changed.visual.detector == "retinaface"
    assert load_profile("paper", config) == load_profile("paper")


def test_a_profile_can_be_a_file(tmp_path: Path) -> None:
    path = write(tmp_path / "speech.yaml", "acoustic: {model: models/hubert, layers: [1, 12]}\n")
    profile = load_profile(str(path))
    assert (profile.name, profile.modalities) == ("speech", ("acoustic",))


def test_the_hash_is_of_what_changes_features(tmp_path: Path) -> None:
    plain = load_profile("embedded")
    config = write(
        tmp_path / "config.yaml",
        """
        profiles:
          same: {base: embedded, lexical: {tokens_per_batch: 9}, visual: {batch_size: 1}}
          other: {base: embedded, acoustic: {last_block: raw}}
        """,
    )
    assert load_profile("same", config).sha256 == plain.sha256
    assert load_profile("other", config).sha256 != plain.sha256
    assert plain.key == f"embedded-{plain.sha256[:12]}"
    assert load_profile("same", config).key.startswith("same-")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{base: embeded}", "no profile 'embeded'; did you mean 'embedded'"),
        ("{base: mine}", "profile 'mine' is its own base"),
        ("{lexcal: {}}", "unknown key 'lexcal'; did you mean 'lexical'"),
        (
            "{base: embedded, lexical: {layer: [1]}}",
            "'lexical.layer'; did you mean 'lexical.layers'",
        ),
        ("{acoustic: {layers: [1]}}", "acoustic.model is missing; add it, or `base: embedded`"),
        ("{base: embedded, acoustic: {layers: [4, 1]}}", "in ascending order"),
        ("{base: embedded, acoustic: {layers: []}}", "acoustic.layers = \\[\\]"),
        ("{base: embedded, visual: {detector: mtcnn}}", "visual.detector = 'mtcnn'"),
        ("{base: embedded, name: mine}", "leave out 'name'"),
        ("{}", "profile 'mine' has no section"),
        ("[1]", "must hold lexical, acoustic or visual"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, entry: str, message: str) -> None:
    config = write(tmp_path / "config.yaml", f"profiles:\n  mine: {entry}\n")
    with pytest.raises(InputError, match=message) as caught:
        load_profile("mine", config)
    assert str(config) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_config_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_profile("embedded", tmp_path / "none.yaml")
    with pytest.raises(InputError, match="cannot be read as YAML"):
        load_profile("embedded", write(tmp_path / "a.yaml", "profiles: [}"))
    with pytest.raises(InputError, match="write key: value lines, not list"):
        load_profile("embedded", write(tmp_path / "b.yaml", "- 1\n"))
    with pytest.raises(InputError, match="profiles must be name: settings"):
        load_profile("embedded", write(tmp_path / "c.yaml", "profiles: [1]\n"))
    with pytest.raises(InputError, match="no profile 'papr'; did you mean 'paper'"):
        load_profile("papr")
