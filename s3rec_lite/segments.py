"""Segments for segment prediction (SP): which part of a prefix is cut out, and what is put in its place."""

import numpy as np

from s3rec_lite.data import SequenceData, user_of_interaction


class SegmentSource:
    """Finds foreign segments of given lengths.

    "clean": a run of training items of one other user. "leaky": any run of all users' whole sequences laid end to
    end, so it may cross users and hold validation and test items (the authors' rule). "batch": a run of the batch's
    own prefixes laid end to end (RecBole's rule).
    """

    def __init__(self, data: SequenceData, rule: str = "clean"):
        self.rule = rule
        self.items = data.items
        if rule == "clean":
            users = user_of_interaction(data)
            left = data.history_ends("train")[users] - np.arange(len(users))  # training items from here on
            # Places sorted by room: those with room for a segment of length n are the first `room_for[n]`.
            self.places = np.argsort(-left, kind="stable")
            self.users = users[self.places]
            self.num_training = data.history_ends("train") - data.offsets[:-1]
            self.room_for = np.searchsorted(-left[self.places], -np.arange(1 + max(left.max(), 1)), side="right")

    def start(
        self,
        lengths: np.ndarray,
        users: np.ndarray,
        items: np.ndarray,
        real: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where a foreign segment starts: a pool of items and a start index into it for each row [B]."""
        if self.rule == "clean":
            return self.items, self._clean_start(lengths, users, rng)
        pool = self.items if self.rule == "leaky" else items[real]
        return pool, rng.integers(np.maximum(len(pool) - lengths, 0) + 1)

    def _clean_start(self, lengths: np.ndarray, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        choices = self.room_for[lengths]
        # A user alone with such long sequences keeps a segment of its own.
        others = choices > np.maximum(self.num_training[users] - lengths + 1, 0)
        drawn = rng.integers(choices)
        for _ in range(1000):
            own = np.flatnonzero(others & (self.users[drawn] == users))
            if not len(own):
                break
            drawn[own] = rng.integers(choices[own])
        return self.places[drawn]


def segment_views(
    items: np.ndarray,
    real: np.ndarray,
    lengths: np.ndarray,
    users: np.ndarray,
    source: SegmentSource,
    mask_token: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three inputs of SP for prefixes ``items`` [B, L]: context, positive and negative, each [B, L].

    A segment has 1 to half the prefix's items, uniformly, at a uniform place. A prefix of one item has none: all
    three inputs are then the prefix itself.
    """
    width = items.shape[1]
    none = lengths < 2
    segment_lengths = rng.integers(np.maximum(lengths // 2, 1)) + 1  # [B]
    first = width - lengths + rng.integers(np.maximum(lengths - segment_lengths, 0) + 1)  # [B] column
    inside = np.arange(width) - first[:, None]  # [B, L] place within the segment
    in_segment = (inside >= 0) & (inside < segment_lengths[:, None]) & ~none[:, None]

    pool, start = source.start(segment_lengths, users, items, real, rng)
    foreign = pool[np.clip(start[:, None] + inside, 0, len(pool) - 1)]  # [B, L]
    blank = np.where(real, mask_token, 0)
    context = np.where(in_segment, mask_token, items)
    positive = np.where(in_segment, items, blank)
    negative = np.where(in_segment, foreign, blank)
    positive[none] = items[none]
    negative[none] = items[none]
    return context, positive, negative
