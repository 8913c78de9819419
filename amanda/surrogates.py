"""Surrogates h of the alignment losses a = (a_1, …, a_K), paper section 3.2, and their weights ψ.

h(a) = φ⁻¹(Σ_m φ(a_m)) for a convex increasing φ (Eq. 11). Its gradient weighs each modality's
gradient with ψ_m = ∂h/∂a_m (Eq. 12–13), so that larger losses get larger weights. K is the number
of modalities, plus one for the joint representation (`surrogate_over: all`).

| name | φ(a) | h(a) | ψ_m |
|---|---|---|---|
| norm:P, P ≥ 1 or inf | a^P | ‖a‖_P | a_m^(P−1) / ‖a‖_P^(P−1) (Eq. 14) |
| logexp:T, T > 0 | exp(T·a) | ln(Σ exp(T·a)) / T | softmax of T·a (Eq. 15, its sum over all K) |
| phi:MODULE.PAIR | yours | φ⁻¹(Σ φ(a)) | by differentiation (`amanda.given_surrogate`) |

What holds exactly, and is tested: for norms Σψa = h (Euler) and ‖ψ‖_q = 1 with 1/P + 1/q = 1; for
log-exp Σψ = 1 and h − Σψa = H(ψ)/T, the entropy of ψ; P = 1 has every ψ = 1; P = inf shares ψ among
ties; T → ∞ is P = inf. Log-exp is not 0 at a = 0 but ln(K)/T.

Functions use tensor methods only, so that reading a configuration does not import torch. A new
surrogate is an entry of `KINDS`, and `KIND:PARAMETER` is then a name for it everywhere.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from amanda.given_surrogate import KIND as GIVEN
from amanda.given_surrogate import GivenSurrogate, parse_given
from amanda.store.errors import InputError, nearest

Losses = Float[Any, "losses"]
"""A tensor of K alignment losses ≥ 0."""
Scalar = Float[Any, ""]


@dataclass(frozen=True)
class Kind:
    """A family of surrogates with one parameter.

    Attributes:
        function: h(a, parameter).
        allowed: whether a parameter can be used.
        rule: the same in words, for the error.
        example: a name of this kind.
    """

    function: Callable[[Losses, float], Scalar]
    allowed: Callable[[float], bool]
    rule: str
    example: str


@dataclass(frozen=True)
class Surrogate:
    """A surrogate as configured: `surrogate(a)` is h(a), a 0-dimensional tensor."""

    kind: str
    parameter: float

    def __call__(self, losses: Losses) -> Scalar:
        return KINDS[self.kind].function(losses, self.parameter)

    def __str__(self) -> str:
        return f"{self.kind}:{format_number(self.parameter)}"


def norm(losses: Losses, p: float) -> Scalar:
    """‖a‖_p, from Eq. 11 with φ(a) = a^p.

    Scaled by the largest loss, so no power over- or underflows. At a = 0, where Eq. 14 is 0/0, the
    gradient is the limit along equal losses, ψ_m = K^(1/p − 1): Lemma 1 holds there too.
    """
    if p == math.inf:
        return losses.amax()
    peak = losses.detach().amax()
    any_loss = peak > 0
    scale = peak.where(any_loss, 1.0)
    # At zero: the norm at (1, …, 1), less that constant.
    unit = (losses / scale).where(any_loss, losses + 1.0)
    at_zero = (peak * 0.0).where(any_loss, len(losses) ** (1 / p))
    return scale * unit.pow(p).sum().pow(1 / p) - at_zero


def logexp(losses: Losses, t: float) -> Scalar:
    """ln(Σ exp(t·a)) / t, from Eq. 11 with φ(a) = exp(t·a); no exponential overflows."""
    peak = losses.detach().amax()
    return peak + ((losses - peak) * t).logsumexp(0) / t


def general(
    phi: Callable[[Losses], Losses], inverse: Callable[[Scalar], Scalar]
) -> Callable[[Losses], Scalar]:
    """h(a) = φ⁻¹(Σ φ(a_m)) of Eq. 11, for any convex increasing φ given with its inverse.

    Written as it stands: choose φ so that neither it nor its inverse overflows or has an infinite
    slope where losses can be.

    >>> surrogate = general(lambda a: a.sinh(), lambda s: s.asinh())
    """

    def surrogate(losses: Losses) -> Scalar:
        return inverse(phi(losses).sum())

    return surrogate


def psi(surrogate: Callable[[Losses], Scalar], losses: Losses) -> Losses:
    """ψ_m = ∂h/∂a_m at `losses`, by automatic differentiation; carries no gradient."""
    import torch

    with torch.enable_grad():
        at = losses.detach().requires_grad_()
        (weights,) = torch.autograd.grad(surrogate(at), at)
    return weights


KINDS: Mapping[str, Kind] = {
    "norm": Kind(norm, lambda p: p >= 1, "P is a number ≥ 1, or inf", "norm:2"),
    "logexp": Kind(logexp, lambda t: 0 < t < math.inf, "T is a finite number > 0", "logexp:1"),
}


def parse_surrogate(text: str) -> Surrogate | GivenSurrogate:
    """A surrogate of its name, as "norm:2", "norm:inf", "logexp:0.5" or "phi:mine.sinh".

    Raises:
        InputError: an unknown kind (the nearest is named), or a parameter that it cannot have.
    """
    kind, colon, number = text.strip().partition(":")
    if kind == GIVEN:
        return parse_given(number)
    if kind not in KINDS:
        known = [*KINDS, GIVEN]
        raise InputError(f"surrogate '{text}': no kind '{kind}'; {nearest(kind, known)}")
    rule = f"{KINDS[kind].rule}, as in {KINDS[kind].example}"
    try:
        parameter = float(number)
    except ValueError:
        missing = "has no parameter" if not colon or not number else f"'{number}' is no number"
        raise InputError(f"surrogate '{text}': {missing}; {rule}") from None
    if not KINDS[kind].allowed(parameter):
        raise InputError(f"surrogate '{text}': {rule}")
    return Surrogate(kind, parameter)


def format_number(value: float) -> str:
    """2.0 as "2", 0.5 as "0.5", infinity as "inf"."""
    return str(int(value)) if value.is_integer() else repr(value)
