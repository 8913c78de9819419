"""What can be asked of the workflow by name."""

import pytest

from amanda.config import parse_config
from amanda.targets import known_targets, unknown_target

CONFIG = parse_config({"corpora": {"ie": {"standin": True}, "msp": {"standin": True}}})


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("results/paper.htm", "did you mean 'results/paper.html'?"),
        ("result/ie2msp.json", "did you mean 'results/ie2msp.json'?"),
        ("results/tabel1.json", "did you mean 'results/table1.json'?"),
        ("manifest/msp.csv", "did you mean 'manifests/msp.csv'?"),
        ("figures/psy_ie2msp.svg", "did you mean 'figures/psi_ie2msp.svg'?"),
        ("al", "did you mean 'all'?"),
        ("qqq", "docs/workflow.md lists what can be made, as results/report.html"),
        ("features/zzzzzzzzzzzzzzzzz", "as features/ie.h5"),
    ],
)
def test_the_nearest_name_is_given(target, hint):
    assert unknown_target(target, CONFIG).startswith(f"target '{target}': nothing makes it; ")
    assert unknown_target(target, CONFIG).endswith(hint)


def test_features_made_elsewhere_are_no_target(tmp_path):
    (tmp_path / "x.h5").write_text("")
    corpora = {"ie": {"standin": True}, "theirs": {"features": str(tmp_path / "x.h5")}}
    names = known_targets(parse_config({"corpora": corpora}))
    assert "features/ie.h5" in names
    assert "results/theirs2ie.json" in names
    assert "features/theirs.h5" not in names
