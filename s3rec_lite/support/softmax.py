"""The softmax loss over many items: in full without holding the scores, or against a few sampled negatives."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

_SCORES_PER_CHUNK = 2**20  # 4 MB of float32 stay in a processor's cache
_SCORES_PER_CHUNK_OF_ACCELERATOR = 2**26  # an accelerator wants few large products
_MIN_TARGETS = 64  # with fewer in a chunk the matrix products are slow, however large the catalogue


# --- all items --------------------------------------------------------------------------------------------------
# Plain: F.cross_entropy(hidden @ table.T, wanted, reduction="sum"). It holds [N, C] scores several times over, and
# passes over them in memory; most of its time goes there.


def full_softmax_loss(hidden: Tensor, table: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy of the wanted rows of a table against all its rows, summed over targets, in nats.

    Plain twin: ``F.cross_entropy(hidden @ table.T, wanted, reduction="sum")``. Here a chunk of targets is finished,
    gradients and all, while its scores are in the cache, so memory does not grow with N times C. Under autocast the
    matrix products are in its type. No gradient of the gradient.

    Args:
        hidden: states of the targets [N, H].
        table: embeddings of the candidates [C, H].
        wanted: the right candidate of each target, as a row of the table, int64 [N].
    """
    if torch.is_grad_enabled():
        return _FullSoftmax.apply(hidden, table, wanted)  # type: ignore[no-untyped-call]
    return _in_chunks(hidden, table, wanted, False, False)[0]


class _FullSoftmax(torch.autograd.Function):
    """Computes the gradients along with the loss; backward only scales them."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, table: Tensor, wanted: Tensor) -> Tensor:
        loss, *gradients = _in_chunks(hidden, table, wanted, *ctx.needs_input_grad[:2])
        ctx.save_for_backward(*gradients)
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        # In place, because a copy of the table's gradient costs time. A second pass backward is refused by PyTorch.
        by_hidden, by_table = (None if each is None else each.mul_(gradient) for each in ctx.saved_tensors)
        return by_hidden, by_table, None


def _in_chunks(
    hidden: Tensor, table: Tensor, wanted: Tensor, hidden_asked: bool, table_asked: bool
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The loss, and its gradients by hidden [N, H] and by table [C, H] where they are asked for."""
    kind = hidden.device.type
    factor = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
    hidden, table = hidden.to(factor), table.to(factor)
    exact = torch.promote_types(factor, torch.float32)  # of all that is no matrix product
    size = _targets_per_chunk(len(table), kind)
    buffer = hidden.new_empty(min(size, len(hidden)), len(table))  # [n, C], for one chunk after the other
    loss = hidden.new_zeros((), dtype=exact)
    by_hidden = torch.empty_like(hidden, dtype=exact) if hidden_asked else None
    by_table = torch.zeros_like(table, dtype=exact) if table_asked else None
    for begin in range(0, len(hidden), size):
        states, right = hidden[begin : begin + size], wanted[begin : begin + size, None]  # [n, H], [n, 1]
        scores = torch.mm(states, table.T, out=buffer[: len(states)]).to(exact)  # [n, C]
        loss -= scores.gather(1, right).sum()
        # The highest probability is exp(highest score - logsumexp). softmax() is one fast pass, unlike logsumexp().
        highest = scores.amax(dim=1)  # [n]
        probabilities = torch.softmax(scores, dim=1, out=scores)
        loss += (highest - probabilities.amax(dim=1).log()).sum()
        slopes = probabilities.scatter_add_(1, right, scores.new_full(right.shape, -1.0)).to(factor)  # [n, C]
        if by_hidden is not None:
            by_hidden[begin : begin + size] = slopes @ table
        if by_table is not None:
            _add_product(by_table, slopes.T, states)
    return loss, by_hidden, by_table


def _targets_per_chunk(num_candidates: int, device_type: str) -> int:
    scores = _SCORES_PER_CHUNK if device_type == "cpu" else _SCORES_PER_CHUNK_OF_ACCELERATOR
    return max(_MIN_TARGETS, scores // num_candidates)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """``total += left @ right``, in one pass where the types allow it."""
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right


# --- sampled items ----------------------------------------------------------------------------------------------


class SharedDraw(NamedTuple):
    """Negatives that all targets of a batch share: K draws with replacement from a distribution q over items."""

    items: Tensor  # ids, int64 [K]
    log_counts: Tensor  # log(K q(item)), the logarithm of how often each is drawn on average, float32 [K]


class SharedNegatives:
    """Draws the negatives of the sampled softmax.

    Args:
        training_items: every interaction of the training part, item ids [N].
        number: K, negatives in a draw; with 0 there is none to draw.
        distribution: "uniform" over the items that occur, or "popularity", as often as they do.
    """

    def __init__(self, training_items: np.ndarray, number: int, distribution: str):
        self.number = number
        if number:
            self.pool = training_items if distribution == "popularity" else np.unique(training_items)
            self.log_counts = np.log(np.maximum(np.bincount(self.pool), 1) * (number / len(self.pool)))  # [ids]

    def draw(self, rng: np.random.Generator, device: torch.device) -> SharedDraw | None:
        """The negatives of one batch; None, and ``rng`` as it was, where the softmax is over all items."""
        if not self.number:
            return None
        items = self.pool[rng.integers(len(self.pool), size=self.number)]
        log_counts = torch.from_numpy(self.log_counts[items]).float()
        return SharedDraw(torch.from_numpy(items).to(device), log_counts.to(device))


def sampled_softmax_loss(hidden: Tensor, embeddings: Tensor, wanted: Tensor, shared: SharedDraw) -> Tensor:
    """Softmax loss against K sampled items instead of all, summed over targets, in nats.

    With the score s+ of a target and the scores s_j of the negatives, each target adds::

        -log( exp(s+) / (exp(s+) + sum_j exp(s_j - log(K q_j))) )

    A negative that is the target itself does not count. Division by K q_j, the expected number of draws of item j,
    makes the sum over negatives an unbiased estimate of the sum of exp(s_j) over all items with q_j > 0 other than
    the target. So for K to infinity this is the full softmax over those items (Bengio and Senécal, 2008).

    Args:
        hidden: states of the targets [N, H].
        embeddings: of the targets' items, then of the negatives [N + K, H].
        wanted: item ids of the targets, int64 [N].
        shared: the negatives.
    """
    positives, negatives = embeddings.split([len(wanted), len(shared.items)])  # [N, H], [K, H]
    good = (hidden * positives).sum(dim=1, keepdim=True)  # [N, 1]
    bad = hidden @ negatives.T - shared.log_counts  # [N, K]
    bad = bad.masked_fill(wanted[:, None] == shared.items, -torch.inf)
    return F.cross_entropy(torch.cat([good, bad], dim=1), torch.zeros_like(wanted), reduction="sum")
