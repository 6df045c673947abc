"""Losses of scores against a set of attributes: rows [N, A] of scores, and which attributes each row has."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from s3rec_lite.support.config import Form


class _BinaryCrossEntropyRows(torch.autograd.Function):
    """Binary cross-entropy with logits, summed along each row.

    The value of ``F.binary_cross_entropy_with_logits`` against 0/1 targets in two passes over the scores instead of
    six: sum of softplus(score), less the scores of the attributes that are there.
    """

    @staticmethod
    def forward(ctx, scores: Tensor, targets: Tensor) -> Tensor:
        present = targets.view(torch.uint8).to(scores.dtype)  # PyTorch converts bytes faster than booleans
        ctx.save_for_backward(scores, present)
        return F.softplus(scores).sub_(scores * present).sum(dim=1)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        scores, present = ctx.saved_tensors
        return torch.sigmoid(scores).sub_(present).mul_(gradient[:, None]), None


def sampled_negatives(targets: Tensor, rows: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """For each entry of ``rows`` one column that its row of ``targets`` [N, A] lacks: columns [P], found [P].

    A row that has every attribute leaves nothing to draw; its entries come back with found=False.
    """
    width = targets.shape[1]
    drawn = torch.from_numpy(rng.integers(width, size=len(rows))).to(targets.device)
    for _ in range(100):
        taken = torch.nonzero(targets[rows, drawn]).squeeze(1)
        if not len(taken):
            break
        drawn[taken] = torch.from_numpy(rng.integers(width, size=len(taken))).to(targets.device)
    return drawn, ~targets[rows, drawn]


def attribute_rows(
    scores: Tensor,
    targets: Tensor,
    form: Form,
    *,
    num_negatives: int,
    bounded: bool,
    rng: np.random.Generator,
) -> Tensor:
    """Loss of each row [N], in nats.

    ``authors`` and ``bce``: the sum over all attributes. ``pairwise`` and ``infonce``: the mean over the attributes
    that the row has (equations 10 and 14), each against one or ``num_negatives`` attributes that it lacks; a row
    without attributes counts 0.
    """
    if form in ("authors", "bce"):
        return _BinaryCrossEntropyRows.apply(scores, targets)
    rows, columns = torch.nonzero(targets, as_tuple=True)  # [P]: one entry for each attribute that is there
    positive = scores[rows, columns]
    if form == "pairwise":
        negative, found = sampled_negatives(targets, rows, rng)
        losses = -F.logsigmoid(positive - scores[rows, negative]) * found
    else:
        pool = rng.choice(targets.shape[1], size=min(num_negatives, targets.shape[1]), replace=False)
        pool = torch.from_numpy(pool).to(scores.device)
        candidates = scores[:, pool]
        if bounded:
            positive, candidates = torch.sigmoid(positive), torch.sigmoid(candidates)
        candidates = candidates.masked_fill(targets[:, pool], torch.finfo(scores.dtype).min)
        losses = torch.logaddexp(positive, torch.logsumexp(candidates, dim=1)[rows]) - positive
    share = 1 / targets.sum(dim=1).clamp(min=1)  # each row's attributes weigh 1 together
    weighted = losses * share[rows]
    total = torch.zeros(len(scores), dtype=weighted.dtype, device=scores.device)
    return total.index_add(0, rows, weighted)
