"""Methods: their loss terms against numpy, and what every one of them must hold."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import amanda.methods
from amanda.batches import Packed
from amanda.methods import method_class, method_names
from amanda.methods._adversarial import (
    domain_loss,
    reversal_strength,
    reverse_gradient,
)
from amanda.methods._base import Context, Step, alignment_losses
from amanda.methods.cdan import RandomProduct, outer_product
from amanda.methods.cdan_e import certainty
from amanda.networks import Outputs, architecture, build
from amanda.settings import RunSettings
from amanda.store.errors import InputError

MODALITIES, DIM, N = ("acoustic", "visual", "lexical"), 3, 12
BRANCHES = (*MODALITIES, "joint")
CONTEXT = Context(
    label_names=("neutral", "happy", "sad", "angry"),
    modalities=MODALITIES,
    dim=DIM,
    label_share=torch.tensor([0.3, 0.3, 0.2, 0.2], dtype=torch.float64),
)
LABEL = torch.arange(N) % 4


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def outputs(seed: int, scale: float = 1.0, missing: bool = False, n: int = N) -> Outputs:
    generator = torch.Generator().manual_seed(seed)

    def draw(width: int) -> Tensor:
        return torch.randn(n, width, dtype=torch.float64, generator=generator)

    z = {m: scale * draw(DIM) for m in MODALITIES}
    present = None
    if missing:
        present = {m: torch.rand(n, generator=generator) < 0.6 for m in MODALITIES}
        z = {m: z[m] * present[m][:, None] for m in MODALITIES}
    z["joint"] = torch.cat([z[m] for m in MODALITIES], dim=1)
    return Outputs(z, {branch: draw(4) for branch in BRANCHES}, present)


def step(missing: bool = False, progress: float = 0.5, n_target: int = N) -> Step:
    return Step(
        labelled=outputs(1, missing=missing),
        label=LABEL,
        target=outputs(2, scale=1.5, missing=missing, n=n_target),
        progress=progress,
    )


def terms_of(method: str, given: Step | None = None, **changes: object):
    made = method_class(method)(RunSettings(method=method, **changes), CONTEXT)
    for network in made.networks.values():
        network.double().eval()
    return made.terms(given or step())


def softmax(x: Tensor) -> np.ndarray:
    p = np.exp(x.numpy())
    return p / p.sum(axis=1, keepdims=True)


# What every method must hold


def model_step(missing: bool) -> tuple[torch.nn.Module, Step]:
    """A step of a real model, so that gradients can be followed."""
    shapes = {m: (1, 4) for m in MODALITIES}
    flags = MODALITIES if missing else ()
    model = build(
        architecture(
            shapes,
            4,
            dim=DIM,
            dropout=0.5,
            head_dropout=0.3,
            kernels=(3, 5),
            channels=4,
            flags=flags,
        )
    )
    lengths = np.random.default_rng(0).integers(0 if missing else 1, 6, size=(3, 2 * N))
    inputs = {
        m: Packed(torch.randn(int(each.sum()), 4), each)
        for m, each in zip(MODALITIES, lengths, strict=True)
    }
    labelled, target = model(inputs).split(N)
    return model, Step(labelled=labelled, label=LABEL, target=target, progress=0.5)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("name", method_names())
def test_every_method_gives_named_finite_terms_that_train_the_model(
    name: str, missing: bool
) -> None:
    model, given = model_step(missing)
    made = method_class(name)(RunSettings(method=name, adversary_on="each"), CONTEXT)
    if not made.sees_target:
        given = dataclasses.replace(given, target=None)
    terms = made.terms(given)
    assert {f"ce_{branch}" for branch in BRANCHES} | {"bottleneck"} <= set(terms.loss)
    for group in (terms.loss, terms.alignment, terms.alignment_relative, terms.psi):
        assert all(value.shape == () and torch.isfinite(value) for value in group.values())
    torch.stack(list(terms.loss.values())).sum().backward()
    for network in (model, *made.networks.values()):
        for parameter_name, parameter in network.named_parameters():
            assert parameter.grad is not None, parameter_name
            assert torch.isfinite(parameter.grad).all(), parameter_name


@pytest.mark.parametrize("name", method_names())
def test_only_supervised_is_labelled_by_the_target(name: str) -> None:
    cls = method_class(name)
    assert cls.labelled == ("target" if name == "supervised" else "source")
    assert [field.name for field in dataclasses.fields(Step)] == [
        "labelled",
        "label",
        "target",
        "progress",
    ]
    assert [field.name for field in dataclasses.fields(Outputs)] == [
        "representation",
        "logits",
        "present",
    ]


def test_names() -> None:
    assert {
        "amanda",
        "cdan",
        "cdan_e",
        "dann",
        "direct_transfer",
        "mada",
        "supervised",
    } <= set(method_names())
    with pytest.raises(InputError, match="'amnda': no such method; did you mean 'amanda'"):
        method_class("amnda")


def test_a_new_file_is_a_new_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(
        "from amanda.methods.amanda import Amanda\n\n\n"
        "class Mine(Amanda):\n    pass\n\n\nMETHOD = Mine\n"
    )
    monkeypatch.setattr(amanda.methods, "__path__", [*amanda.methods.__path__, str(tmp_path)])
    assert "mine" in method_names()
    assert method_class("mine").__name__ == "Mine"
    assert RunSettings(method="mine").label == "mine"


# Eq. 5


def test_information_bottleneck() -> None:
    given, settings = step(), RunSettings(method="direct_transfer", gamma=0.01)
    terms = terms_of("direct_transfer", given, gamma=0.01).loss
    total = 0.0
    for branch in BRANCHES:
        p = softmax(given.labelled.logits[branch])
        expected = -np.log(p[np.arange(N), LABEL.numpy()]).mean()
        assert terms[f"ce_{branch}"].item() == pytest.approx(expected, rel=1e-6)
        z = given.labelled.representation[branch].numpy()
        total += np.log(z.var(axis=0, ddof=1) + 1e-6).sum()
    assert terms["bottleneck"].item() == pytest.approx(settings.gamma / 2 * total, rel=1e-6)
    assert set(terms) == {*(f"ce_{branch}" for branch in BRANCHES), "bottleneck"}


def test_weights_of_single_modalities_and_no_bottleneck() -> None:
    plain = terms_of("direct_transfer").loss
    light = terms_of("direct_transfer", ce_weight_single=0.008, bottleneck="none").loss
    assert "bottleneck" not in light
    assert light["ce_joint"] == plain["ce_joint"]
    assert light["ce_visual"].item() == pytest.approx(0.008 * plain["ce_visual"].item())


def test_supervised_is_direct_transfer_on_other_rows() -> None:
    assert terms_of("supervised").loss == terms_of("direct_transfer").loss


# Amanda


@pytest.mark.parametrize("missing", [False, True])
def test_amanda_is_eq_10(missing: bool) -> None:
    given = step(missing)
    terms = terms_of("amanda", given, surrogate="norm:3", alpha1=0.2, alpha2=0.4)
    assert given.target is not None
    mean = softmax(given.target.logits["joint"]).mean(axis=0)
    expected = -(CONTEXT.label_share.numpy() * np.log(mean)).sum()
    assert terms.loss["label_alignment"].item() == pytest.approx(0.2 * expected, rel=1e-6)
    a = np.array([terms.alignment[branch].item() for branch in BRANCHES])
    assert a[3] >= a[:3].sum()
    h = (a**3).sum() ** (1 / 3)
    assert terms.loss["correlation_alignment"].item() == pytest.approx(0.4 * h, rel=1e-6)
    psi = np.array([terms.psi[branch].item() for branch in BRANCHES])
    np.testing.assert_allclose(psi, (a / h) ** 2, rtol=1e-6)
    if not missing:
        for branch, value in zip(BRANCHES, a, strict=True):
            pair = (given.labelled, given.target)
            c_s, c_t = (np.cov(o.representation[branch].numpy().T) for o in pair)
            assert value == pytest.approx(((c_t - c_s) ** 2).sum(), rel=1e-6)
            scale = np.linalg.norm(c_s) * np.linalg.norm(c_t)
            assert terms.alignment_relative[branch].item() == pytest.approx(value / scale)


def test_surrogate_over_modalities_leaves_the_joint_one_to_the_log() -> None:
    everything, singles = terms_of("amanda"), terms_of("amanda", surrogate_over="modalities")
    assert list(singles.psi) == list(MODALITIES)
    assert list(singles.alignment) == list(BRANCHES)
    a = np.array([singles.alignment[m].item() for m in MODALITIES])
    norm = math.sqrt((a**2).sum())
    assert singles.loss["correlation_alignment"].item() == pytest.approx(0.1 * norm)
    assert everything.loss["correlation_alignment"] > singles.loss["correlation_alignment"]


def test_at_p_inf_only_the_joint_representation_is_aligned() -> None:
    psi = terms_of("amanda", surrogate="norm:inf").psi
    assert [psi[branch].item() for branch in BRANCHES] == [0.0, 0.0, 0.0, 1.0]


def test_ablations_drop_their_term_alone() -> None:
    full = set(terms_of("amanda").loss)
    for change, term in (
        ({"alpha2": 0.0}, "correlation_alignment"),
        ({"alpha1": 0.0}, "label_alignment"),
        ({"label_prior": "none"}, "label_alignment"),
        ({"label_alignment": "without"}, "label_alignment"),
        ({"bottleneck": "none"}, "bottleneck"),
    ):
        assert full - set(terms_of("amanda", **change).loss) == {term}
    assert terms_of("amanda", alpha2=0.0).alignment  # still in the log


def test_gradients_of_alignment_are_weighed_by_psi() -> None:
    """Eq. 12: ∇h = Σ ψ_m ∇a_m, in the representations."""
    source, target = outputs(1), outputs(2, scale=1.5)
    z = source.representation["acoustic"].requires_grad_()
    joint = torch.cat([source.representation[m] for m in MODALITIES], dim=1)
    source = Outputs({**source.representation, "joint": joint}, source.logits, None)
    given = Step(labelled=source, label=LABEL, target=target, progress=0.0)
    terms = terms_of("amanda", given, alpha2=1.0, surrogate="logexp:0.05")
    h = terms.loss["correlation_alignment"]
    ours = torch.autograd.grad(h, z, retain_graph=True)[0]
    expected = sum(
        terms.psi[b] * torch.autograd.grad(terms.alignment[b], z, retain_graph=True)[0]
        for b in ("acoustic", "joint")
    )
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("space", ["representation", "logits", "softmax"])
@pytest.mark.parametrize("covariance", ["centred", "uncentred"])
def test_alignment_spaces(space: str, covariance: str) -> None:
    source, target = outputs(1), outputs(2)
    settings = RunSettings(alignment_space=space, covariance=covariance)
    plain, _ = alignment_losses(source, target, settings)
    for branch in BRANCHES:
        moments = []
        for each in (source, target):
            x = each.representation[branch].numpy()
            if space != "representation":
                logits = each.logits[branch]
                x = logits.numpy() if space == "logits" else softmax(logits)
            mean = x.mean(axis=0, keepdims=True)
            uncentred = (x.T @ x - mean.T @ mean) / (N - 1)
            moments.append(np.cov(x.T) if covariance == "centred" else uncentred)
        expected = ((moments[1] - moments[0]) ** 2).sum()
        assert plain[branch].item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("space", ["representation", "softmax"])
def test_missing_rows_do_not_enter_their_branchs_alignment(space: str) -> None:
    source, target = outputs(1, missing=True), outputs(2, missing=True)
    settings = RunSettings(alignment_space=space)
    plain, _ = alignment_losses(source, target, settings)
    c = []
    for each in (source, target):
        assert each.present is not None
        rows = each.present["visual"]
        x = each.representation["visual"].numpy()
        if space == "softmax":
            x = softmax(each.logits["visual"])
        c.append(np.cov(x[rows.numpy()].T))
    assert plain["visual"].item() == pytest.approx(((c[1] - c[0]) ** 2).sum(), rel=1e-6)


def test_release_variant() -> None:
    given = step()
    terms = terms_of("amanda", given, variant="release")
    settings = RunSettings(variant="release")
    plain, _ = alignment_losses(given.labelled, given.target, settings)
    assert terms.alignment == plain
    mean = softmax(given.target.logits["joint"]).mean(axis=0)
    prior = np.array([2, 3, 2, 2]) / 9
    expected = -0.08 * (prior * np.log(mean)).sum()
    assert terms.loss["label_alignment"].item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        ("source", [0.3, 0.3, 0.2, 0.2]),
        ("uniform", [0.25] * 4),
        ("given", [0.1, 0.2, 0.3, 0.4]),
    ],
)
def test_priors(prior: str, expected: list[float]) -> None:
    settings = RunSettings(label_prior=prior, given_prior=(0.1, 0.2, 0.3, 0.4))
    made = method_class("amanda")(settings, CONTEXT)
    assert made.prior is not None
    np.testing.assert_allclose(made.prior, expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["dann", "cdan", "cdan_e", "mada"])
def test_baselines_with_and_without_label_alignment(name: str) -> None:
    assert "label_alignment" not in terms_of(name).loss
    assert "label_alignment" in terms_of(name, label_alignment="with").loss


# Adversaries


def test_reversal() -> None:
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = reverse_gradient(x, 0.3)
    assert torch.equal(y, x)
    (y * torch.tensor([1.0, 10.0])).sum().backward()
    assert x.grad.tolist() == pytest.approx([-0.3, -3.0])


def test_reversal_strength_goes_from_0_to_1() -> None:
    strengths = [reversal_strength(p / 10) for p in range(11)]
    assert strengths[0] == 0.0
    assert strengths[5] == pytest.approx(math.tanh(2.5))  # 2/(1 + e^(-x)) - 1 = tanh(x/2)
    assert strengths[-1] == pytest.approx(1.0, abs=1e-4)
    assert strengths == sorted(strengths)


def test_domain_loss() -> None:
    source, target = torch.randn(5).double(), torch.randn(3).double()
    s, t = source.numpy(), target.numpy()
    loss_s, loss_t = np.log1p(np.exp(-s)), np.log1p(np.exp(t))
    expected = (loss_s.mean() + loss_t.mean()) / 2
    assert domain_loss(source, target).item() == pytest.approx(expected, rel=1e-9)
    w, v = torch.rand(5).double(), torch.rand(3).double()
    weighted = [(a * b.numpy()).sum() / b.numpy().sum() for a, b in ((loss_s, w), (loss_t, v))]
    assert domain_loss(source, target, w, v).item() == pytest.approx(np.mean(weighted), rel=1e-9)
    # With equal batches, and equal weights, it is the usual mean over all utterances.
    both, labels = torch.cat([source[:3], target]), torch.tensor([1.0] * 3 + [0.0] * 3).double()
    usual = functional.binary_cross_entropy_with_logits(both, labels)
    assert domain_loss(source[:3], target).item() == pytest.approx(usual.item())
    assert domain_loss(source, target, 0 * w, 0 * v).item() == 0.0


def discriminator(made, branch: str = "joint", number: int = 0):
    return made.networks[f"discriminator.{branch}.{number}"]


def adversary(name: str, **changes: object):
    settings = RunSettings(method=name, adversary_hidden=(6,), **changes)
    made = method_class(name)(settings, CONTEXT)
    for network in made.networks.values():
        network.double().eval()
    return made


def test_dann_sees_representations() -> None:
    made, given = adversary("dann", adversary_weight=0.7), step(n_target=7)
    net = discriminator(made)
    assert [layer.out_features for layer in net if hasattr(layer, "out_features")] == [6, 1]
    logits = [net(o.representation["joint"]).squeeze(1) for o in (given.labelled, given.target)]
    expected = 0.7 * domain_loss(*logits)
    assert made.terms(given).loss["domain"].item() == pytest.approx(expected.item())
    assert made.lr_factor == 10.0


@pytest.mark.parametrize("name", ["dann", "cdan", "cdan_e", "mada"])
def test_encoders_are_pushed_against_the_discriminator(name: str) -> None:
    """The representation's gradient is −λ times what helps the discriminator."""
    made, given = adversary(name), step(progress=0.2)
    z = given.labelled.representation["joint"].requires_grad_()
    reversed_ = torch.autograd.grad(made.terms(given).loss["domain"], z)[0]
    for cls in type(made).__mro__:
        if "_branch_loss" in vars(cls):
            honest = cls._branch_loss(made, "joint", given.labelled, given.target, -1.0)
    helpful = torch.autograd.grad(made.weight * honest, z)[0]
    torch.testing.assert_close(reversed_, -reversal_strength(0.2) * helpful)
    assert helpful.abs().max() > 0


def test_each_branch_has_its_own_discriminator() -> None:
    made, given = adversary("dann", adversary_on="each"), step(missing=True)
    assert set(made.networks) == {f"discriminator.{branch}.0" for branch in BRANCHES}
    losses = []
    for branch in BRANCHES:
        net, sides = discriminator(made, branch), []
        for o in (given.labelled, given.target):
            rows = slice(None) if branch == "joint" else o.present[branch]
            sides.append(net(o.representation[branch][rows]).squeeze(1))
        losses.append(domain_loss(*sides).item())
    assert made.terms(given).loss["domain"].item() == pytest.approx(np.mean(losses))


def test_outer_product_by_hand() -> None:
    f, g = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.25, 0.75]])
    assert outer_product(f, g).tolist() == [[0.25, 0.5, 0.75, 1.5]]


def test_cdan_sees_the_outer_product_and_predictions_have_no_gradient() -> None:
    made, given = adversary("cdan"), step()
    net, sides = discriminator(made), []
    assert net[0].in_features == 4 * 3 * DIM
    for o in (given.labelled, given.target):
        p = torch.from_numpy(softmax(o.logits["joint"]))
        rows = [
            torch.outer(g, f).flatten() for f, g in zip(o.representation["joint"], p, strict=True)
        ]
        sides.append(net(torch.stack(rows)).squeeze(1))
    given.labelled.logits["joint"].requires_grad_()
    loss = made.terms(given).loss["domain"]
    assert loss.item() == pytest.approx(domain_loss(*sides).item())
    assert not loss.requires_grad or torch.autograd.grad(
        loss, given.labelled.logits["joint"], allow_unused=True
    ) == (None,)


def test_wide_products_are_randomised() -> None:
    context = dataclasses.replace(CONTEXT, dim=400)
    made = method_class("cdan")(RunSettings(method="cdan"), context)
    assert isinstance(made.networks["product.joint"], RandomProduct)
    assert discriminator(made)[0].in_features == 1024
    assert "product.joint" not in adversary("cdan").networks


def test_random_products_keep_inner_products() -> None:
    product = RandomProduct(6, 4, width=200_000)
    f, g = torch.randn(2, 6), torch.rand(2, 4)
    a, b = product(f, g)
    c, d = outer_product(f, g)
    assert (a @ b).item() == pytest.approx((c @ d).item(), abs=0.1)
    assert (a @ a).item() == pytest.approx((c @ c).item(), rel=0.05)


def test_cdan_e_weights_by_domain() -> None:
    made, given = adversary("cdan_e"), step(n_target=5)
    plain = adversary("cdan")
    plain.networks = made.networks
    net, sides, weights = discriminator(made), [], []
    for o in (given.labelled, given.target):
        p = softmax(o.logits["joint"])
        weights.append(torch.from_numpy(1 + np.exp((p * np.log(p)).sum(axis=1))))
        sides.append(net(outer_product(o.representation["joint"], torch.from_numpy(p))).squeeze(1))
    loss = made.terms(given).loss["domain"].item()
    assert loss == pytest.approx(domain_loss(*sides, *weights).item())
    assert loss != pytest.approx(plain.terms(given).loss["domain"].item())


def test_certainty_is_2_where_sure_and_its_entropy_is_reversed() -> None:
    logits = torch.tensor([[50.0, 0.0], [0.0, 0.0], [1.0, 0.0]], requires_grad=True)
    w = certainty(logits, 0.5)
    assert w[:2].tolist() == pytest.approx([2.0, 1.5])
    reversed_ = torch.autograd.grad(w.sum(), logits)[0]
    helpful = torch.autograd.grad(certainty(logits, -1.0).sum(), logits)[0]
    torch.testing.assert_close(reversed_, -0.5 * helpful)


def test_mada_has_a_discriminator_a_class() -> None:
    made, given = adversary("mada"), step()
    assert set(made.networks) == {f"discriminator.joint.{k}" for k in range(4)}
    total = 0.0
    for k in range(4):
        sides = []
        for o in (given.labelled, given.target):
            p = torch.from_numpy(softmax(o.logits["joint"]))[:, k, None]
            sides.append(discriminator(made, number=k)(p * o.representation["joint"]).squeeze(1))
        total += domain_loss(*sides).item()
    assert made.terms(given).loss["domain"].item() == pytest.approx(0.3 * total)


def test_an_adversary_works() -> None:
    """A linear discriminator's accuracy falls to about chance, while the classes stay apart."""
    source = torch.randn(64, 2) + torch.tensor([2.0, 0.0])
    target = torch.randn(64, 2) - torch.tensor([2.0, 0.0])
    label = (source[:, 1] > 0).long()
    found = {}
    for peak in (0.0, 1.0):
        torch.manual_seed(1)
        encoder, head, net = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
        parts = [*encoder.parameters(), *head.parameters()]
        optimiser = torch.optim.Adam(
            [{"params": parts, "lr": 0.02}, {"params": list(net.parameters()), "lr": 0.01}]
        )
        domains = []
        for i in range(300):
            z = encoder(source), encoder(target)
            strength = peak * reversal_strength(i / 300)
            views = [net(reverse_gradient(each, strength)).squeeze(1) for each in z]
            loss = functional.cross_entropy(head(z[0]), label) + domain_loss(*views)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            domains.append(torch.cat([views[0] > 0, views[1] <= 0]).float().mean().item())
        classes = (head(z[0]).argmax(dim=1) == label).float().mean().item()
        # Mean over the last steps, since the two go on playing around the balance.
        found[peak] = np.mean(domains[-100:]), classes, encoder.weight.detach()
    assert found[0.0][0] > 0.95
    assert found[1.0][0] < 0.65
    assert min(found[0.0][1], found[1.0][1]) > 0.9
    assert not torch.allclose(found[0.0][2], found[1.0][2], atol=0.1)
