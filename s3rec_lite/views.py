"""Views: what the four objectives get to see of a batch of sequences, and the negatives they contrast it with.

One pre-training sample is a prefix of a user's training items. Each batch of prefixes turns into six id tensors
(`Views`), built with array operations for the whole batch at once, from a NumPy generator that the caller passes.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from s3rec_lite.data import SequenceData, pad_left
from s3rec_lite.negatives import NegativeItems, SegmentSource
from s3rec_lite.support.config import PretrainConfig
from s3rec_lite.support.fast import batch_order


class Views(NamedTuple):
    """Six int64 tensors [B, L], padded with 0 on the left."""

    masked_items: Tensor  # the prefix with some items replaced by the mask token
    pos_items: Tensor  # the prefix itself
    neg_items: Tensor  # a negative item where an item is masked, elsewhere the item
    masked_segment: Tensor  # the prefix with one segment replaced by mask tokens: the context of SP
    pos_segment: Tensor  # mask tokens with that segment in its place
    neg_segment: Tensor  # mask tokens with a foreign segment in the same place

    def to(self, device: torch.device | str) -> "Views":
        """The same views on another device."""
        return Views(*(tensor.to(device, non_blocking=True) for tensor in self))


class Owners(NamedTuple):
    """Whose prefixes a batch holds: what the negatives of the infonce forms have to avoid."""

    users: Tensor  # int64 [B], equal for prefixes of one user
    history: Tensor  # int64 [B, T], items that are no negatives for a row, padded with 0


class Prefixes(NamedTuple):
    """Pre-training samples as ranges of ``data.items``: three integer arrays [N]."""

    users: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Items in each prefix, [N]."""
        return self.ends - self.starts


def list_prefixes(data: SequenceData, max_length: int, rule: str = "authors") -> Prefixes:
    """All pre-training samples of the data.

    ``authors``: every prefix of each user's last ``max_length`` training items. ``recbole``: what stands before each
    training target, cut to ``max_length``; the last training item is then never an input.
    """
    user_starts, user_ends = data.offsets[:-1], data.history_ends("train")
    if rule == "authors":
        user_starts = np.maximum(user_starts, user_ends - max_length)
        first_ends = user_starts + 1
        counts = user_ends - user_starts
    else:
        first_ends = user_starts + 1
        counts = np.maximum(user_ends - user_starts - 1, 0)
    users = np.repeat(np.arange(data.num_users), counts)  # [N]
    nth = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    ends = first_ends[users] + nth
    starts = np.maximum(user_starts[users], ends - max_length)
    return Prefixes(users, starts, ends)


def segment_views(
    items: np.ndarray, users: np.ndarray, source: SegmentSource, mask_token: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three inputs of SP: context, positive and negative, each [B, L].

    A segment has 1 to half the prefix's items, uniformly, at a uniform place. A prefix of one item has none: all
    three inputs are then the prefix itself. Plain twin: `s3rec_lite.plain.segment_views`.

    Args:
        items: prefixes [B, L], padded with 0 on the left.
        users: whose they are, [B].
        source: where the negative segments come from.
        mask_token: stands for a hidden item.
        rng: source of the draws.
    """
    # Which part of each prefix is cut out.
    real, width = items != 0, items.shape[1]
    lengths = real.sum(axis=1)  # [B]
    segment_lengths = rng.integers(np.maximum(lengths // 2, 1)) + 1  # [B]
    first = width - lengths + rng.integers(np.maximum(lengths - segment_lengths, 0) + 1)  # [B] column
    inside = np.arange(width) - first[:, None]  # [B, L] place within the segment
    single = lengths < 2  # [B]
    in_segment = (inside >= 0) & (inside < segment_lengths[:, None]) & ~single[:, None]

    # What stands in its place.
    pool, start = source.start(segment_lengths, users, items, real, rng)
    foreign = pool[np.clip(start[:, None] + inside, 0, len(pool) - 1)]  # [B, L]
    blank = np.where(real, mask_token, 0)
    context = np.where(in_segment, mask_token, items)
    positive = np.where(in_segment, items, blank)
    negative = np.where(in_segment, foreign, blank)
    positive[single] = items[single]
    negative[single] = items[single]
    return context, positive, negative


class ViewSampler:
    """Makes the batches of one pre-training run.

    ``sampler.epoch(rng)`` gives index arrays, ``sampler.batch(indices, rng)`` the views of one of them. Plain twin:
    `s3rec_lite.plain.PlainSamples`.
    """

    def __init__(self, data: SequenceData, config: PretrainConfig, max_length: int):
        self.config = config
        self.items = data.items
        self.mask_token = data.mask_token
        self.prefixes = list_prefixes(data, max_length, config.prefixes)
        self.training_ranges = data.offsets[:-1], data.history_ends("train")
        self.negatives = NegativeItems(data, config.negative_items, "training")
        self.segments = SegmentSource(data, config.segment_negatives)

    def __len__(self) -> int:
        return len(self.prefixes.ends)

    def epoch(self, rng: np.random.Generator) -> list[np.ndarray]:
        """The index arrays of one epoch's batches."""
        return batch_order(self.prefixes.lengths, self.config.batch_size, self.config.length_window, rng)

    def batch(self, indices: np.ndarray, rng: np.random.Generator) -> Views:
        """The views of the prefixes ``indices``, as wide as the longest of them."""
        users, starts, ends = (column[indices] for column in self.prefixes)
        items = pad_left(self.items, starts, ends, int((ends - starts).max()))  # [B, L]
        masked_items, negatives = self._masked_views(items, users, rng)
        segments = segment_views(items, users, self.segments, self.mask_token, rng)
        arrays = (masked_items, items, negatives, *segments)
        return Views(*(torch.from_numpy(array) for array in arrays))

    def _masked_views(
        self, items: np.ndarray, users: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """The prefixes with items masked, and with a negative at each mask: [B, L] twice."""
        masked = rng.random(items.shape, dtype=np.float32) < self.config.mask_ratio
        if self.config.mask_last:
            masked[:, -1] = True
        masked &= items != 0
        negatives = items.copy()
        if self.config.mip_weight and self.config.mip_form != "infonce":  # infonce draws a pool of its own
            rows, columns = np.nonzero(masked)
            avoid = items[rows] if self.config.negatives_avoid == "prefix" else None
            fix = "use --negatives-avoid prefix, or --mip-form infonce"
            negatives[rows, columns] = self.negatives.draw(users[rows], rng, avoid=avoid, fix=fix)
        return np.where(masked, self.mask_token, items), negatives

    def owners(self, indices: np.ndarray, device: torch.device | str = "cpu") -> Owners | None:
        """The users of the prefixes and their training items; None where no form asks for them."""
        config = self.config
        if config.negatives_avoid == "prefix" or "infonce" not in (config.mip_form, config.sp_form):
            return None
        users = self.prefixes.users[indices]
        starts, ends = (column[users] for column in self.training_ranges)
        history = pad_left(self.items, starts, ends, int((ends - starts).max()))
        return Owners(torch.from_numpy(users).to(device), torch.from_numpy(history).to(device))
