"""Speed tricks, each beside the plain line that it replaces. Read the rest of the package first.

The plain line is what is meant; what stands here computes the same in less time on a CPU.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s3rec_lite.support.config import ModelConfig
from s3rec_lite.support.errors import S3RecError

# --- dropout ----------------------------------------------------------------------------------------------------
# Plain: F.dropout(x, p). PyTorch draws one Bernoulli number for each element, up to a quarter of a training step.


def keep_mask(num_elements: int, threshold: int, rng: np.random.Generator) -> Tensor:
    """Float mask [num_elements] on the CPU: 0 with probability ``threshold`` / 256, else 1 / (1 - threshold / 256).

    One random byte decides an element (one random bit at 128), so probabilities move in steps of 1/256.
    """
    if threshold == 128:
        words = rng.integers(0, 2**64, size=-(-num_elements // 64), dtype=np.uint64)
        keep = np.unpackbits(words.view(np.uint8))
    else:
        words = rng.integers(0, 2**64, size=-(-num_elements // 8), dtype=np.uint64)
        keep = (words.view(np.uint8) >= threshold).view(np.uint8)
    return torch.from_numpy(keep[:num_elements]).float().mul_(256 / (256 - threshold))


class RandomDropout:
    """The dropout of one forward pass, drawn from a generator that is passed in.

    Hidden states and attention weights have each their own probability. ``rng=None`` switches dropout off. On an
    accelerator a torch generator seeded from ``rng`` draws the mask there, because moving masks costs more.
    """

    def __init__(self, config: ModelConfig, rng: np.random.Generator | None):
        self.rng = rng
        self.hidden_threshold = min(round(config.hidden_dropout_prob * 256), 255)
        self.attention_threshold = min(round(config.attn_dropout_prob * 256), 255)
        self._device_generator: torch.Generator | None = None

    def hidden(self, x: Tensor) -> Tensor:
        """Dropout of hidden states of any shape."""
        mask = self._mask(x, self.hidden_threshold)
        return x if mask is None else x * mask

    def attention(self, x: Tensor) -> Tensor:
        """Dropout of attention weights of any shape."""
        mask = self._mask(x, self.attention_threshold)
        return x if mask is None else x * mask

    def add(self, residual: Tensor, x: Tensor) -> Tensor:
        """``residual + self.hidden(x)`` in one pass over the memory."""
        mask = self._mask(x, self.hidden_threshold)
        return residual + x if mask is None else torch.addcmul(residual, x, mask)

    def _mask(self, x: Tensor, threshold: int) -> Tensor | None:
        if self.rng is None or threshold == 0:
            return None
        if x.device.type == "cpu":
            return keep_mask(x.numel(), threshold, self.rng).view(x.shape).to(x.dtype)
        if self._device_generator is None:
            self._device_generator = torch.Generator(device=x.device)
            self._device_generator.manual_seed(int(self.rng.integers(0, 2**62)))
        keep = 1 - threshold / 256
        return torch.empty_like(x).bernoulli_(keep, generator=self._device_generator).div_(keep)


# --- attention of the newest position ---------------------------------------------------------------------------
# Plain: SelfAttention.attend(x, mask, dropout)[:, -1:].


def attend_last(
    query_key_value: nn.Linear, n_heads: int, x: Tensor, newest: Tensor, mask: Tensor, dropout: RandomDropout
) -> Tensor:
    """What the newest position [B, 1, H] collects from x [B, L, H], with mask [B, 1, L]: [B, 1, H].

    With one query a sequence it is cheaper to move the key and value matrices to the other side of their products,
    q (W x) = (q W) x and p (V x) = V (p x), than to project every position. The key bias adds the same number to
    every score, so the softmax does not see it.
    """
    batch, _, hidden = x.shape
    head_size = hidden // n_heads
    per_head = (n_heads, head_size, hidden)
    w_query, w_key, w_value = query_key_value.weight.chunk(3)
    b_query, _, b_value = query_key_value.bias.chunk(3)

    # Ask: the query goes through the key matrix, then meets every position.
    query = F.linear(newest, w_query, b_query).view(batch, n_heads, head_size).transpose(0, 1)
    query = torch.bmm(query, w_key.view(per_head)).transpose(0, 1)  # [B, n_heads, H]
    scores = torch.baddbmm(mask.expand(-1, n_heads, -1), query, x.transpose(1, 2), alpha=1 / math.sqrt(head_size))
    probabilities = dropout.attention(torch.softmax(scores, dim=-1))  # [B, n_heads, L]

    # Collect: positions are averaged first, then go through the value matrix.
    pooled = torch.bmm(probabilities, x).transpose(0, 1)  # [n_heads, B, H]
    values = torch.bmm(pooled, w_value.view(per_head).transpose(1, 2)).transpose(0, 1)  # [B, n_heads, H / n_heads]
    # Dropout leaves probabilities that do not sum to 1, so the value bias counts by what is left.
    values = values + probabilities.sum(dim=-1, keepdim=True) * b_value.view(n_heads, head_size)
    return values.reshape(batch, 1, hidden)


# --- the states of some positions -------------------------------------------------------------------------------
# Plain: states[mask]. Its backward pass adds element by element; that of index_select adds whole rows.


def states_where(states: Tensor, mask: Tensor) -> Tensor:
    """The states [B, L, H] of the positions where ``mask`` [B, L] is set: [N, H]."""
    return states.flatten(0, 1).index_select(0, mask.flatten().nonzero().squeeze(1))


# --- binary cross-entropy over all attributes -------------------------------------------------------------------
# Plain: F.binary_cross_entropy_with_logits(scores, targets.float(), reduction="none").sum(dim=1).


class _BinaryCrossEntropyRows(torch.autograd.Function):
    """Sum of softplus(score), less the scores of the attributes that are there: two passes instead of six."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, targets: Tensor) -> Tensor:
        present = targets.view(torch.uint8).to(scores.dtype)  # PyTorch converts bytes faster than booleans
        ctx.save_for_backward(scores, present)
        return F.softplus(scores).sub_(scores * present).sum(dim=1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        scores, present = ctx.saved_tensors
        return torch.sigmoid(scores).sub_(present).mul_(gradient[:, None]), None


def binary_cross_entropy_rows(scores: Tensor, targets: Tensor) -> Tensor:
    """Scores [N, A] as logits against bool targets [N, A]: the sum over each row [N], in nats."""
    return _BinaryCrossEntropyRows.apply(scores, targets)  # type: ignore[no-untyped-call]


# --- ranks ------------------------------------------------------------------------------------------------------
# Plain: (scores > thresholds[:, None]).sum(dim=1), and the same with >=.


def count_above(scores: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor]:
    """How many scores of each row are greater than, and how many at least, its threshold: int64 [B] twice.

    Args:
        scores: [B, C].
        thresholds: [B].

    Raises:
        S3RecError: if scores are NaN; infinities are fine.
    """
    # The sum is NaN whenever a score is and costs a fraction of isnan(); inf - inf is the only false alarm.
    if torch.isnan(scores.sum()) and (count := int(torch.isnan(scores).sum())):
        raise S3RecError(f"{count:,} of {scores.numel():,} scores are NaN and cannot be ranked: check the model")
    # Comparing into floats and multiplying by ones counts several times faster than summing booleans; float32
    # is exact up to 2^24 candidates.
    above = torch.empty(scores.shape, dtype=torch.float32, device=scores.device)
    ones = torch.ones(scores.shape[1], device=scores.device)
    greater = torch.gt(scores, thresholds[:, None], out=above) @ ones  # [B]
    at_least = torch.ge(scores, thresholds[:, None], out=above) @ ones  # [B]
    return greater.long(), at_least.long()


def rank_counts(
    scores: torch.Tensor, targets: np.ndarray, rows: np.ndarray, items: np.ndarray, *, authors_rule: bool
) -> np.ndarray:
    """Greater, ties and number of candidates, int64 [3, B], of one chunk of users.

    (rows, items) are the distinct seen items. They are counted with all others first and taken off afterwards: a few
    subtractions instead of a pass over the scores, and the model's tensor stays as it was.
    """
    num_users = len(targets)
    is_target = items == targets[rows]
    thresholds = scores[torch.arange(num_users), torch.from_numpy(targets)]  # [B], a copy
    if authors_rule:
        candidates = scores
        thresholds[torch.from_numpy(rows[is_target])] = 0.0
    else:
        candidates = scores[:, 1:-1]
        rows, items = rows[~is_target], items[~is_target]
    greater, at_least = (count.cpu().numpy() for count in count_above(candidates, thresholds))
    seen_scores = scores[torch.from_numpy(rows), torch.from_numpy(items)].cpu()
    limits = thresholds.cpu()[torch.from_numpy(rows)]

    def per_user(flags: torch.Tensor) -> np.ndarray:
        return np.bincount(rows[flags.numpy()], minlength=num_users)

    greater = greater - per_user(seen_scores > limits)
    at_least = at_least - per_user(seen_scores >= limits)
    num_candidates = np.full(num_users, candidates.shape[1])
    if authors_rule:  # a seen item competes with the score 0
        greater, at_least = greater + per_user(limits < 0), at_least + per_user(limits <= 0)
    else:
        num_candidates -= np.bincount(rows, minlength=num_users)
    return np.stack([greater, at_least - greater - 1, num_candidates])  # the target ties with itself


# --- different negatives for every user -------------------------------------------------------------------------
# Plain: for each user rng.choice(untouched items, count, replace=False).


def draw_untouched(
    owners: np.ndarray, touched: np.ndarray, num_untouched: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """For each user `count` different items that the user did not touch, every set equally likely: int64 [U, count].

    Args:
        owners: user of each touched item [N], sorted.
        touched: the distinct items that each user touched [N], sorted within a user.
        num_untouched: how many items each user leaves untouched [U], at least `count`.
        count: how many to draw.
        rng: source of the draw.
    """
    chosen = _distinct_below(num_untouched, count, rng)  # [count, U], places in the user's list of untouched items
    # The j-th touched item (from 0) has item - 1 - j untouched ones before it. Those with at most `chosen` before
    # them are to be stepped over on the way to the item that was chosen.
    num_touched = np.bincount(owners, minlength=len(num_untouched))  # [U]
    first, stride = np.cumsum(num_touched) - num_touched, int((num_touched + num_untouched).max()) + 2
    before = touched - 1 - (np.arange(len(touched)) - first[owners])
    walls, rows = owners * stride + before, np.arange(len(num_untouched)) * stride
    for column in chosen:  # one array [U] at a time
        column += 1 + np.searchsorted(walls, rows + column, side="right") - first
    return np.ascontiguousarray(chosen.T)


def _distinct_below(sizes: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """For each row `count` different integers of 0 ... size-1, every set equally likely: int64 [count, rows].

    Floyd's algorithm: one pass over `count`, all rows at once, no rejection however small the size.
    """
    chosen = np.empty((count, len(sizes)), dtype=np.int64)
    for drawn in range(count):
        last = sizes - count + drawn
        pick = rng.integers(0, last + 1)
        repeated = (chosen[:drawn] == pick).any(axis=0)
        chosen[drawn] = np.where(repeated, last, pick)
    return chosen


# --- batches of like length -------------------------------------------------------------------------------------
# Plain: shuffle the samples, and cut them into batches.


def batch_order(lengths: np.ndarray, batch_size: int, length_window: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Shuffle samples into batches; inside each window of batches, neighbours in length share a batch.

    Returns one index array a batch. Every sample occurs once; the order of the batches is shuffled as well.
    """
    order = rng.permutation(len(lengths))
    if length_window > 0:
        span = length_window * batch_size
        windows = [order[i : i + span] for i in range(0, len(order), span)]
        windows = [window[np.argsort(lengths[window], kind="stable")] for window in windows]
        order = np.concatenate(windows) if windows else order
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    if length_window > 0:
        batches = [batches[i] for i in rng.permutation(len(batches))]
    return batches


def like_lengths(indices: np.ndarray, lengths: np.ndarray, rows: int = 64) -> Iterator[np.ndarray]:
    """Cut a batch into parts of like length, ``rows`` samples each: the same sums with far less padding.

    Plain: the whole batch in one part.
    """
    order = indices[np.argsort(lengths[indices], kind="stable")]
    for i in range(0, len(order), rows):
        yield order[i : i + rows]
