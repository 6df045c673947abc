"""Negatives: items that a user does not have, and segments of other users.

Plain twins: `s3rec_lite.plain.negative_item` and the foreign segment of `s3rec_lite.plain.segment_views`.
"""

import numpy as np

from s3rec_lite.data import SequenceData, training_mask, user_of_interaction
from s3rec_lite.support.errors import DataError


class NegativeItems:
    """Draws negative items for users.

    ``candidates``: "training" draws from items that occur in some user's training part; "all" draws from every id
    from 1 to the mask token, as the authors' code does. ``avoid``: "training" rejects a user's training items,
    "everything" also the held-out ones, which tells the model what they are.
    """

    def __init__(self, data: SequenceData, candidates: str = "training", avoid: str = "training"):
        if candidates == "training":
            self.candidates = np.flatnonzero(data.seen_in_training())
        else:
            self.candidates = np.arange(1, data.mask_token + 1)
        self.stride = data.num_items + 2
        users, items = user_of_interaction(data), data.items
        if avoid == "training":
            training = training_mask(data)
            users, items = users[training], items[training]
        self.keys = np.sort(users * self.stride + items)  # one binary search answers "has it?"

    def taken(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Whether each user has each item: bool, the shape of ``items``."""
        wanted = users * self.stride + items
        nearest = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return self.keys[nearest] == wanted

    def draw(
        self,
        users: np.ndarray,
        rng: np.random.Generator,
        avoid: np.ndarray | None = None,
        fix: str = "use loss='ce', which needs none",
    ) -> np.ndarray:
        """One negative for each entry of ``users`` [N]; with ``avoid`` [N, L] those ids instead of the history.

        Raises DataError when a user leaves no candidate.
        """
        drawn = np.zeros(len(users), dtype=np.int64)
        open_ = np.arange(len(users))
        for _ in range(1000):
            if not len(open_):
                return drawn
            drawn[open_] = self.candidates[rng.integers(len(self.candidates), size=len(open_))]
            if avoid is None:
                bad = self.taken(users[open_], drawn[open_])
            else:
                bad = (avoid[open_] == drawn[open_, None]).any(axis=1)
            open_ = open_[bad]
        raise DataError(
            f"user number {users[open_[0]] + 1} has (nearly) every one of the {len(self.candidates)} candidate items: "
            f"no negative is left to draw; use more items, or {fix}"
        )


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
            # Starts sorted by room: those with room for a segment of length n are the first `room_for[n]`.
            self.starts = np.argsort(-left, kind="stable")
            self.users = users[self.starts]
            self.num_training = data.history_ends("train") - data.offsets[:-1]
            self.room_for = np.searchsorted(-left[self.starts], -np.arange(1 + max(left.max(), 1)), side="right")

    def start(
        self,
        lengths: np.ndarray,
        users: np.ndarray,
        items: np.ndarray,
        real: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where a foreign segment starts: a pool of items and a start index into it for each row [B].

        Args:
            lengths: of the segments, [B].
            users: whose prefixes they are cut from, [B].
            items: the prefixes, padded [B, L]; only the rule "batch" looks at them.
            real: which of these are items, bool [B, L].
            rng: source of the draw.
        """
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
        return self.starts[drawn]
