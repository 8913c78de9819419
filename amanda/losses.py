"""The paper's losses as pure functions of tensors.

Shapes: a batch has n rows of one domain; a branch is a modality or the joint representation, whose
d columns are the modalities' columns side by side. Normalisation is in each docstring. Logarithms
are natural.

**Missing evidence.** `present` (n, d) says which entries of a representation rest on evidence; None
means all. Statistics of a column, or of a pair of columns, are taken over the rows that have them
("pairwise complete"). So a modality's own statistics are blocks of the joint ones whatever is
missing, and two relations of the paper's losses hold exactly in every batch: the joint bottleneck
term is the sum of the single ones, and the joint alignment loss is at least their sum.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

VARIANCE_FLOOR = 1e-6
NEGLIGIBLE_NORM = 1e-12


def cross_entropy(
    logits: Float[Tensor, "n classes"],
    label: Int[Tensor, "n"],
    present: Bool[Tensor, "n"] | None = None,
) -> Float[Tensor, ""]:
    """−1/n Σ_n log p(y_n | z_n), the second term of Eq. 5, over the rows that are present.

    0 when no row is present.
    """
    if present is None:
        return functional.cross_entropy(logits, label)
    each = functional.cross_entropy(logits, label, reduction="none")
    return torch.where(present, each, 0.0).sum() / present.sum().clamp_min(1)


def bottleneck(
    representation: Float[Tensor, "n d"], present: Bool[Tensor, "n d"] | None = None
) -> Float[Tensor, ""]:
    """log|Σ| = Σ_j log(var_j + 1e-6), Eq. 5's entropy of Z for a diagonal Σ, up to a constant.

    var_j is the unbiased variance of column j over the batch; the weight γ/2 is the caller's. A
    column that fewer than two rows have counts 0.
    """
    if present is None:
        variance = representation.var(dim=0)
        return (variance + VARIANCE_FLOOR).log().sum()
    count = present.sum(dim=0)
    seen = torch.where(present, representation, 0.0)
    mean = seen.sum(dim=0) / count.clamp_min(1)
    squares = torch.where(present, representation - mean, 0.0).square().sum(dim=0)
    variance = squares / (count - 1).clamp_min(1)
    return torch.where(count > 1, (variance + VARIANCE_FLOOR).log(), 0.0).sum()


def release_bottleneck(
    representation: Float[Tensor, "n d"], present: Bool[Tensor, "n d"] | None = None
) -> Float[Tensor, ""]:
    """The released code's term, log10(det(cov(z / ‖z‖)) / d² + 1).

    Dead: for d = 128 the determinant is below 1e-250, so in float32 the term is exactly 0 and so
    is its gradient. It is here to show that, in `variant: release`.
    """
    unit = functional.normalize(representation, dim=1)
    determinant = torch.linalg.det(covariance(unit, present))
    return (determinant / representation.shape[1] ** 2 + 1).log10()


def label_alignment(
    target_logits: Float[Tensor, "n classes"], prior: Float[Tensor, "classes"]
) -> Float[Tensor, ""]:
    """−Σ_c prior_c log(mean_n p(c | x_n)), Eq. 8 with the batch's mean standing for Eq. 7.

    Its minimum is the prior's entropy, not 0, reached where the mean prediction is the prior.
    """
    n = target_logits.shape[0]
    log_mean = functional.log_softmax(target_logits, dim=1).logsumexp(dim=0) - math.log(n)
    # A class that the prior lacks adds 0, also where its mean prediction underflows to log 0.
    return -torch.where(prior > 0, prior * log_mean, 0.0).sum()


def covariance(
    x: Float[Tensor, "n d"], present: Bool[Tensor, "n d"] | None = None
) -> Float[Tensor, "d d"]:
    """The unbiased covariance C of Eq. 9, divided by n − 1.

    With `present`, entry (i, j) is over the rows that have both columns; 0 where fewer than two do.
    """
    if present is None:
        centred = x - x.mean(dim=0)
        return centred.T @ centred / (x.shape[0] - 1)
    mask = present.to(x.dtype)
    # Any constant may be taken off a column; its mean keeps the sums below small.
    centred = (x - (x * mask).sum(dim=0) / mask.sum(dim=0).clamp_min(1)) * mask
    count = mask.T @ mask
    sums = centred.T @ mask  # (i, j): sum of column i over the rows that have i and j
    products = centred.T @ centred - sums * sums.T / count.clamp_min(1)
    return torch.where(count > 1, products / (count - 1).clamp_min(1), 0.0)


def uncentred_moment(
    x: Float[Tensor, "n d"], present: Bool[Tensor, "n d"] | None = None
) -> Float[Tensor, "d d"]:
    """The released code's C: (xᵀx − x̄ᵀx̄) / (n − 1), which lacks a factor n before x̄ᵀx̄.

    So means stay in it, nearly whole: a second moment rather than a covariance. With `present`,
    sums and n are over the rows that have both columns.
    """
    mask = torch.ones_like(x) if present is None else present.to(x.dtype)
    seen = x * mask
    count = mask.T @ mask
    mean = (seen.T @ mask) / count.clamp_min(1)
    moment = (seen.T @ seen - mean * mean.T) / (count - 1).clamp_min(1)
    return torch.where(count > 1, moment, 0.0)


def correlation_alignment(
    source: Float[Tensor, "d d"], target: Float[Tensor, "d d"]
) -> Float[Tensor, ""]:
    """‖C_t − C_s‖²_F, Eq. 9.

    No divisor: Deep CORAL divides by 4d², another library averages it with the squared gap of
    means.
    """
    return (target - source).square().sum()


def relative_alignment(
    source: Float[Tensor, "d d"], target: Float[Tensor, "d d"]
) -> Float[Tensor, ""]:
    """‖C_t − C_s‖²_F / (‖C_s‖_F ‖C_t‖_F): Eq. 9 in a form that scale does not change.

    Eq. 9 falls by itself when representations shrink; this does not. 0 where both are 0 to rounding
    (norm below 1e-12), and NaN where one is: one domain's representations no longer vary, and no
    ratio says how far they are from the other's.
    """
    norms = torch.stack([torch.linalg.matrix_norm(source), torch.linalg.matrix_norm(target)])
    varies = norms > NEGLIGIBLE_NORM
    ratio = correlation_alignment(source, target) / torch.where(varies, norms, 1.0).prod()
    one_alone = torch.where(varies.any(), torch.nan, 0.0)
    return torch.where(varies.all(), ratio, one_alone)


def known_to_both(
    source_present: Bool[Tensor, "n d"] | None, target_present: Bool[Tensor, "m d"] | None
) -> Bool[Tensor, "d d"] | None:
    """Which covariances both domains have at least two rows for; None is all.

    An entry that one domain knows nothing of is no gap: both are to be taken as 0 there.
    """
    known = None
    for present in (source_present, target_present):
        if present is not None:
            mask = present.to(torch.float32)
            here = mask.T @ mask > 1
            known = here if known is None else known & here
    return known
