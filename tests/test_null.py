"""Where there is nothing to find, nothing is found; where labels are hidden, none is used.

Trainings are small and real. Two random halves of one corpus have no gap, so adapting from one to
the other gains nothing; a target's labels permuted leave everything before testing as it was.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from small_features import write_corpus, write_pair

from amanda.comparison import compare
from amanda.evaluation import select
from amanda.loading import load_training_data
from amanda.loop import train
from amanda.methods import method_class, method_names
from amanda.methods._base import Context, Step
from amanda.networks import Outputs
from amanda.results import merge_results
from amanda.settings import RunSettings
from amanda.store.features import FeatureFile
from amanda.training import train_method
from amanda.validators import VALIDATORS

CPU = torch.device("cpu")
MODALITIES = ("acoustic", "visual", "lexical")
SMALL = {"batch_size": 32, "dim": 8, "channels": 8, "lr": 5e-3, "dropout": 0.1}
SURROGATES = ("norm:1", "norm:2", "norm:inf", "logexp:1")
ADAPTING = [
    *(name for name in method_names() if name not in ("direct_transfer", "supervised", "amanda")),
    *(f"amanda:{surrogate}" for surrogate in SURROGATES),
]


def settings_of(name: str, **changes: object) -> RunSettings:
    method, _, surrogate = name.partition(":")
    return RunSettings(**{**SMALL, "method": method, "surrogate": surrogate or "norm:2", **changes})


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two random halves of one corpus: the same class directions and offsets, other rows."""
    folder = tmp_path_factory.mktemp("halves")
    paths = []
    for number, name in enumerate(("one", "two")):

        def half(columns: dict[str, np.ndarray], number: int = number) -> None:
            mine = np.random.default_rng(0).permutation(len(columns["split"])) % 2 == number
            columns["split"] = np.where(mine, columns["split"], "none")

        # The same seed and size write the same corpus; the splits name the half.
        paths.append(write_corpus(folder / f"{name}.h5", n=480, seed=5, edit=half))
    return paths[0], paths[1]


def test_the_halves_share_no_row_and_are_one_corpus(halves: tuple[Path, Path]) -> None:
    with FeatureFile(halves[0]) as a, FeatureFile(halves[1]) as b:
        rows = [{int(r) for s in ("train", "val", "test") for r in f.rows(s)} for f in (a, b)]
        assert rows[0] | rows[1] == set(range(480))
        assert not rows[0] & rows[1]
        first, second = (f.modality("acoustic").read(np.arange(480)).values for f in (a, b))
        np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_no_method_gains_between_two_halves_of_one_corpus(
    halves: tuple[Path, Path], tmp_path: Path
) -> None:
    """No gain outside its interval: no interval of a difference to direct transfer is above 0."""
    parts = []
    for name in ("direct_transfer", *ADAPTING):
        settings = settings_of(name, epochs=8, eval_every=8, seeds=3)
        out = tmp_path / f"{settings.run_id}.json"
        train_method(*halves, settings, out=out, device="cpu", workers=1)
        parts.append(out)
    merged = merge_results(parts, tmp_path / "one2two.json")
    found = compare(merged, [], ["direct_transfer"], n_resamples=1000)
    assert len(found.differences) == len(ADAPTING)
    base = next(m for m in merged.file.methods if m.method == "direct_transfer")
    # There is something to learn and room above it, so that a gain could be seen.
    mean = base.aggregate["last"]["weighted_f1"].mean
    assert mean is not None
    assert 0.5 < mean < 0.99
    for difference in found.differences:
        assert difference.interval.low <= 0, difference.first.label
        assert difference.p_holm > 0.05, difference.first.label


def _permuted(columns: dict[str, np.ndarray]) -> None:
    columns["label"] = np.random.default_rng(3).permutation(columns["label"])


@pytest.mark.parametrize("name", ["direct_transfer", *ADAPTING])
def test_permuted_target_labels_change_nothing_before_testing(tmp_path: Path, name: str) -> None:
    """Weights, losses, label-free validators, predictions and estimated priors, bit for bit."""
    label_prior = "estimated" if name == "amanda:norm:2" else "source"
    settings = settings_of(name, epochs=2, label_prior=label_prior)
    runs = []
    for folder, edit in (("as_is", None), ("permuted", _permuted)):
        (tmp_path / folder).mkdir()
        source, target = write_pair(tmp_path / folder, edit=edit)
        with FeatureFile(source) as s, FeatureFile(target) as t:
            data, test, _ = load_training_data(
                s, t, MODALITIES, method_class(settings.method), standardise="none", folder=None
            )
        training = train(data, settings, 0, CPU)
        while True:
            try:
                next(training)
            except StopIteration as stop:
                runs.append((stop.value, test))
                break
    (first, labels), (second, permuted) = runs
    assert labels.label.tolist() != permuted.label.tolist()
    for key, weight in first.model.state_dict().items():
        assert torch.equal(weight, second.model.state_dict()[key]), key
    assert [dataclasses.asdict(e) for e in first.epochs] == [
        dataclasses.asdict(e) for e in second.epochs
    ]
    ours, theirs = select(first.evaluations, labels), select(second.evaluations, permuted)
    for rule in ("last", *VALIDATORS):
        assert ours[rule].epoch == theirs[rule].epoch
        for branch, p in ours[rule].probabilities.items():
            np.testing.assert_array_equal(p, theirs[rule].probabilities[branch])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_dann_hides_a_known_shift_and_without_it_the_encoder_is_another(seed: int) -> None:
    """On points whose first coordinate is the domain and second the class, with linear networks:
    the discriminator's accuracy falls to about chance, and the classes stay apart."""
    source = points(1) + torch.tensor([2.0, 0.0])
    target = points(2) - torch.tensor([2.0, 0.0])
    label = (source[:, 1] > 0).long()
    accuracy, apart, encoders = {}, {}, {}
    for weight in (0.0, 1.0):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            settings = RunSettings(
                method="dann", adversary_weight=weight, adversary_hidden=(), bottleneck="none"
            )
            method = method_class("dann")(settings, POINTS)
            encoder, head = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
        discriminator = method.networks["discriminator.joint.0"]
        # Weight decay and a falling rate, without which the two circle around their balance.
        own = {"params": [*discriminator.parameters()], "lr": 0.3, "weight_decay": 0.1}
        optimiser = torch.optim.SGD(
            [{"params": [*encoder.parameters(), *head.parameters()], "lr": 0.1}, own]
        )
        schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.001, total_iters=600)

        def outputs(x: torch.Tensor, encoder=encoder, head=head) -> Outputs:
            z = encoder(x)
            both = {"acoustic": z, "joint": z}
            return Outputs(both, {branch: head(z) for branch in both}, None)

        right = []
        for number in range(600):
            step = Step(
                labelled=outputs(source), label=label, target=outputs(target), progress=number / 600
            )
            optimiser.zero_grad()
            torch.stack(list(method.terms(step).loss.values())).sum().backward()
            optimiser.step()
            schedule.step()
            with torch.no_grad():
                views = [discriminator(encoder(x)).squeeze(1) > 0 for x in (source, target)]
            right.append(torch.cat([views[0], ~views[1]]).float().mean().item())
        with torch.no_grad():
            z = encoder(source), encoder(target)
            assert (head(z[0]).argmax(dim=1) == label).float().mean() > 0.9
            gap = (z[0].mean(dim=0) - z[1].mean(dim=0)).norm() / torch.cat(z).std()
        accuracy[weight], apart[weight] = np.mean(right[-100:]), gap.item()
        encoders[weight] = encoder.weight.detach()
    assert right[0] > 0.9  # easy to tell before training
    assert accuracy[1.0] < 0.65
    assert apart[1.0] < 0.6 * apart[0.0]
    assert not torch.allclose(encoders[0.0], encoders[1.0], atol=0.1)


POINTS = Context(
    label_names=("a", "b"), modalities=("acoustic",), dim=2, label_share=torch.tensor([0.5, 0.5])
)


def points(seed: int) -> torch.Tensor:
    return torch.randn(64, 2, generator=torch.Generator().manual_seed(seed))
