"""Variational bounds on mutual information from a matrix of critic scores, and what a loss can certify.

Throughout, ``scores`` is [..., K, K] for K pairs drawn independently from the joint distribution; row i and column j
hold the critic's f(x_i, y_j). The diagonal is then a sample of the joint distribution p, and the rest a sample of the
product q of the marginals. Leading dimensions are further batches, so a thousand repetitions are one call. Every bound
is differentiable, is to be maximised, and returns nats, one value a batch [...].

Source of most: Poole et al. 2019, "On variational bounds of mutual information".
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from s3rec_lite.support.errors import SettingError

__all__ = [
    "DoubleSigmoidRange", "bounded_critic_cap", "certified_nats", "double_sigmoid_range", "dv", "info_nce", "js",
    "js_value", "log_k_cap", "mine", "mine_objective", "nwj", "pairwise_to_nats", "smile", "tuba",
]  # fmt: skip


# The two parts of a bound: joint pairs on the diagonal, product pairs off it


def _joint(scores: Tensor) -> Tensor:
    """The diagonal [..., K]. Raises SettingError unless scores are [..., K, K] with K of 2 or more."""
    if scores.ndim < 2 or scores.shape[-1] != scores.shape[-2] or scores.shape[-1] < 2:
        raise SettingError(
            f"scores have shape {tuple(scores.shape)}; give a square matrix [..., K, K] with K of 2 or more"
        )
    return scores.diagonal(dim1=-2, dim2=-1)


def _off_diagonal(scores: Tensor, fill: float) -> Tensor:
    """Scores with the diagonal replaced by ``fill``."""
    own = torch.eye(scores.shape[-1], dtype=torch.bool, device=scores.device)
    return scores.masked_fill(own, fill)


def _log_partition(scores: Tensor) -> Tensor:
    """log of the mean of e^f over the K(K - 1) product pairs [...]."""
    pairs = scores.shape[-1] * (scores.shape[-1] - 1)
    return torch.logsumexp(_off_diagonal(scores, -math.inf).flatten(-2), dim=-1) - math.log(pairs)


# Bounds


def dv(scores: Tensor) -> Tensor:
    """Donsker-Varadhan: E_p[f] - log E_q[e^f] (E.1).

    With exact expectations a lower bound, tight at f = log ratio + any constant; no cap. The log of a batch's mean is
    too low on average, so the value of one batch is too high on average: not a lower bound as computed.
    """
    return _joint(scores).mean(dim=-1) - _log_partition(scores)


def mine(scores: Tensor) -> Tensor:
    """Value of MINE (Belghazi et al. 2018): that of `dv`, and its caveat. Train with `mine_objective`."""
    return dv(scores)


def mine_objective(scores: Tensor, log_average: Tensor | None = None, rate: float = 0.01) -> tuple[Tensor, Tensor]:
    """What MINE maximises: the value of `dv`, with a less biased gradient (Belghazi et al. 2018).

    The gradient of log E_q[e^f] divides by a mean over one small batch. Here it divides by a moving average of that
    mean over past batches: gradient = E_p[f'] - E_q[f' e^f] / average.

    Args:
        scores: [..., K, K].
        log_average: log of the moving average so far [...]; None at the first batch.
        rate: weight of the newest batch in the average, above 0 and at most 1; 1 is plain `dv`.

    Returns the objective [...] and the new log average [...], to be passed in with the next batch.
    """
    if not 0 < rate <= 1:
        raise SettingError(f"rate {rate} is out of range; give a number above 0 and at most 1")
    joint = _joint(scores).mean(dim=-1)
    log_partition = _log_partition(scores)
    newest = log_partition.detach()
    if log_average is None or rate == 1:
        log_average = newest
    else:
        log_average = torch.logaddexp(log_average + math.log1p(-rate), newest + math.log(rate))
    surrogate = joint - torch.exp(log_partition - log_average)  # right gradient, wrong value
    return (joint - log_partition).detach() + surrogate - surrogate.detach(), log_average


def tuba(scores: Tensor, log_baseline: Tensor | float = 1.0) -> Tensor:
    """Unnormalised Barber-Agakov: 1 + E_p[f - log a(y)] - E_q[e^f / a(y)] (E.1; Poole et al. 2019).

    A lower bound for every critic and every positive baseline a, also on average over batches; no cap.

    Args:
        scores: [..., K, K].
        log_baseline: log a(y), a number or one for each y [..., K]; it may not depend on x. 1 gives `nwj`.
    """
    _joint(scores)
    if isinstance(log_baseline, Tensor) and log_baseline.ndim:
        log_baseline = log_baseline[..., None, :]  # a(y_j) belongs to column j
    shifted = scores - log_baseline
    return 1 + _joint(shifted).mean(dim=-1) - torch.exp(_log_partition(shifted))


def nwj(scores: Tensor) -> Tensor:
    """Nguyen-Wainwright-Jordan (2010), also called f-GAN KL: E_p[f] - E_q[e^f] / e (E.1).

    A lower bound, also on average over batches; no cap. Tight at f = 1 + log ratio, and unbiased there, but its
    variance grows exponentially with the mutual information.
    """
    return tuba(scores, 1.0)


def info_nce(scores: Tensor) -> Tensor:
    """InfoNCE (equation 2; van den Oord et al. 2018): mean over rows of log softmax at the own y, + log K.

    Each x_i picks its y_i among the K of the batch. A lower bound on average over batches, provided the K - 1 others
    are drawn from the marginal of y, whether or not they happen to fit x. Never above log K, and with scores in [0, 1]
    never above `bounded_critic_cap`. Adding any function of x to the critic changes nothing.
    """
    return (_joint(scores) - torch.logsumexp(scores, dim=-1)).mean(dim=-1) + math.log(scores.shape[-1])


def js(scores: Tensor) -> Tensor:
    """The Jensen-Shannon objective of GANs: -E_p[softplus(-f)] - E_q[softplus(f)] (E.1; Hjelm et al. 2019).

    For training only: it is at most 0 and bounds 2 JSD(p, q) - log 4, not the mutual information. Its optimum is the
    log ratio itself; read the value off with `js_value`. This is a binary cross-entropy with one negative for each
    positive, the ``bce`` form of the objectives.
    """
    joint = -F.softplus(-_joint(scores)).mean(dim=-1)
    pairs = scores.shape[-1] * (scores.shape[-1] - 1)
    return joint - _off_diagonal(F.softplus(scores), 0).sum(dim=(-2, -1)) / pairs


def js_value(scores: Tensor) -> Tensor:
    """Nats of a critic that was trained with `js`: `nwj` of f + 1, as NWJ is tight at 1 + log ratio."""
    return nwj(scores + 1)


def smile(scores: Tensor, clip: float | None = 5.0) -> Tensor:
    """SMILE (Song and Ermon 2020): E_p[f] - log E_q[clip(e^f, e^-clip, e^clip)] (E.1). Train with `js`.

    **Not a bound**: f is clipped in the partition term only, so with a good critic the value can lie above the truth,
    by up to ``clip``. In return its variance stays small. No cap; ``clip=None`` is `dv`.
    """
    if clip is None:
        return dv(scores)
    if not clip > 0:
        raise SettingError(f"clip {clip} is out of range; give a number above 0, or None for no clipping")
    return _joint(scores).mean(dim=-1) - _log_partition(scores.clamp(-clip, clip))


# What a loss can certify


def _check_candidates(num_candidates: float) -> None:
    if num_candidates < 1:
        raise SettingError(f"num_candidates {num_candidates} is too small; count the positive too, give 1 or more")


def log_k_cap(num_candidates: int) -> float:
    """log K, the most that InfoNCE can show with K candidates, the positive among them (E.3)."""
    _check_candidates(num_candidates)
    return math.log(num_candidates)


def bounded_critic_cap(num_candidates: float) -> float:
    """1 - log((e + K - 1) / K), the most that InfoNCE can show with critic scores in [0, 1] (E.3).

    The paper's critics, (11), (13), (15) and (17), end in a sigmoid. Below 1 nat for every K. This is the cap of
    equation (2), the positive among the K. (10), (12) and (14) sum over the K - 1 others only: with log(K - 1) added
    such a critic comes to 1 nat there at most, and that value is no lower bound.
    """
    _check_candidates(num_candidates)
    return 1 - math.log((math.e + num_candidates - 1) / num_candidates)


def certified_nats(loss: float | Tensor, num_candidates: int) -> float | Tensor:
    """log K - loss: what an InfoNCE loss (mean over samples, equation 2 with the sign turned) says of I.

    A lower bound on the mutual information if the loss is an expectation over fresh samples and the K - 1 negatives are
    drawn from the marginal of the positives. With negatives from another proposal r(y) it bounds I + KL(p(y) || r(y)),
    which is more than I; leaving true partners out of the negatives makes the task easier still.
    """
    return log_k_cap(num_candidates) - loss


def pairwise_to_nats(loss: float | Tensor) -> float | Tensor:
    """log 2 - loss for the pairwise loss -log sigmoid(f+ - f-): `certified_nats` with two candidates (A.3)."""
    return certified_nats(loss, 2)


class DoubleSigmoidRange(NamedTuple):
    """Values that -log sigmoid(sigmoid(f+) - sigmoid(f-)) can come near (E.3), in nats."""

    lowest: float
    chance: float
    highest: float


def double_sigmoid_range() -> DoubleSigmoidRange:
    """Range of the authors' pairwise loss, which squashes twice: .3133, .6931 (chance) and 1.3133 (E.3).

    The difference of two sigmoids lies in (-1, 1), so a perfect model still pays .3133; `pairwise_to_nats` of the range
    is .380, 0 and -.620.
    """
    return DoubleSigmoidRange(*(math.log1p(math.exp(-gap)) for gap in (1.0, 0.0, -1.0)))
