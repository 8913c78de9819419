"""docs/extractors.md: its tables are the settings', its profiles are ones that load."""

import re
from pathlib import Path

import pytest
import yaml

from extractors.profile_docs import PAGE, with_tables
from extractors.profiles import VisualSettings, load_profile

CONFIG = Path(__file__).parents[1] / "config" / "paper.yaml"


def blocks() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_tables_are_the_settings() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_tables(page) == page, "run python -m extractors.profile_docs --write"
    assert "| `channels_last` | `false` |" in page


def test_the_profile_shown_loads(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(blocks()[0])
    profile = load_profile("mine", tmp_path / "config.yaml")
    assert profile.modalities == ("acoustic", "lexical")
    assert profile.acoustic.layers == (1, 13, 24)


@pytest.mark.parametrize("line", [line for line in blocks()[1].splitlines() if line])
def test_the_face_networks_shown_are_accepted(line: str) -> None:
    plain = {"n_frames": 64, "detector": "s3fd", "detector_weights": "s3fd"}
    settings = VisualSettings(**{**plain, **yaml.safe_load(line)["visual"]})
    assert settings.network_weights is not None


def test_the_papers_config_names_a_profile_that_loads() -> None:
    name = yaml.safe_load(CONFIG.read_text())["profile"]
    profile = load_profile(name, CONFIG)
    assert (profile.visual.n_frames, profile.visual.model) == (64, "apvit")
    assert profile.visual.weights.endswith(".pth")
    assert profile.visual.channels_last
    assert profile.lexical.layers == profile.acoustic.layers == (1, 7, 12)
