"""Negative items: drawn uniformly, rejected where the user already has them."""

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
            kept = training_mask(data)
            users, items = users[kept], items[kept]
        self.keys = np.unique(users * self.stride + items)  # sorted: one binary search answers "has it?"

    def taken(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Whether each user has each item: bool, the shape of ``items``."""
        wanted = users * self.stride + items
        found = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return self.keys[found] == wanted

    def draw(
        self,
        users: np.ndarray,
        rng: np.random.Generator,
        avoid: np.ndarray | None = None,
        mend: str = "use loss='ce', which needs none",
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
            f"no negative is left to draw; use more items, or {mend}"
        )
